use std::{collections::VecDeque, time::Instant};

use parking_lot::Mutex;
use remotemedia_media::{Bitrate, NtpTime, RtpTimestamp};
use tokio::sync::Notify;

/// Something that a connection's RTCP, its estimator or its pacer has to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireEvent {
    /// The receiver of a stream of ours asks for a keyframe (PLI, FIR).
    KeyframeRequested {
        /// The stream, as it was given to the sender.
        ssrc: u32,
    },
    /// The pacer dropped a frame, without which the receiver cannot go on.
    FrameDropped {
        /// The stream, as it was given to the sender.
        ssrc: u32,
    },
    /// The sender of a stream that we receive told what its RTP clock says at a time of its wall clock.
    SenderReport {
        /// The stream.
        ssrc: u32,
        /// The sender's wall clock.
        ntp: NtpTime,
        /// Its RTP clock at that time.
        rtp: RtpTimestamp,
        /// When the report arrived.
        arrival: Instant,
    },
    /// What may be sent, all streams together, has changed.
    TargetBitrate(Bitrate),
}

/// Events that wait to be read. A newer one takes the place of an older one that says the same of the same stream, so
/// a slow reader finds what holds now; beyond 64 the oldest goes and is counted.
#[derive(Debug, Default)]
pub(super) struct EventQueue {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: VecDeque<WireEvent>,
    dropped: u64,
    closed: bool,
}

const MAX_EVENTS: usize = 64;

impl EventQueue {
    pub(super) fn push(&self, event: WireEvent) {
        let mut state = self.state.lock();
        if let Some(same) = state.waiting.iter_mut().find(|e| e.is_superseded_by(&event)) {
            *same = event;
            return;
        }
        if state.waiting.len() == MAX_EVENTS {
            state.waiting.pop_front();
            state.dropped += 1;
        }
        state.waiting.push_back(event);
        drop(state);
        self.changed.notify_one();
    }

    pub(super) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_one();
    }

    pub(super) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    pub(super) async fn next(&self) -> Option<WireEvent> {
        loop {
            {
                let mut state = self.state.lock();
                if let Some(event) = state.waiting.pop_front() {
                    return Some(event);
                }
                if state.closed {
                    // For whoever else waits.
                    self.changed.notify_one();
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }
}

impl WireEvent {
    fn is_superseded_by(&self, newer: &Self) -> bool {
        match (self, newer) {
            (Self::KeyframeRequested { ssrc: a }, Self::KeyframeRequested { ssrc: b })
            | (Self::FrameDropped { ssrc: a }, Self::FrameDropped { ssrc: b })
            | (Self::SenderReport { ssrc: a, .. }, Self::SenderReport { ssrc: b, .. }) => a == b,
            (Self::TargetBitrate(_), Self::TargetBitrate(_)) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn events_of_one_stream_coalesce_and_the_queue_stays_bounded() {
        let queue = EventQueue::default();
        for kbps in 1..=10 {
            queue.push(WireEvent::TargetBitrate(Bitrate::from_kbps(kbps)));
        }
        for ssrc in 0..2 * MAX_EVENTS as u32 {
            queue.push(WireEvent::KeyframeRequested { ssrc });
            queue.push(WireEvent::KeyframeRequested { ssrc });
        }
        queue.close();
        let mut seen = Vec::new();
        while let Some(event) = queue.next().await {
            seen.push(event);
        }
        assert_eq!(seen.len(), MAX_EVENTS);
        assert_eq!(queue.dropped(), MAX_EVENTS as u64 + 1);
    }
}
