//! When a picture is to be a keyframe though nobody new is there.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;

/// Requests within this time of a keyframe are answered by it: it is on its way. Keyframes that bridge a gap are at least so
/// far apart.
const SPACING: Duration = Duration::from_millis(250);

/// What waits for the next picture.
#[derive(Debug, Default)]
pub(super) struct KeyframeWishes {
    asked: AtomicBool,
    /// When something that was encoded did not get out. No keyframe made before helps.
    gap: Mutex<Option<Instant>>,
}

/// What waited when a picture's turn came.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wishes {
    asked: bool,
    gap: Option<Instant>,
}

impl KeyframeWishes {
    /// A receiver asks.
    pub(super) fn ask(&self) {
        self.asked.store(true, Ordering::Release);
    }

    /// What was encoded before `now` did not get out. This stays until every encoder has made a keyframe since.
    pub(super) fn bridge_gap(&self, now: Instant) {
        *self.gap.lock() = Some(now);
    }

    pub(super) fn are_waiting(&self) -> bool {
        self.asked.load(Ordering::Acquire) || self.gap.lock().is_some()
    }

    /// When a gap may be bridged by encoders of which the last one to make a keyframe made it at `last`; `None` without a gap.
    pub(super) fn due(&self, last: Option<Instant>) -> Option<Instant> {
        let gap = (*self.gap.lock())?;
        Some(last.map_or(gap, |last| gap.max(last + SPACING)))
    }

    pub(super) fn take(&self) -> Wishes {
        Wishes { asked: self.asked.swap(false, Ordering::AcqRel), gap: *self.gap.lock() }
    }

    /// Every encoder has made a keyframe at `oldest` or later; `None` if one has made none yet.
    pub(super) fn all_made(&self, oldest: Option<Instant>) {
        self.gap.lock().take_if(|gap| oldest.is_some_and(|oldest| oldest >= *gap));
    }

    /// Nobody is there who misses anything.
    pub(super) fn forget_gap(&self) {
        *self.gap.lock() = None;
    }
}

impl Wishes {
    /// Whether an encoder whose last keyframe was made at `last` is to make one now.
    pub(super) fn call_for_one(self, last: Option<Instant>, now: Instant) -> bool {
        let misses_one = self.gap.is_some_and(|gap| last.is_none_or(|last| last < gap));
        (self.asked || misses_one) && last.is_none_or(|last| now.saturating_duration_since(last) >= SPACING)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When keyframes are made of pictures 33 ms apart by encoders whose last ones were made at these times, if `wish` comes at
    /// 166 ms.
    fn keyframes_after<const N: usize>(lasts: [u64; N], wish: impl Fn(&KeyframeWishes, Instant)) -> [Vec<u64>; N] {
        let (wishes, start) = (KeyframeWishes::default(), Instant::now());
        let at = |ms| start + Duration::from_millis(ms);
        let mut lasts = lasts.map(at);
        let mut made = [const { Vec::new() }; N];
        for ms in (133..3_000).step_by(33) {
            let taken = wishes.take();
            for (last, made) in lasts.iter_mut().zip(&mut made) {
                if taken.call_for_one(Some(*last), at(ms)) {
                    *last = at(ms);
                    made.push(ms);
                }
            }
            wishes.all_made(lasts.iter().min().copied());
            if ms == 166 {
                wish(&wishes, at(ms));
            }
        }
        assert!(!wishes.are_waiting());
        made
    }

    #[test]
    fn a_request_that_crosses_a_keyframe_is_answered_by_it() {
        assert_eq!(keyframes_after([100], |wishes, _| wishes.ask()), [[0u64; 0]]);
    }

    #[test]
    fn a_gap_soon_after_a_keyframe_is_bridged_by_one_more_as_soon_as_may_be() {
        assert_eq!(keyframes_after([100], KeyframeWishes::bridge_gap), [[364]]);
    }

    #[test]
    fn each_of_two_encoders_bridges_a_gap_once_however_far_apart_their_keyframes_were() {
        assert_eq!(keyframes_after([0, 100], KeyframeWishes::bridge_gap), [[265], [364]]);
    }

    #[test]
    fn a_source_that_stands_still_is_told_when_it_may_bridge_a_gap() {
        let (wishes, start) = (KeyframeWishes::default(), Instant::now());
        wishes.ask();
        assert!(wishes.are_waiting() && wishes.due(Some(start)).is_none());
        wishes.bridge_gap(start);
        assert_eq!((wishes.due(None), wishes.due(Some(start))), (Some(start), Some(start + SPACING)));
        wishes.forget_gap();
        assert_eq!(wishes.due(Some(start)), None);
    }
}
