//! Whether media comes from a peer that stays connected.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use remotemedia_media::MediaKind;
use tokio::time::Instant;

use super::actor::Actor;
use crate::MeshEvent;

/// How long nothing may come before media counts as muted. Opus sends a packet every 400 ms through silence, and browsers
/// say anew what a still picture shows within a second.
const MUTED_AFTER: Duration = Duration::from_secs(2);

/// Tells when media of a kind stops coming and when it comes again.
#[derive(Debug, Default)]
pub(super) struct Flow {
    packets: u64,
    /// When the last packets were seen; `None` before the first.
    seen: Option<Instant>,
    muted: bool,
}

impl Flow {
    /// Takes the count of packets so far; answers whether it is muted now, if that has changed.
    fn update(&mut self, packets: u64, now: Instant) -> Option<bool> {
        let comes = packets > self.packets;
        if comes {
            (self.packets, self.seen) = (packets, Some(now));
        }
        let muted = !comes && (self.muted || self.seen.is_some_and(|seen| now - seen >= MUTED_AFTER));
        (std::mem::replace(&mut self.muted, muted) != muted).then_some(muted)
    }

    /// Another connection begins, in which nothing has come yet; `packets` came before.
    fn begin_anew(&mut self, packets: u64) {
        *self = Self { packets, ..Self::default() };
    }
}

impl Actor {
    /// Forgets what came in a connection that is over.
    pub(super) fn forget_flow(&mut self) {
        for (kind, flow) in [MediaKind::Audio, MediaKind::Video].into_iter().zip(&mut self.flows) {
            flow.begin_anew(self.peer.counters.received(kind).packets.load(Relaxed));
        }
    }

    /// Looks at what came since it was last called, and tells if media of a kind stopped or goes on.
    pub(super) fn follow_flow(&mut self, now: Instant) {
        for (kind, flow) in [MediaKind::Audio, MediaKind::Video].into_iter().zip(&mut self.flows) {
            let packets = self.peer.counters.received(kind).packets.load(Relaxed);
            let Some(muted) = flow.update(packets, now) else { continue };
            let peer = self.peer.id.clone();
            let event =
                if muted { MeshEvent::TrackMuted { peer, kind } } else { MeshEvent::TrackUnmuted { peer, kind } };
            self.shared.event(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_stops_for_two_seconds_is_muted_until_it_goes_on_and_what_never_came_is_not() {
        let (mut flow, begin) = (Flow::default(), Instant::now());
        let mut at = |second: u64, packets| flow.update(packets, begin + Duration::from_secs(second));
        assert_eq!(at(1, 0), None);
        assert_eq!(at(9, 0), None);
        assert_eq!(at(10, 5), None);
        assert_eq!(at(11, 5), None);
        assert_eq!(at(12, 5), Some(true));
        assert_eq!(at(13, 5), None);
        assert_eq!(at(14, 6), Some(false));
        assert_eq!(at(15, 6), None);
        assert_eq!(at(16, 6), Some(true));
        flow.begin_anew(9);
        let mut at = |second: u64, packets| flow.update(packets, begin + Duration::from_secs(second));
        assert_eq!((at(17, 9), at(20, 9), at(21, 10)), (None, None, None));
        assert_eq!(at(23, 10), Some(true));
    }
}
