use std::{
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use parking_lot::RwLock;
use remotemedia_media::{Codec, MediaKind, RtpTimestamp};
use remotemedia_rtp::{DuplicateFilter, ReceivedPacket, SequenceUnwrapper};
use rtc::{rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication, rtp};
use tokio::time::Instant;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use super::peer::Peer;
use crate::{TrackItem, incoming::TrackQueue};

/// Which codec a payload type means on this connection.
pub(super) type PayloadTypes = Arc<RwLock<Vec<(Codec, u8)>>>;

/// The least time between two keyframe requests, and what is assumed until the round-trip time is known.
const MIN_KEYFRAME_INTERVAL: Duration = Duration::from_millis(50);
const UNKNOWN_RTT: Duration = Duration::from_millis(200);

/// Reads a track for as long as it lives. Never waits for whoever uses it: what is not read in time goes.
pub(super) async fn read_track(
    track: Arc<dyn TrackRemote>,
    kind: MediaKind,
    payload_types: PayloadTypes,
    queue: Arc<TrackQueue>,
    peer: Arc<Peer>,
) {
    let mut reader = Reader {
        payload_types,
        peer,
        queue: queue.clone(),
        kind,
        ssrc: None,
        sequence: SequenceUnwrapper::new(),
        filter: DuplicateFilter::new(),
        asked: None,
    };
    let mut opened = false;
    loop {
        tokio::select! {
            biased;
            event = track.poll() => match event {
                Some(TrackRemoteEvent::OnRtpPacket(packet)) => reader.take(packet),
                Some(TrackRemoteEvent::OnOpen(init)) => {
                    reader.ssrc.get_or_insert(init.ssrc);
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
    payload_types: PayloadTypes,
    peer: Arc<Peer>,
    queue: Arc<TrackQueue>,
    kind: MediaKind,
    ssrc: Option<u32>,
    sequence: SequenceUnwrapper,
    filter: DuplicateFilter,
    asked: Option<Instant>,
}

impl Reader {
    fn take(&mut self, packet: rtp::Packet) {
        let header = &packet.header;
        // Padding alone carries no media.
        if packet.payload.is_empty() {
            return;
        }
        let codec =
            self.payload_types.read().iter().find(|(_, pt)| *pt == header.payload_type).map(|(codec, _)| *codec);
        let Some(codec) = codec.filter(|codec| codec.kind() == self.kind) else { return };
        if self.ssrc != Some(header.ssrc) {
            self.ssrc = Some(header.ssrc);
            self.sequence = SequenceUnwrapper::new();
            self.filter = DuplicateFilter::new();
        }
        let counters = &self.peer.counters;
        let sequence = self.sequence.unwrap(header.sequence_number);
        // Browsers repeat old packets to probe for bandwidth, and retransmissions cross the original.
        if !self.filter.is_new(sequence) {
            counters.duplicates.fetch_add(1, Relaxed);
            return;
        }
        counters.packets_received.fetch_add(1, Relaxed);
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

    fn push(&self, item: TrackItem) {
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
