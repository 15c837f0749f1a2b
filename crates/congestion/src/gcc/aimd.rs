use std::time::{Duration, Instant};

use remotemedia_media::Bitrate;

use super::delay::Usage;

/// Turns what the delay says into a rate: multiplicative increase while the path's capacity is unknown, additive near
/// where it was last found, and a decrease to 85 % of what got through (draft section 5.5).
#[derive(Debug)]
pub(super) struct RateControl {
    target: Bitrate,
    state: State,
    updated: Instant,
    decreased: Option<Instant>,
    capacity: Capacity,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Increase,
    Hold,
}

/// What the path carried whenever it was found full, in kbit/s.
#[derive(Debug, Default)]
struct Capacity {
    mean: Option<f64>,
    /// Relative to the mean.
    variance: f64,
}

const DECREASE: f64 = 0.85;
const INCREASE_PER_SECOND: f64 = 1.08;
const PACKET_BITS: f64 = 1_200.0 * 8.0;
const MIN_INCREASE: f64 = 4_000.0;

impl RateControl {
    pub(super) fn new(now: Instant, start: Bitrate) -> Self {
        Self { target: start, state: State::Hold, updated: now, decreased: None, capacity: Capacity::default() }
    }

    pub(super) fn target(&self) -> Bitrate {
        self.target
    }

    /// Takes over a rate that something else has found.
    pub(super) fn set(&mut self, now: Instant, rate: Bitrate) {
        self.target = rate;
        self.updated = self.updated.max(now);
    }

    pub(super) fn update(&mut self, now: Instant, usage: Usage, throughput: Option<Bitrate>, rtt: Duration) {
        let passed = now.saturating_duration_since(self.updated).min(Duration::from_secs(1));
        match usage {
            Usage::Over => {
                if self.may_decrease(now, throughput, rtt) {
                    self.decrease(now, throughput);
                }
                self.state = State::Hold;
            }
            // A queue empties: wait until it is gone.
            Usage::Under => self.state = State::Hold,
            Usage::Normal if self.state == State::Hold => self.state = State::Increase,
            Usage::Normal => self.increase(passed, throughput, rtt),
        }
        self.updated = self.updated.max(now);
    }

    fn increase(&mut self, passed: Duration, throughput: Option<Bitrate>, rtt: Duration) {
        if let Some(throughput) = throughput {
            self.capacity.forget_if_exceeded(throughput);
        }
        let seconds = passed.as_secs_f64();
        let grown = if self.capacity.mean.is_some() {
            let response = (rtt + Duration::from_millis(100)).as_secs_f64() * 2.0;
            let per_second = (PACKET_BITS / response).max(MIN_INCREASE);
            self.target + Bitrate::from_bps((per_second * seconds) as u64)
        } else {
            let factor = INCREASE_PER_SECOND.powf(seconds);
            self.target.scale(factor).max(self.target + Bitrate::from_bps((1_000.0 * seconds) as u64))
        };
        // What is not sent tells nothing of the path: never far beyond what got through.
        let limit = throughput.map(|t| t.scale(1.5) + Bitrate::from_kbps(10));
        self.target = limit.map_or(grown, |limit| grown.min(limit.max(self.target)));
    }

    fn may_decrease(&self, now: Instant, throughput: Option<Bitrate>, rtt: Duration) -> bool {
        let since = self.decreased.map(|at| now.saturating_duration_since(at));
        let waited = since.is_none_or(|s| s >= rtt.clamp(Duration::from_millis(10), Duration::from_millis(200)));
        waited || throughput.is_some_and(|t| t < self.target.scale(0.5))
    }

    fn decrease(&mut self, now: Instant, throughput: Option<Bitrate>) {
        self.decreased = Some(now);
        let Some(throughput) = throughput else {
            self.target = self.target.scale(DECREASE);
            return;
        };
        self.capacity.on_full(throughput);
        let down = throughput.scale(DECREASE);
        // Reports lag behind: a throughput above the target is of before the last decrease.
        self.target = if down < self.target { down } else { self.target.scale(0.95) };
    }
}

impl Capacity {
    fn on_full(&mut self, throughput: Bitrate) {
        let sample = throughput.as_bps() as f64 / 1e3;
        let Some(mean) = self.mean else {
            self.mean = Some(sample);
            self.variance = 0.4;
            return;
        };
        if !self.range(mean).contains(&sample) {
            self.mean = Some(sample);
            self.variance = 0.4;
            return;
        }
        let moved = 0.95 * mean + 0.05 * sample;
        let error = moved - sample;
        self.variance = (0.95 * self.variance + 0.05 * error * error / moved.max(1.0)).clamp(0.4, 2.5);
        self.mean = Some(moved);
    }

    /// More gets through than ever the path was full with: it has changed.
    fn forget_if_exceeded(&mut self, throughput: Bitrate) {
        let sample = throughput.as_bps() as f64 / 1e3;
        if self.mean.is_some_and(|mean| sample > *self.range(mean).end()) {
            self.mean = None;
        }
    }

    fn range(&self, mean: f64) -> std::ops::RangeInclusive<f64> {
        let deviation = 3.0 * (self.variance * mean).sqrt();
        mean - deviation..=mean + deviation
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overuse_goes_to_85_percent_of_what_got_through_and_not_twice_in_a_round_trip() {
        let now = Instant::now();
        let mut control = RateControl::new(now, Bitrate::from_kbps(2_000));
        let (throughput, rtt) = (Some(Bitrate::from_kbps(1_500)), Duration::from_millis(100));
        control.update(now, Usage::Over, throughput, rtt);
        assert_eq!(control.target(), Bitrate::from_kbps(1_275));
        control.update(now + Duration::from_millis(50), Usage::Over, throughput, rtt);
        assert_eq!(control.target(), Bitrate::from_kbps(1_275));
    }

    #[test]
    fn an_unknown_path_is_climbed_by_8_percent_a_second() {
        let start = Instant::now();
        let mut control = RateControl::new(start, Bitrate::from_kbps(1_000));
        for ms in (100..=1_100).step_by(100) {
            let throughput = Some(control.target());
            control.update(start + Duration::from_millis(ms), Usage::Normal, throughput, Duration::from_millis(100));
        }
        let grown = control.target().as_bps() as f64 / 1e6;
        assert!((1.079..1.081).contains(&grown), "{grown}");
    }

    #[test]
    fn an_idle_sender_does_not_climb() {
        let start = Instant::now();
        let mut control = RateControl::new(start, Bitrate::from_kbps(1_000));
        for ms in (100..=5_000).step_by(100) {
            let now = start + Duration::from_millis(ms);
            control.update(now, Usage::Normal, Some(Bitrate::from_kbps(100)), Duration::from_millis(100));
        }
        assert_eq!(control.target(), Bitrate::from_kbps(1_000));
    }
}
