//! When a picture is to be a keyframe though nobody new is there.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// Requests within this time of a keyframe are answered by it: it is on its way. Keyframes that bridge a gap are at least so
/// far apart.
const SPACING: Duration = Duration::from_millis(250);

/// What waits for the next picture.
#[derive(Debug, Default)]
pub(super) struct KeyframeWishes {
    asked: AtomicBool,
    gap: AtomicBool,
}

/// What waited when a picture's turn came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    asked: bool,
    gap: bool,
}

impl KeyframeWishes {
    /// A receiver asks.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// What was encoded did not get out. No keyframe made before now helps, so this stays until there is another.
    pub(super) fn bridge_gap(&self) {
        self.gap.store(true, Ordering::Release);
    }

    pub(super) fn are_waiting(&self) -> bool {
        self.asked.load(Ordering::Acquire) || self.gap.load(Ordering::Acquire)
    }

    /// When a source whose last keyframe was made at `last` may answer; `None` if at once.
    pub(super) fn due(&self, last: Option<Instant>) -> Option<Instant> {
        last.filter(|_| self.gap.load(Ordering::Acquire)).map(|at| at + SPACING)
    }

    pub(super) fn take(&self) -> Wishes {
        let take = |wish: &AtomicBool| wish.swap(false, Ordering::AcqRel);
        Wishes { asked: take(&self.asked), gap: take(&self.gap) }
    }

    /// No keyframe came of `wishes`.
    pub(super) fn put_back(&self, wishes: Wishes) {
        self.gap.fetch_or(wishes.gap, Ordering::AcqRel);
    }
}

impl Wishes {
    /// Whether an encoder whose last keyframe was made at `last` is to make one now.
    pub(super) fn call_for_one(self, last: Option<Instant>, now: Instant) -> bool {
        (self.asked || self.gap) && last.is_none_or(|at| now.saturating_duration_since(at) >= SPACING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When keyframes are made of pictures 33 ms apart, if one was made at 0 and `wish` comes at 66 ms.
    fn keyframes_after(wish: impl Fn(&KeyframeWishes)) -> Vec<u64> {
        let (wishes, start) = (KeyframeWishes::default(), Instant::now());
        let (mut last, mut made) = (Some(start), Vec::new());
        for ms in (33..1_000).step_by(33) {
            let now = start + Duration::from_millis(ms);
            let taken = wishes.take();
            if taken.call_for_one(last, now) {
                last = Some(now);
                made.push(ms);
            } else {
                wishes.put_back(taken);
            }
            if ms == 66 {
                wish(&wishes);
            }
        }
        made
    }

    #[test]
    fn a_request_that_crosses_a_keyframe_is_answered_by_it() {
        assert!(keyframes_after(KeyframeWishes::ask).is_empty());
    }

    #[test]
    fn a_gap_soon_after_a_keyframe_is_bridged_by_one_more_as_soon_as_may_be() {
        assert_eq!(keyframes_after(KeyframeWishes::bridge_gap), [264]);
    }

    #[test]
    fn a_source_that_stands_still_is_told_when_it_may_bridge_a_gap() {
        let (wishes, start) = (KeyframeWishes::default(), Instant::now());
        wishes.ask();
        assert!(wishes.are_waiting() && wishes.due(Some(start)).is_none());
        wishes.bridge_gap();
        assert_eq!((wishes.due(None), wishes.due(Some(start))), (None, Some(start + SPACING)));
    }
}
