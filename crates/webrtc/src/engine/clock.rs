//! The media clock: one per transport, so that sources can take over from each other without a jump.

use std::time::Duration;

use remotemedia_media::RtpTimestamp;
use tokio::time::Instant;

/// A gap in audio after which its timestamps follow the wall clock again.
pub(crate) const AUDIO_GAP: Duration = Duration::from_millis(100);

/// A difference between given timestamps and the wall clock after which the given ones are taken for a new timeline.
const TIMELINE_JUMP: Duration = Duration::from_secs(1);

/// Where every source of a transport counts from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MediaClock {
    epoch: Instant,
    audio_base: RtpTimestamp,
    video_base: RtpTimestamp,
}

impl MediaClock {
    /// Starts at `now`, with random offsets as RFC 3550, section 5.1, asks for.
    pub(crate) fn new(now: Instant) -> Self {
        Self { epoch: now, audio_base: RtpTimestamp(rand::random()), video_base: RtpTimestamp(rand::random()) }
    }

    fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.epoch)
    }
}

/// Stamps one source's audio.
#[derive(Debug)]
pub(crate) struct AudioStamper {
    clock: MediaClock,
    timeline: Option<Timeline>,
}

/// Where a run of audio without a gap stands.
#[derive(Debug)]
struct Timeline {
    /// Stamp of the next sample to be sent.
    next: RtpTimestamp,
    /// When the last pushed frame would have ended had it been pushed in real time.
    pushed_until: Instant,
    /// Where the last pushed frame ended on its own clock, for frames that bring timestamps.
    given_until: Option<Duration>,
    /// What comes next does not follow.
    is_cut: bool,
}

impl AudioStamper {
    pub(crate) fn new(clock: MediaClock) -> Self {
        Self { clock, timeline: None }
    }

    /// Notes a frame of `duration` that came in at `now`. Answers whether a new run begins with it, in which case what
    /// is left over of the old one must be cut off before.
    pub(crate) fn push(&mut self, now: Instant, given: Option<Duration>, duration: Duration) -> bool {
        let follows = self.follows(now, given);
        if !follows {
            self.timeline = Some(self.begin(now, given));
        }
        if let Some(t) = &mut self.timeline {
            t.pushed_until = t.pushed_until.max(now) + duration;
            // A given clock that jitters is followed by its own count; only its jumps matter.
            t.given_until = match (given, t.given_until) {
                (Some(_), Some(until)) if follows => Some(until.saturating_add(duration)),
                (Some(at), _) => Some(at.saturating_add(duration)),
                (None, until) => until.map(|until| until.saturating_add(duration)),
            };
        }
        !follows
    }

    /// Whatever comes next does not follow what came before, part of which was not sent.
    pub(crate) fn cut(&mut self) {
        if let Some(t) = &mut self.timeline {
            t.is_cut = true;
        }
    }

    /// Whether a frame that comes in at `now` goes on where the last one ended.
    pub(crate) fn follows(&self, now: Instant, given: Option<Duration>) -> bool {
        self.timeline.as_ref().filter(|t| !t.is_cut).is_some_and(|t| match (given, t.given_until) {
            (Some(at), Some(until)) => at.abs_diff(until) <= AUDIO_GAP,
            (Some(_), None) => false,
            (None, _) => now.saturating_duration_since(t.pushed_until) <= AUDIO_GAP,
        })
    }

    /// The stamp of the next `samples_48k` samples, counted at 48 kHz.
    pub(crate) fn take(&mut self, samples_48k: u32) -> RtpTimestamp {
        let Some(t) = &mut self.timeline else { return self.clock.audio_base };
        let stamp = t.next;
        t.next = stamp + samples_48k;
        stamp
    }

    fn begin(&self, now: Instant, given: Option<Duration>) -> Timeline {
        let by_wall_clock = self.clock.audio_base.advance(self.clock.elapsed(now), 48_000);
        let next = match &self.timeline {
            // A skip within a given timeline keeps its length; whatever else happened, time runs forward.
            Some(old) => {
                let skip =
                    given.zip(old.given_until).filter(|_| !old.is_cut).and_then(|(at, until)| at.checked_sub(until));
                match skip.filter(|s| *s < TIMELINE_JUMP) {
                    Some(skip) => old.next.advance(skip, 48_000),
                    None if by_wall_clock.since(old.next) > 0 => by_wall_clock,
                    None => old.next,
                }
            }
            None => by_wall_clock,
        };
        Timeline { next, pushed_until: now, given_until: None, is_cut: false }
    }
}

/// Where a picture stands in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct VideoStamp {
    /// On the RTP clock.
    pub(crate) rtp: RtpTimestamp,
    /// Since the transport's clock began, for rate control.
    pub(crate) position: Duration,
}

/// Stamps one source's pictures.
#[derive(Debug)]
pub(crate) struct VideoStamper {
    clock: MediaClock,
    /// What is added to given timestamps to get to the transport's clock, in nanoseconds.
    offset: Option<i128>,
    last: Option<VideoStamp>,
}

impl VideoStamper {
    pub(crate) fn new(clock: MediaClock) -> Self {
        Self { clock, offset: None, last: None }
    }

    /// The stamp of a picture that came in at `now`, perhaps with a timestamp of its own. It is later than every stamp
    /// before it.
    pub(crate) fn stamp(&mut self, now: Instant, given: Option<Duration>) -> VideoStamp {
        let elapsed = self.clock.elapsed(now);
        let position = match given {
            None => elapsed,
            Some(at) => {
                let wall = elapsed.as_nanos() as i128;
                let at = at.as_nanos() as i128;
                let jumped = |offset: i128| (at + offset - wall).unsigned_abs() > TIMELINE_JUMP.as_nanos();
                let offset = match self.offset {
                    Some(offset) if !jumped(offset) => offset,
                    _ => wall - at,
                };
                self.offset = Some(offset);
                Duration::from_nanos(u64::try_from(at + offset).unwrap_or(0))
            }
        };
        let mut stamp = VideoStamp { rtp: self.clock.video_base.advance(position, 90_000), position };
        if let Some(last) = self.last.filter(|last| stamp.rtp.since(last.rtp) <= 0) {
            stamp = VideoStamp { rtp: last.rtp + 1, position: last.position + Duration::from_micros(12) };
        }
        self.last = Some(stamp);
        stamp
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHUNK: Duration = Duration::from_millis(10);

    fn start() -> (Instant, MediaClock) {
        let now = Instant::now();
        (now, MediaClock { epoch: now, audio_base: RtpTimestamp(1_000), video_base: RtpTimestamp(5_000) })
    }

    #[tokio::test(start_paused = true)]
    async fn audio_counts_samples_while_it_is_pushed_and_follows_the_clock_after_a_gap() {
        let (t0, clock) = start();
        let mut stamper = AudioStamper::new(clock);
        assert!(stamper.push(t0, None, CHUNK));
        // Late by 80 ms: still the same run.
        assert!(!stamper.push(t0 + Duration::from_millis(90), None, CHUNK));
        assert_eq!(stamper.take(480), RtpTimestamp(1_000));
        assert_eq!(stamper.take(480), RtpTimestamp(1_480));
        assert!(stamper.push(t0 + Duration::from_secs(1), None, CHUNK));
        assert_eq!(stamper.take(480), RtpTimestamp(49_000));
    }

    #[tokio::test(start_paused = true)]
    async fn audio_pushed_ahead_of_time_never_runs_backwards() {
        let (t0, clock) = start();
        let mut stamper = AudioStamper::new(clock);
        assert!(stamper.push(t0, None, Duration::from_secs(2)));
        assert_eq!(stamper.take(96_000), RtpTimestamp(1_000));
        assert!(!stamper.push(t0 + CHUNK, None, CHUNK));
        assert_eq!(stamper.take(480), RtpTimestamp(97_000));
    }

    #[tokio::test(start_paused = true)]
    async fn a_skip_in_given_audio_timestamps_keeps_its_length() {
        let (t0, clock) = start();
        let mut stamper = AudioStamper::new(clock);
        let at = |ms| Some(Duration::from_millis(ms));
        assert!(stamper.push(t0, at(500), CHUNK));
        assert!(!stamper.push(t0, at(510), CHUNK));
        assert_eq!(stamper.take(960), RtpTimestamp(1_000));
        // Jitter of the given clock is none of the listener's business, a skip is.
        assert!(!stamper.push(t0, at(524), CHUNK));
        assert_eq!(stamper.take(480), RtpTimestamp(1_000 + 960));
        assert!(stamper.push(t0, at(730), CHUNK));
        assert_eq!(stamper.take(480), RtpTimestamp(1_000 + 960 + 480 + 200 * 48));
    }

    #[tokio::test(start_paused = true)]
    async fn pictures_follow_given_timestamps_and_never_go_back() {
        let (t0, clock) = start();
        let mut stamper = VideoStamper::new(clock);
        let at = |ms| Some(Duration::from_millis(ms));
        assert_eq!(stamper.stamp(t0, at(10_000)).rtp, RtpTimestamp(5_000));
        assert_eq!(stamper.stamp(t0 + CHUNK, at(10_033)).rtp, RtpTimestamp(5_000 + 33 * 90));
        assert_eq!(stamper.stamp(t0 + CHUNK, at(10_033)).rtp, RtpTimestamp(5_001 + 33 * 90));
        // The file starts again from zero: a new timeline at the wall clock.
        assert_eq!(stamper.stamp(t0 + Duration::from_millis(100), at(0)).rtp, RtpTimestamp(5_000 + 9_000));
    }
}
