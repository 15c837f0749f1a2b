use std::{
    collections::VecDeque,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_media::{Codec, MediaKind, NtpTime, PeerId, RtpTimestamp, StreamId};
use remotemedia_rtp::ReceivedPacket;
use tokio::sync::Notify;

use crate::stream_key::StreamKey;

/// Media that a peer sends.
///
/// Packets wait here until they are read: 1,024 of them, then the oldest are dropped and counted
/// ([`IncomingTrack::dropped`]).
#[derive(Debug)]
pub struct IncomingTrack {
    peer: PeerId,
    kind: MediaKind,
    stream: Option<StreamId>,
    queue: Arc<TrackQueue>,
}

/// What an [`IncomingTrack`] yields.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrackItem {
    /// A media packet, each sequence number only once, in the order of arrival.
    Packet {
        /// What it is encoded with; a peer may switch at any time.
        codec: Codec,
        /// The packet.
        packet: ReceivedPacket,
    },
    /// What the peer's clock says (RFC 3550, section 6.4.1).
    SenderReport {
        /// Its wall clock.
        ntp: NtpTime,
        /// The media time at that moment.
        rtp: RtpTimestamp,
    },
    /// The path was interrupted: packets are missing, and a keyframe has been asked for.
    Interrupted,
}

impl IncomingTrack {
    pub(crate) fn new(peer: PeerId, key: &StreamKey, queue: Arc<TrackQueue>) -> Self {
        Self { peer, kind: key.kind, stream: key.stream.clone(), queue }
    }

    /// Who sends it.
    pub fn peer(&self) -> &PeerId {
        &self.peer
    }

    /// Sound or pictures.
    pub fn kind(&self) -> MediaKind {
        self.kind
    }

    /// The name of the stream; `None` for the main one of its kind.
    ///
    /// Another peer of this library names what it sends with [`Mesh::open_stream`](crate::Mesh::open_stream). Of others, the
    /// first section of a kind is the main one, and any further one is called as its `MediaStream` (RFC 8830), or as the track
    /// itself if that is no [`StreamId`] or is taken.
    pub fn stream(&self) -> Option<&StreamId> {
        self.stream.as_ref()
    }

    /// The next item; `None` once the track has ended. Cancel-safe.
    pub async fn recv(&mut self) -> Option<TrackItem> {
        self.queue.pop().await
    }

    /// Asks the peer for a keyframe. Requests go out at most once per round trip; those in between are not kept.
    pub fn request_keyframe(&self) {
        self.queue.keyframe_wanted.notify_one();
    }

    /// The round-trip time to the peer, smoothed, at the newest packet; `None` until it is known.
    pub fn round_trip_time(&self) -> Option<Duration> {
        Some(self.queue.rtt_us.load(Relaxed)).filter(|us| *us > 0).map(Duration::from_micros)
    }

    /// Packets dropped because they were not read in time.
    pub fn dropped(&self) -> u64 {
        self.queue.dropped.load(Relaxed)
    }
}

impl Drop for IncomingTrack {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}

/// The queue between the task that reads a track and whoever uses it.
#[derive(Debug, Default)]
pub(crate) struct TrackQueue {
    state: Mutex<State>,
    filled: Notify,
    pub(crate) keyframe_wanted: Notify,
    /// The round-trip time in microseconds; 0 until it is known.
    pub(crate) rtt_us: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    items: VecDeque<TrackItem>,
    ended: bool,
    abandoned: bool,
}

impl TrackQueue {
    const DEPTH: usize = 1_024;

    /// Takes an item; answers how many old ones had to go.
    pub(crate) fn push(&self, item: TrackItem) -> u64 {
        let mut state = self.state.lock();
        if state.ended || state.abandoned {
            return 0;
        }
        let mut lost = 0;
        if state.items.len() >= Self::DEPTH {
            state.items.pop_front();
            self.dropped.fetch_add(1, Relaxed);
            lost = 1;
        }
        state.items.push_back(item);
        drop(state);
        self.filled.notify_one();
        lost
    }

    pub(crate) fn end(&self) {
        self.state.lock().ended = true;
        self.filled.notify_one();
    }

    async fn pop(&self) -> Option<TrackItem> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(item) = state.items.pop_front() {
                    return Some(item);
                }
                if state.ended {
                    return None;
                }
            }
            self.filled.notified().await;
        }
    }

    fn abandon(&self) {
        let mut state = self.state.lock();
        state.abandoned = true;
        state.items.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track() -> (IncomingTrack, Arc<TrackQueue>) {
        let queue = Arc::new(TrackQueue::default());
        (IncomingTrack::new("bob".parse().unwrap(), &StreamKey::main(MediaKind::Audio), queue.clone()), queue)
    }

    fn report(n: u32) -> TrackItem {
        TrackItem::SenderReport { ntp: NtpTime(0), rtp: RtpTimestamp(n) }
    }

    #[tokio::test]
    async fn an_unread_track_keeps_the_newest_items_and_counts_the_rest() {
        let (mut track, queue) = track();
        for n in 0..TrackQueue::DEPTH as u32 + 10 {
            queue.push(report(n));
        }
        assert_eq!(track.dropped(), 10);
        assert_eq!(track.recv().await, Some(report(10)));
    }

    #[tokio::test]
    async fn a_track_that_ended_yields_what_is_left_and_then_nothing() {
        let (mut track, queue) = track();
        queue.push(report(1));
        queue.end();
        assert_eq!(track.recv().await, Some(report(1)));
        assert_eq!(track.recv().await, None);
    }

    #[tokio::test]
    async fn a_dropped_track_holds_nothing() {
        let (track, queue) = track();
        drop(track);
        queue.push(report(1));
        assert!(queue.state.lock().items.is_empty());
    }
}
