use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use parking_lot::{Mutex, RwLock};
use remotemedia_media::{Codec, MediaKind, RtpTimestamp};
use remotemedia_rtp::{DuplicateFilter, ReceivedPacket, SequenceUnwrapper};
use rtc::{rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication, rtp};
use tokio::time::Instant;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use super::{missing::MissingPackets, peer::Peer};
use crate::{TrackItem, incoming::TrackQueue};

/// Where what comes in on a connection belongs.
#[derive(Default)]
pub(super) struct Routes {
    codecs: RwLock<Vec<(Codec, u8)>>,
    streams: Mutex<Streams>,
}

#[derive(Default)]
struct Streams {
    known: Vec<(u32, Arc<TrackQueue>)>,
    /// Reports that came before the first packet of their stream.
    early: VecDeque<(u32, TrackItem)>,
}

impl Routes {
    /// SSRCs that are kept: a peer that keeps changing them is not worth more.
    const STREAMS: usize = 16;

    /// Which codec a payload type means from now on.
    pub(super) fn set_codecs(&self, codecs: Vec<(Codec, u8)>) {
        *self.codecs.write() = codecs;
    }

    fn codec(&self, payload_type: u8) -> Option<Codec> {
        self.codecs.read().iter().find(|(_, pt)| *pt == payload_type).map(|(codec, _)| *codec)
    }

    fn add_stream(&self, ssrc: u32, queue: &Arc<TrackQueue>) {
        let mut streams = self.streams.lock();
        streams.known.retain(|(known, _)| *known != ssrc);
        if streams.known.len() >= Self::STREAMS {
            streams.known.remove(0);
        }
        streams.known.push((ssrc, queue.clone()));
        if let Some(at) = streams.early.iter().position(|(early, _)| *early == ssrc)
            && let Some((_, report)) = streams.early.remove(at)
        {
            queue.push(report);
        }
    }

    /// Hands a sender report to the track it belongs to, at the latest when that begins.
    pub(super) fn report(&self, ssrc: u32, report: TrackItem) {
        let mut streams = self.streams.lock();
        if let Some((_, queue)) = streams.known.iter().find(|(known, _)| *known == ssrc) {
            queue.push(report);
            return;
        }
        streams.early.retain(|(early, _)| *early != ssrc);
        if streams.early.len() >= Self::STREAMS {
            streams.early.pop_front();
        }
        streams.early.push_back((ssrc, report));
    }
}

/// The least time between two keyframe requests, and what is assumed until the round-trip time is known.
const MIN_KEYFRAME_INTERVAL: Duration = Duration::from_millis(50);
const UNKNOWN_RTT: Duration = Duration::from_millis(200);

/// Reads a track for as long as it lives. Never waits for whoever uses it: what is not read in time goes.
pub(super) async fn read_track(
    track: Arc<dyn TrackRemote>,
    kind: MediaKind,
    routes: Arc<Routes>,
    queue: Arc<TrackQueue>,
    peer: Arc<Peer>,
) {
    let mut reader = Reader {
        routes,
        peer,
        queue: queue.clone(),
        kind,
        ssrc: None,
        sequence: SequenceUnwrapper::new(),
        filter: DuplicateFilter::new(),
        missing: MissingPackets::default(),
        asked: None,
    };
    let mut opened = false;
    loop {
        tokio::select! {
            biased;
            event = track.poll() => match event {
                Some(TrackRemoteEvent::OnRtpPacket(packet)) => reader.take(packet),
                Some(TrackRemoteEvent::OnOpen(_)) => {
                    // The path was away: what was lost meanwhile is not asked for again, only a keyframe helps.
                    if std::mem::replace(&mut opened, true) {
                        reader.push(TrackItem::Interrupted);
                        reader.request_keyframe(&*track).await;
                    }
                }
                Some(TrackRemoteEvent::OnEnded) | None => break,
                Some(_) => {}
            },
            () = queue.keyframe_wanted.notified() => reader.request_keyframe(&*track).await,
        }
    }
    queue.end();
}

struct Reader {
    routes: Arc<Routes>,
    peer: Arc<Peer>,
    queue: Arc<TrackQueue>,
    kind: MediaKind,
    ssrc: Option<u32>,
    sequence: SequenceUnwrapper,
    filter: DuplicateFilter,
    missing: MissingPackets,
    asked: Option<Instant>,
}

impl Reader {
    fn take(&mut self, packet: rtp::Packet) {
        let header = &packet.header;
        let codec = self.routes.codec(header.payload_type);
        // Padding alone carries no media.
        let media = codec.filter(|codec| codec.kind() == self.kind && !packet.payload.is_empty());
        let Some(codec) = media else {
            // It has a number of its own all the same.
            if self.ssrc == Some(header.ssrc) {
                self.note(header.sequence_number);
            }
            return;
        };
        if self.ssrc != Some(header.ssrc) {
            self.ssrc = Some(header.ssrc);
            self.routes.add_stream(header.ssrc, &self.queue);
            self.sequence = SequenceUnwrapper::new();
            self.filter = DuplicateFilter::new();
            let old = std::mem::take(&mut self.missing);
            self.peer.counters.received(self.kind).missing.fetch_add(old.awaited(), Relaxed);
        }
        let sequence = self.note(header.sequence_number);
        let counters = &self.peer.counters;
        // Browsers repeat old packets to probe for bandwidth, and retransmissions cross the original.
        if !self.filter.is_new(sequence) {
            counters.duplicates.fetch_add(1, Relaxed);
            return;
        }
        counters.received(self.kind).packets.fetch_add(1, Relaxed);
        counters.bytes_received.fetch_add(packet.payload.len() as u64, Relaxed);
        let packet = ReceivedPacket {
            sequence,
            timestamp: RtpTimestamp(header.timestamp),
            marker: header.marker,
            payload: packet.payload,
            arrival: Instant::now().into_std(),
        };
        self.push(TrackItem::Packet { codec, packet });
    }

    /// Answers the extended form of a number that came.
    fn note(&mut self, sequence_number: u16) -> u64 {
        let sequence = self.sequence.unwrap(sequence_number);
        let given_up = self.missing.arrived(sequence, Instant::now());
        self.peer.counters.received(self.kind).missing.fetch_add(given_up, Relaxed);
        sequence
    }

    fn push(&self, item: TrackItem) {
        self.queue.rtt_us.store(self.peer.counters.rtt_us.load(Relaxed), Relaxed);
        let lost = self.queue.push(item);
        self.peer.counters.packets_unread.fetch_add(lost, Relaxed);
    }

    async fn request_keyframe(&mut self, track: &dyn TrackRemote) {
        let Some(media_ssrc) = self.ssrc.filter(|_| self.kind == MediaKind::Video) else { return };
        let now = Instant::now();
        let rtt = match self.peer.counters.rtt_us.load(Relaxed) {
            0 => UNKNOWN_RTT,
            us => Duration::from_micros(us),
        };
        let interval = rtt.max(MIN_KEYFRAME_INTERVAL);
        if self.asked.is_some_and(|asked| now.duration_since(asked) < interval) {
            return;
        }
        self.asked = Some(now);
        self.peer.counters.keyframes_requested.fetch_add(1, Relaxed);
        let request = PictureLossIndication { sender_ssrc: 0, media_ssrc };
        // Fails only when the connection is closed, which ends this task anyway.
        let _ = track.write_rtcp(vec![Box::new(request)]).await;
    }
}

#[cfg(test)]
mod tests {
    use remotemedia_media::PeerId;

    use super::*;
    use crate::connection::peer::Start;

    fn reader(kind: MediaKind) -> Reader {
        let routes = Routes::default();
        routes.set_codecs(vec![(Codec::Vp8, 96), (Codec::Opus, 111)]);
        let id: PeerId = "bob".parse().unwrap();
        Reader {
            routes: Arc::new(routes),
            peer: Peer::new(id, super::super::EarlyCandidates::default(), Start::Offer).0,
            queue: Arc::default(),
            kind,
            ssrc: None,
            sequence: SequenceUnwrapper::new(),
            filter: DuplicateFilter::new(),
            missing: MissingPackets::default(),
            asked: None,
        }
    }

    fn packet(payload_type: u8, sequence_number: u16, payload: &'static [u8]) -> rtp::Packet {
        let header = rtp::header::Header { version: 2, payload_type, sequence_number, ssrc: 7, ..Default::default() };
        rtp::Packet { header, payload: payload.into() }
    }

    #[tokio::test]
    async fn packets_that_a_browser_repeats_to_probe_count_once() {
        let mut reader = reader(MediaKind::Video);
        for sequence in [10, 11, 10, 12, 11, 11, 13] {
            reader.take(packet(96, sequence, b"frame"));
        }
        let counters = &reader.peer.counters;
        assert_eq!(counters.received(MediaKind::Video).packets.load(Relaxed), 4);
        assert_eq!(counters.duplicates.load(Relaxed), 3);
        let mut track = crate::IncomingTrack::new(
            reader.peer.id.clone(),
            &crate::stream_key::StreamKey::main(MediaKind::Video),
            reader.queue.clone(),
        );
        reader.queue.end();
        let mut numbers = Vec::new();
        while let Some(TrackItem::Packet { packet, .. }) = track.recv().await {
            numbers.push(packet.sequence as u16);
        }
        assert_eq!(numbers, [10, 11, 12, 13]);
    }

    #[tokio::test]
    async fn padding_and_codecs_that_nobody_agreed_on_are_no_media() {
        let mut reader = reader(MediaKind::Video);
        reader.take(packet(96, 1, b"frame"));
        reader.take(packet(96, 2, b""));
        reader.take(packet(111, 3, b"sound"));
        reader.take(packet(77, 4, b"what"));
        reader.take(packet(96, 5, b"frame"));
        let counters = reader.peer.counters.received(MediaKind::Video);
        assert_eq!(counters.packets.load(Relaxed), 2);
        // Their numbers are used up, so that nothing seems to be lost.
        assert_eq!(reader.missing.awaited(), 0);
    }
}
