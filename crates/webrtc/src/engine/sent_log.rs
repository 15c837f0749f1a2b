//! How much sound was sent, and when on the RTP clock.

use std::{collections::VecDeque, time::Duration};

use remotemedia_media::RtpTimestamp;

/// Two seconds: far more than a playout is behind.
const DEPTH: usize = 100;

/// The sound that a source has sent.
#[derive(Debug, Default)]
pub(crate) struct SentLog {
    /// All of it.
    total: Duration,
    /// The last frames: the timestamp behind each, and how much sound was sent up to there.
    recent: VecDeque<(RtpTimestamp, Duration)>,
    /// How much was sent before those.
    before: Duration,
}

impl SentLog {
    /// A frame was sent that ends at `end`, with `sound` at its beginning; nothing that is not sound is remembered.
    pub(crate) fn sent(&mut self, end: RtpTimestamp, sound: Duration) {
        if sound.is_zero() {
            return;
        }
        if self.recent.len() == DEPTH
            && let Some((_, position)) = self.recent.pop_front()
        {
            self.before = position;
        }
        self.total += sound;
        self.recent.push_back((end, self.total));
    }

    /// How much sound was sent.
    pub(crate) fn total(&self) -> Duration {
        self.total
    }

    /// The timestamp behind the last frame; `None` if nothing was sent.
    pub(crate) fn end(&self) -> Option<RtpTimestamp> {
        self.recent.back().map(|(end, _)| *end)
    }

    /// How much of the sound lies in front of `timestamp`.
    pub(crate) fn until(&self, timestamp: RtpTimestamp) -> Duration {
        let mut position = self.before;
        for (end, until) in &self.recent {
            let missing = u64::try_from(end.since(timestamp)).unwrap_or(0);
            if missing > 0 {
                // Within a frame, of which a part was heard.
                let unheard = Duration::from_nanos(missing * 1_000_000_000 / 48_000);
                return position.max(until.saturating_sub(unheard));
            }
            position = *until;
        }
        position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FRAME: Duration = Duration::from_millis(20);

    #[test]
    fn what_was_heard_is_counted_within_frames_over_pauses_and_wraps() {
        let mut log = SentLog::default();
        let start = RtpTimestamp(u32::MAX - 1_000);
        log.sent(start + 960, FRAME);
        // A second of silence that nothing was sent for.
        log.sent(start + 49_920, FRAME);
        assert_eq!((log.total(), log.end()), (FRAME * 2, Some(start + 49_920)));
        let heard = |ticks: u32| log.until(start + ticks);
        assert_eq!(heard(0), Duration::ZERO);
        assert_eq!(heard(480), FRAME / 2);
        assert_eq!(heard(960), FRAME);
        assert_eq!(heard(30_000), FRAME);
        assert_eq!(heard(49_440), FRAME + FRAME / 2);
        assert_eq!(heard(60_000), FRAME * 2);
    }

    #[test]
    fn only_the_last_frames_are_remembered_one_by_one() {
        let mut log = SentLog::default();
        for n in 1..=1_000 {
            log.sent(RtpTimestamp(n * 960), FRAME);
        }
        assert_eq!(log.until(RtpTimestamp(990 * 960)), FRAME * 990);
        assert_eq!(log.until(RtpTimestamp(960)), FRAME * 900, "what is long past was heard");
    }
}
