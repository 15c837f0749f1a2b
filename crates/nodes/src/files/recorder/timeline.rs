//! The media time of one peer, as its recordings keep it.

use std::time::Duration;

use remotemedia_media::MediaKind;

/// A jump of more than this, in either direction, is a new start of the sender's clock and no gap.
pub(super) const LONGEST_GAP: Duration = Duration::from_secs(10);

/// Maps the timestamps of one peer to the time of its recordings, in nanoseconds from the first thing that was recorded.
///
/// Sound and pictures share it, so that they stay together, in one file or in two.
#[derive(Debug, Default)]
pub(super) struct Timeline {
    /// What is subtracted from timestamps.
    offset: Option<i128>,
    /// When the first thing without a timestamp arrived, less its place.
    arrival_offset: Option<i128>,
    /// Where the newest sound ends, and where the newest picture is.
    ends: [Option<i128>; 2],
}

impl Timeline {
    /// The place of something with `timestamp` that arrived at `arrival` and is `length` long. It may be before the
    /// beginning, where things arrive out of order.
    pub(super) fn place(
        &mut self,
        kind: MediaKind,
        timestamp: Option<Duration>,
        arrival: Duration,
        length: Duration,
    ) -> i128 {
        let index = usize::from(kind == MediaKind::Video);
        let newest = self.ends.iter().flatten().max().copied().unwrap_or(0);
        let place = match timestamp {
            Some(timestamp) => {
                let timestamp = nanos(timestamp);
                let place = timestamp - *self.offset.get_or_insert(timestamp - newest);
                // Near the newest of either kind, so that a camera that was off for an hour is where the sound is.
                let is_near = |end: i128| (place - end).unsigned_abs() <= LONGEST_GAP.as_nanos();
                if is_near(newest) || self.ends[index].is_some_and(is_near) {
                    place
                } else {
                    self.offset = Some(timestamp - newest);
                    newest
                }
            }
            None => match (kind, self.ends[0]) {
                // Sound without timestamps is sound without gaps.
                (MediaKind::Audio, Some(end)) => end,
                _ => nanos(arrival) - *self.arrival_offset.get_or_insert(nanos(arrival) - newest),
            },
        };
        self.ends[index] = Some(place + nanos(length));
        place
    }
}

/// A duration in nanoseconds that may be subtracted from.
pub(super) fn nanos(duration: Duration) -> i128 {
    // A duration has less than 2^94 nanoseconds.
    duration.as_nanos() as i128
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i128 = 1_000_000;

    fn audio(timeline: &mut Timeline, at: u64) -> i128 {
        let at = Duration::from_millis(at);
        timeline.place(MediaKind::Audio, Some(at), Duration::ZERO, Duration::from_millis(20)) / MS
    }

    fn video(timeline: &mut Timeline, at: u64) -> i128 {
        timeline.place(MediaKind::Video, Some(Duration::from_millis(at)), Duration::ZERO, Duration::ZERO) / MS
    }

    #[test]
    fn time_begins_with_the_first_and_sound_and_pictures_keep_their_offset() {
        let mut timeline = Timeline::default();
        assert_eq!(video(&mut timeline, 5_000), 0);
        assert_eq!(audio(&mut timeline, 5_140), 140);
        assert_eq!(video(&mut timeline, 4_990), -10);
        assert_eq!(audio(&mut timeline, 9_000), 4_000);
    }

    #[test]
    fn a_new_start_of_the_clock_goes_on_at_once_for_both() {
        let mut timeline = Timeline::default();
        audio(&mut timeline, 0);
        video(&mut timeline, 5);
        assert_eq!(audio(&mut timeline, 900_000), 20);
        assert_eq!(video(&mut timeline, 900_003), 23);
        assert_eq!(audio(&mut timeline, 100), 40);
    }

    #[test]
    fn who_was_silent_for_long_is_back_at_the_time_of_the_other() {
        let mut timeline = Timeline::default();
        audio(&mut timeline, 0);
        for second in 0..3_600 {
            assert_eq!(video(&mut timeline, second * 1_000), i128::from(second) * 1_000);
        }
        assert_eq!(audio(&mut timeline, 3_599_500), 3_599_500);
        assert_eq!(video(&mut timeline, 3_600_000), 3_600_000);
    }

    #[test]
    fn without_timestamps_sound_counts_samples_and_pictures_go_by_their_arrival() {
        let mut timeline = Timeline::default();
        let mut place = |kind, arrival, length| {
            let millis = Duration::from_millis;
            timeline.place(kind, None, millis(arrival), millis(length)) / MS
        };
        assert_eq!(place(MediaKind::Audio, 1_000, 20), 0);
        assert_eq!(place(MediaKind::Audio, 1_400, 20), 20);
        assert_eq!(place(MediaKind::Video, 1_200, 0), 200);
    }
}
