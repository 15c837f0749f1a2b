use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use remotemedia_congestion::{Pacer, PacerPacket, Priority};
use rtc::{
    interceptor::{Attribute, AttributedPacket, Interceptor, Packet, StreamInfo, TaggedPacket},
    rtp,
    sansio::Protocol,
    shared::{TransportContext, error::Error, marshal::MarshalSize},
};

use super::{WireShared, events::WireEvent};

/// Spreads what leaves over time, at the estimator's pacing rate and within 100 ms, and sends its probes.
pub(super) struct Pacing {
    shared: Arc<WireShared>,
    pacer: Pacer<TaggedPacket>,
    local: HashMap<u32, LocalStream>,
    /// Repairing streams: the next sequence number, and the stream they repair.
    repair: HashMap<u32, RepairStream>,
    /// What was sent again lately, so that requests that cross a retransmission do not draw another.
    repeated: VecDeque<(u32, u16, Instant)>,
    /// What was dropped lately: to send it after all would keep newer frames waiting.
    given_up: VecDeque<(u32, u16)>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

struct LocalStream {
    audio: bool,
    rtx: Option<(u32, u8)>,
    /// The last large packet, to be sent again as padding.
    last: Option<(rtp::Packet, TransportContext)>,
}

struct RepairStream {
    next_sequence: u16,
    repairs: u32,
}

/// What a packet waits at most.
const MAX_DELAY: Duration = Duration::from_millis(100);
const MIN_PADDING: usize = 400;
const MAX_REPEATED: usize = 256;
const MAX_GIVEN_UP: usize = 1_024;
/// How often receivers ask for what they miss; browsers do so every 20 ms, too.
pub(super) const REQUEST_INTERVAL: Duration = Duration::from_millis(20);

impl Pacing {
    pub(super) fn new(shared: Arc<WireShared>) -> Self {
        let rate = shared.control.lock().estimator.pacing_rate();
        Self {
            shared,
            pacer: Pacer::new(rate, MAX_DELAY),
            local: HashMap::new(),
            repair: HashMap::new(),
            repeated: VecDeque::new(),
            given_up: VecDeque::new(),
            reads: VecDeque::new(),
            writes: VecDeque::new(),
        }
    }

    fn on_rtp(&mut self, message: TaggedPacket) {
        let now = message.now;
        let again = message.message.has(&Attribute::Retransmission);
        let Packet::Rtp(packet) = &message.message.packet else { return };
        let (ssrc, size) = (packet.header.ssrc, packet.marshal_size());
        let priority = if again || self.repair.contains_key(&ssrc) {
            if self.is_pointless(now, packet) {
                self.shared.control.lock().stats.retransmissions_skipped += 1;
                return;
            }
            Priority::Retransmission
        } else {
            match self.local.get_mut(&ssrc) {
                Some(stream) if stream.audio => Priority::Audio,
                Some(stream) => {
                    if stream.rtx.is_some() && packet.payload.len() >= MIN_PADDING {
                        stream.last = Some((packet.clone(), message.transport));
                    }
                    Priority::Video
                }
                // Not ours to judge.
                None => Priority::Audio,
            }
        };
        let frame = u64::from(ssrc) << 32 | u64::from(packet.header.timestamp);
        self.push(now, PacerPacket { item: message, size, priority, frame });
        self.release(now);
    }

    fn push(&mut self, now: Instant, packet: PacerPacket<TaggedPacket>) {
        {
            let mut control = self.shared.control.lock();
            self.pacer.set_rate(now, control.estimator.pacing_rate());
            if let Some(probe) = control.estimator.next_probe() {
                self.pacer.probe(probe);
            }
        }
        let dropped = self.pacer.push(now, packet);
        if dropped.is_empty() {
            return;
        }
        let mut control = self.shared.control.lock();
        let mut last_frame = None;
        for packet in &dropped {
            if packet.priority == Priority::Video && last_frame.replace(packet.frame) != Some(packet.frame) {
                control.stats.video_frames_dropped += 1;
            }
            match packet.priority {
                Priority::Audio | Priority::Video => control.stats.pacer_dropped += 1,
                Priority::Retransmission => control.stats.retransmissions_skipped += 1,
                Priority::Padding => {}
            }
            if let (Priority::Video, Packet::Rtp(rtp)) = (packet.priority, &packet.item.message.packet) {
                self.shared.events.push(WireEvent::FrameDropped { ssrc: rtp.header.ssrc });
                push_bounded(&mut self.given_up, (rtp.header.ssrc, rtp.header.sequence_number), MAX_GIVEN_UP);
            }
        }
    }

    fn release(&mut self, now: Instant) {
        let mut padding = 0;
        loop {
            if self.pacer.padding_wanted(now) > 0 {
                match self.padding(now) {
                    Some(packet) => {
                        padding += 1;
                        let _ = self.pacer.push(now, packet);
                    }
                    None => self.pacer.cancel_probe(),
                }
            }
            let Some(paced) = self.pacer.pop(now) else { break };
            let mut message = paced.item;
            // It leaves now: the wait here is no part of the path's delay.
            message.now = now;
            if let Some(probe) = paced.probe {
                message.message.add(Attribute::Custom(Arc::new(probe)));
            }
            self.number_repair(&mut message);
            self.writes.push_back(message);
        }
        let mut control = self.shared.control.lock();
        control.stats.pacer_longest_wait = self.pacer.stats().longest_wait;
        control.stats.padding_packets += padding;
    }

    /// Gives every packet of a repairing stream the next number: those sent again on request and those sent as padding
    /// come from different hands, and no number may be used twice under one key (RFC 3711, section 3.3.1).
    fn number_repair(&mut self, message: &mut TaggedPacket) {
        if let Packet::Rtp(packet) = &mut message.message.packet
            && let Some(repair) = self.repair.get_mut(&packet.header.ssrc)
        {
            packet.header.sequence_number = repair.next_sequence;
            repair.next_sequence = repair.next_sequence.wrapping_add(1);
        }
    }

    /// The last large packet of a stream, once more (RFC 4588, section 4): a receiver drops what it has.
    fn padding(&self, now: Instant) -> Option<PacerPacket<TaggedPacket>> {
        let (stream, (ssrc, payload_type)) = self.local.values().find_map(|s| s.last.as_ref().zip(s.rtx))?;
        let (last, transport) = stream;
        let mut payload = BytesMut::with_capacity(last.payload.len() + 2);
        payload.put_u16(last.header.sequence_number);
        payload.put_slice(&last.payload);
        let header = rtp::header::Header {
            version: 2,
            marker: last.header.marker,
            payload_type,
            timestamp: last.header.timestamp,
            ssrc,
            ..Default::default()
        };
        let packet = rtp::Packet { header, payload: Bytes::from(payload) };
        let size = packet.marshal_size();
        let item = TaggedPacket {
            now,
            transport: *transport,
            message: AttributedPacket::new(Packet::Rtp(packet)).with(Attribute::Retransmission),
        };
        Some(PacerPacket { item, size, priority: Priority::Padding, frame: 0 })
    }

    /// Whether a retransmission was sent a moment ago, or is of a frame that was given up.
    fn is_pointless(&mut self, now: Instant, packet: &rtp::Packet) -> bool {
        let (ssrc, sequence) = match self.repair.get(&packet.header.ssrc) {
            Some(repair) => match packet.payload.first_chunk::<2>() {
                Some(original) => (repair.repairs, u16::from_be_bytes(*original)),
                None => return false,
            },
            None => (packet.header.ssrc, packet.header.sequence_number),
        };
        if self.given_up.contains(&(ssrc, sequence)) {
            return true;
        }
        let rtt = self.shared.control.lock().round_trip.smoothed();
        // The last request that may cross the answer was sent just before it arrived.
        let gap = rtt.unwrap_or_default() + REQUEST_INTERVAL;
        let recent = self.repeated.iter().rev().find(|(s, n, _)| (*s, *n) == (ssrc, sequence));
        if recent.is_some_and(|(_, _, at)| now.saturating_duration_since(*at) < gap) {
            return true;
        }
        push_bounded(&mut self.repeated, (ssrc, sequence, now), MAX_REPEATED);
        false
    }
}

fn push_bounded<T>(queue: &mut VecDeque<T>, item: T, limit: usize) {
    if queue.len() == limit {
        queue.pop_front();
    }
    queue.push_back(item);
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Pacing {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        match &message.message.packet {
            Packet::Rtp(_) => self.on_rtp(message),
            // Feedback is of use only while it is fresh.
            _ => self.writes.push_back(message),
        }
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.pacer.next_deadline().is_some_and(|due| due <= now) {
            self.release(now);
        }
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.pacer.next_deadline()
    }
}

impl Interceptor for Pacing {
    fn bind_local_stream(&mut self, info: &StreamInfo) {
        let audio = info.mime_type.to_ascii_lowercase().starts_with("audio/");
        let rtx = info.ssrc_rtx.zip(info.payload_type_rtx);
        self.local.insert(info.ssrc, LocalStream { audio, rtx, last: None });
        if let Some((ssrc, _)) = rtx {
            let repair = RepairStream { next_sequence: rand::random(), repairs: info.ssrc };
            self.repair.entry(ssrc).or_insert(repair);
        }
    }

    fn unbind_local_stream(&mut self, info: &StreamInfo) {
        self.local.remove(&info.ssrc);
    }

    fn bind_remote_stream(&mut self, _: &StreamInfo) {}

    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
