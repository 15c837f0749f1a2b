use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use remotemedia_congestion::ProbeId;
use remotemedia_media::{MediaKind, NtpTime, RtpTimestamp};
use rtc::{
    interceptor::{Attribute, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtcp::{
        payload_feedbacks::{full_intra_request::FullIntraRequest, picture_loss_indication::PictureLossIndication},
        sender_report::SenderReport,
        transport_feedbacks::{transport_layer_cc::TransportLayerCc, transport_layer_nack::TransportLayerNack},
    },
    sansio::Protocol,
    shared::{error::Error, marshal::MarshalSize},
};

use super::{
    WireShared,
    events::WireEvent,
    feedback::SendHistory,
    shared::Control,
    stats::{ReceivedStream, reception, report_blocks},
};

/// Sees every packet as the last one on its way out, and as the first on its way in.
///
/// It numbers what leaves for transport-wide feedback, retransmissions included, feeds the estimator, and reads all
/// RTCP here, packet by packet: further up, a compound is routed as a whole by its first packet, and a keyframe request
/// behind a report is lost.
pub(super) struct Tap {
    shared: Arc<WireShared>,
    local: HashMap<u32, LocalStream>,
    remote: HashMap<u32, RemoteStream>,
    history: SendHistory,
    next_tick: Option<Instant>,
    last_sent: Option<Instant>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

struct LocalStream {
    clock_rate: u32,
    transport_cc: Option<u8>,
    /// The stream that this one repairs.
    repairs: Option<u32>,
    last_fir: Option<u8>,
}

struct RemoteStream {
    clock_rate: u32,
    kind: Option<MediaKind>,
    repairs: bool,
}

impl RemoteStream {
    fn figures<'a>(&self, ssrc: u32, control: &'a mut Control) -> &'a mut ReceivedStream {
        let figures = control.stats.received.entry(ssrc).or_default();
        figures.kind = self.kind;
        figures
    }
}

const TRANSPORT_CC: &str = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const TICK: Duration = Duration::from_millis(25);
/// Without anything sent for this long, the estimator need not be woken.
const IDLE: Duration = Duration::from_secs(1);

impl Tap {
    pub(super) fn new(shared: Arc<WireShared>) -> Self {
        Self {
            shared,
            local: HashMap::new(),
            remote: HashMap::new(),
            history: SendHistory::default(),
            next_tick: None,
            last_sent: None,
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn on_rtp_sent(&mut self, message: &mut TaggedPacket) {
        let now = message.now;
        let probe = message.message.custom::<ProbeId>().copied();
        let again = message.message.has(&Attribute::Retransmission);
        let Packet::Rtp(packet) = &mut message.message.packet else { return };
        let Some(stream) = self.local.get(&packet.header.ssrc) else { return };
        let mut control = self.shared.control.lock();
        if let Some(id) = stream.transport_cc {
            // Set first, for the size; the number follows from the history.
            let sent = set_transport_number(packet, id, 0)
                .then(|| self.history.send(now, packet.marshal_size(), probe))
                .filter(|sent| set_transport_number(packet, id, sent.sequence as u16));
            if let Some(sent) = sent {
                control.estimator.on_sent(now, sent);
                self.last_sent = Some(now);
                self.next_tick.get_or_insert(now + TICK);
            }
        }
        let figures = control.stats.sent.entry(stream.repairs.unwrap_or(packet.header.ssrc)).or_default();
        if again || stream.repairs.is_some() {
            figures.retransmitted += 1;
        } else {
            figures.packets += 1;
            figures.bytes += packet.payload.len() as u64;
        }
    }

    fn on_rtcp_sent(&mut self, now: Instant, packets: &[Box<dyn rtc::rtcp::Packet>]) {
        let mut control = self.shared.control.lock();
        for packet in packets {
            if let Some(report) = packet.as_any().downcast_ref::<SenderReport>() {
                control.round_trip.on_sender_report_sent(now, report);
            }
            for block in report_blocks(packet.as_ref()) {
                let Some(stream) = self.remote.get(&block.ssrc).filter(|s| !s.repairs) else { continue };
                let figures = stream.figures(block.ssrc, &mut control);
                (figures.fraction_lost, figures.packets_lost, figures.jitter) = reception(block, stream.clock_rate);
            }
            if let Some(nack) = packet.as_any().downcast_ref::<TransportLayerNack>()
                && let Some(figures) = control.stats.received.get_mut(&nack.media_ssrc)
            {
                figures.nacked += packets_named(nack);
            }
        }
    }

    fn on_rtp_received(&self, packet: &rtc::rtp::Packet) {
        let ssrc = packet.header.ssrc;
        if let Some(stream) = self.remote.get(&ssrc).filter(|s| !s.repairs) {
            let mut control = self.shared.control.lock();
            let figures = stream.figures(ssrc, &mut control);
            figures.packets += 1;
            figures.bytes += packet.payload.len() as u64;
        }
    }

    fn on_rtcp_received(&mut self, now: Instant, packets: &[Box<dyn rtc::rtcp::Packet>]) {
        let shared = self.shared.clone();
        let mut control = shared.control.lock();
        for packet in packets {
            self.on_report_blocks(now, packet.as_ref(), &mut control);
            let any = packet.as_any();
            if let Some(feedback) = any.downcast_ref::<TransportLayerCc>() {
                self.on_transport_feedback(now, feedback, &mut control);
            } else if let Some(pli) = any.downcast_ref::<PictureLossIndication>() {
                if self.sends(pli.media_ssrc) {
                    control.stats.sent.entry(pli.media_ssrc).or_default().pli += 1;
                    shared.events.push(WireEvent::KeyframeRequested { ssrc: pli.media_ssrc });
                }
            } else if let Some(fir) = any.downcast_ref::<FullIntraRequest>() {
                self.on_full_intra_request(fir, &mut control);
            } else if let Some(nack) = any.downcast_ref::<TransportLayerNack>() {
                if self.sends(nack.media_ssrc) {
                    control.stats.sent.entry(nack.media_ssrc).or_default().nacked += packets_named(nack);
                }
            } else if let Some(report) = any.downcast_ref::<SenderReport>()
                && self.remote.get(&report.ssrc).is_some_and(|s| !s.repairs)
            {
                shared.events.push(WireEvent::SenderReport {
                    ssrc: report.ssrc,
                    ntp: NtpTime(report.ntp_time),
                    rtp: RtpTimestamp(report.rtp_time),
                    arrival: now,
                });
            }
        }
        control.announce(&shared.events);
    }

    fn on_report_blocks(&self, now: Instant, packet: &dyn rtc::rtcp::Packet, control: &mut Control) {
        for block in report_blocks(packet) {
            let Some(stream) = self.local.get(&block.ssrc) else { continue };
            if let Some(rtt) = control.round_trip.on_reception_report(now, block) {
                control.estimator.on_round_trip_time(now, rtt);
            }
            if stream.repairs.is_none() {
                let figures = control.stats.sent.entry(block.ssrc).or_default();
                (figures.fraction_lost, figures.packets_lost, figures.jitter) = reception(block, stream.clock_rate);
            }
        }
    }

    fn on_transport_feedback(&mut self, now: Instant, feedback: &TransportLayerCc, control: &mut Control) {
        let results = self.history.on_feedback(feedback);
        let arrived = results.iter().filter(|r| r.arrived_at.is_some()).count() as u64;
        control.stats.feedback_messages += 1;
        control.stats.feedback_arrived += arrived;
        control.stats.feedback_lost += results.len() as u64 - arrived;
        if !results.is_empty() {
            control.estimator.on_feedback(now, &results);
        }
    }

    fn on_full_intra_request(&mut self, request: &FullIntraRequest, control: &mut Control) {
        for entry in &request.fir {
            let Some(stream) = self.local.get_mut(&entry.ssrc).filter(|s| s.repairs.is_none()) else { continue };
            // A request is repeated with the same number until it is answered (RFC 5104, section 4.3.1.2).
            if stream.last_fir.replace(entry.sequence_number) == Some(entry.sequence_number) {
                continue;
            }
            control.stats.sent.entry(entry.ssrc).or_default().fir += 1;
            self.shared.events.push(WireEvent::KeyframeRequested { ssrc: entry.ssrc });
        }
    }

    fn sends(&self, ssrc: u32) -> bool {
        self.local.get(&ssrc).is_some_and(|s| s.repairs.is_none())
    }
}

fn set_transport_number(packet: &mut rtc::rtp::Packet, id: u8, number: u16) -> bool {
    packet.header.set_extension(id, Bytes::copy_from_slice(&number.to_be_bytes())).is_ok()
}

fn packets_named(nack: &TransportLayerNack) -> u64 {
    nack.nacks.iter().map(|pair| 1 + u64::from(pair.lost_packets.count_ones())).sum()
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Tap {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        match &message.message.packet {
            Packet::Rtp(packet) => self.on_rtp_received(packet),
            Packet::Rtcp(packets) => self.on_rtcp_received(message.now, packets),
            _ => {}
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        match &message.message.packet {
            Packet::Rtp(_) => self.on_rtp_sent(&mut message),
            Packet::Rtcp(packets) => self.on_rtcp_sent(message.now, packets),
            _ => {}
        }
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.next_tick.is_some_and(|due| due <= now) {
            let mut control = self.shared.control.lock();
            control.estimator.on_tick(now);
            control.announce(&self.shared.events);
            let busy = self.last_sent.is_some_and(|at| now.saturating_duration_since(at) < IDLE);
            self.next_tick = busy.then(|| now + TICK);
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.next_tick
    }
}

impl Interceptor for Tap {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        let transport_cc = info
            .rtp_header_extensions
            .iter()
            .find(|e| e.uri == TRANSPORT_CC)
            .and_then(|e| u8::try_from(e.id).ok())
            .filter(|id| *id != 0);
        let stream = |repairs| LocalStream { clock_rate: info.clock_rate, transport_cc, repairs, last_fir: None };
        self.local.insert(info.ssrc, stream(None));
        if let Some(rtx) = info.ssrc_rtx {
            self.local.insert(rtx, stream(Some(info.ssrc)));
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.local.remove(&info.ssrc);
        if let Some(rtx) = info.ssrc_rtx {
            self.local.remove(&rtx);
        }
        self.shared.control.lock().stats.sent.remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        // A repair stream is bound after the one it repairs, and again on its own.
        let kind = match info.mime_type.split('/').next() {
            Some("audio") => Some(MediaKind::Audio),
            Some("video") => Some(MediaKind::Video),
            _ => None,
        };
        let stream = |repairs| RemoteStream { clock_rate: info.clock_rate, kind, repairs };
        self.remote.entry(info.ssrc).or_insert_with(|| stream(false));
        for repair in [info.ssrc_rtx, info.ssrc_fec].into_iter().flatten() {
            self.remote.insert(repair, stream(true));
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.remote.remove(&info.ssrc);
        for repair in [info.ssrc_rtx, info.ssrc_fec].into_iter().flatten() {
            self.remote.remove(&repair);
        }
        self.shared.control.lock().stats.received.remove(&info.ssrc);
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.shared.events.close();
        let stats = self.shared.stats();
        tracing::debug!(
            target_bitrate = %stats.target,
            rtt = ?stats.round_trip_time,
            feedback = stats.feedback_messages,
            arrived = stats.feedback_arrived,
            lost = stats.feedback_lost,
            pacer_dropped = stats.pacer_dropped,
            pacer_longest_wait = ?stats.pacer_longest_wait,
            retransmissions_skipped = stats.retransmissions_skipped,
            padding = stats.padding_packets,
            events_dropped = stats.events_dropped,
            "a connection's media has ended"
        );
    }
}
