use std::{collections::VecDeque, time::Duration};

/// What the delay gradient says of the path.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// Delay is steady.
    #[default]
    Normal,
    /// Delay grows: more is sent than the path carries.
    Over,
    /// Delay shrinks: a queue empties.
    Under,
}

/// Finds the trend of the one-way delay: groups packets by bursts, fits a line through the delays of the last twenty
/// groups, and compares its slope with a threshold that adapts to the path (draft sections 5.2 to 5.4).
#[derive(Debug)]
pub(super) struct DelayDetector {
    current: Option<Group>,
    previous: Option<Group>,
    out_of_order: u32,
    /// Milliseconds of arrival and smoothed delay.
    samples: VecDeque<(f64, f64)>,
    deltas: u32,
    accumulated: f64,
    smoothed: f64,
    threshold: f64,
    last_update: Option<f64>,
    previous_trend: f64,
    overusing_for: Option<f64>,
    overuses: u32,
    usage: Usage,
}

/// Packets that were sent within a few milliseconds: times in milliseconds.
#[derive(Clone, Copy, Debug)]
struct Group {
    first_sent: f64,
    last_sent: f64,
    first_arrival: f64,
    last_arrival: f64,
}

const GROUP_LENGTH: f64 = 5.0;
const BURST_ARRIVAL: f64 = 5.0;
const MAX_BURST: f64 = 100.0;
/// An arrival that much later than it was sent tells of a suspended machine, not of a queue.
const CLOCK_JUMP: f64 = 3_000.0;
const MAX_OUT_OF_ORDER: u32 = 3;
const WINDOW: usize = 20;
const SMOOTHING: f64 = 0.9;
const GAIN: f64 = 4.0;
const MAX_DELTAS: u32 = 60;
const THRESHOLD_RANGE: (f64, f64) = (6.0, 600.0);
const FIRST_THRESHOLD: f64 = 12.5;
const THRESHOLD_UP: f64 = 0.0087;
const THRESHOLD_DOWN: f64 = 0.039;
/// A spike that far above the threshold does not move it.
const MAX_ADAPT_OFFSET: f64 = 15.0;
const OVERUSE_TIME: f64 = 10.0;

impl Default for DelayDetector {
    fn default() -> Self {
        Self {
            current: None,
            previous: None,
            out_of_order: 0,
            samples: VecDeque::with_capacity(WINDOW),
            deltas: 0,
            accumulated: 0.0,
            smoothed: 0.0,
            threshold: FIRST_THRESHOLD,
            last_update: None,
            previous_trend: 0.0,
            overusing_for: None,
            overuses: 0,
            usage: Usage::Normal,
        }
    }
}

impl DelayDetector {
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// A packet arrived. Both times count from arbitrary origins; arrivals come in order.
    pub(super) fn on_arrival(&mut self, sent: Duration, arrival: Duration) {
        let (sent, arrival) = (sent.as_secs_f64() * 1e3, arrival.as_secs_f64() * 1e3);
        let Some(mut group) = self.current else {
            self.current = Some(Group::new(sent, arrival));
            return;
        };
        if sent < group.first_sent {
            return;
        }
        if !group.belongs(sent, arrival) {
            if let Some(previous) = self.previous {
                self.on_groups(&previous, &group);
            }
            if self.current.is_some() {
                self.previous = Some(group);
                self.current = Some(Group::new(sent, arrival));
            }
            return;
        }
        group.last_sent = group.last_sent.max(sent);
        group.last_arrival = group.last_arrival.max(arrival);
        self.current = Some(group);
    }

    fn on_groups(&mut self, previous: &Group, current: &Group) {
        let sent_delta = current.last_sent - previous.last_sent;
        let arrival_delta = current.last_arrival - previous.last_arrival;
        if arrival_delta < 0.0 {
            self.out_of_order += 1;
            if self.out_of_order >= MAX_OUT_OF_ORDER {
                self.forget_groups();
            }
            return;
        }
        self.out_of_order = 0;
        if arrival_delta - sent_delta > CLOCK_JUMP {
            self.forget_groups();
            return;
        }
        self.on_delta(sent_delta, arrival_delta, current.last_arrival);
    }

    fn forget_groups(&mut self) {
        self.current = None;
        self.previous = None;
        self.out_of_order = 0;
    }

    fn on_delta(&mut self, sent_delta: f64, arrival_delta: f64, arrival: f64) {
        self.deltas = (self.deltas + 1).min(1_000);
        self.accumulated += arrival_delta - sent_delta;
        self.smoothed = SMOOTHING * self.smoothed + (1.0 - SMOOTHING) * self.accumulated;
        if self.samples.len() == WINDOW {
            self.samples.pop_front();
        }
        self.samples.push_back((arrival, self.smoothed));
        let trend = if self.samples.len() == WINDOW {
            slope(&self.samples).unwrap_or(self.previous_trend)
        } else {
            self.previous_trend
        };
        self.detect(trend, sent_delta, arrival);
    }

    fn detect(&mut self, trend: f64, sent_delta: f64, arrival: f64) {
        if self.deltas < 2 {
            self.usage = Usage::Normal;
            return;
        }
        let modified = f64::from(self.deltas.min(MAX_DELTAS)) * trend * GAIN;
        if modified > self.threshold {
            let time = self.overusing_for.map_or(sent_delta / 2.0, |t| t + sent_delta);
            self.overusing_for = Some(time);
            self.overuses += 1;
            if time > OVERUSE_TIME && self.overuses > 1 && trend >= self.previous_trend {
                self.overusing_for = Some(0.0);
                self.overuses = 0;
                self.usage = Usage::Over;
            }
        } else {
            self.overusing_for = None;
            self.overuses = 0;
            self.usage = if modified < -self.threshold { Usage::Under } else { Usage::Normal };
        }
        self.previous_trend = trend;
        self.adapt(modified.abs(), arrival);
    }

    fn adapt(&mut self, modified: f64, arrival: f64) {
        let passed = (arrival - self.last_update.unwrap_or(arrival)).clamp(0.0, 100.0);
        self.last_update = Some(arrival);
        if modified > self.threshold + MAX_ADAPT_OFFSET {
            return;
        }
        let gain = if modified < self.threshold { THRESHOLD_DOWN } else { THRESHOLD_UP };
        let moved = self.threshold + gain * (modified - self.threshold) * passed;
        self.threshold = moved.clamp(THRESHOLD_RANGE.0, THRESHOLD_RANGE.1);
    }
}

impl Group {
    fn new(sent: f64, arrival: f64) -> Self {
        Self { first_sent: sent, last_sent: sent, first_arrival: arrival, last_arrival: arrival }
    }

    fn belongs(&self, sent: f64, arrival: f64) -> bool {
        if sent - self.first_sent <= GROUP_LENGTH {
            return true;
        }
        // Packets that caught up with each other behind a full link, or in a host that wakes up now and then.
        let arrival_delta = arrival - self.last_arrival;
        let propagation = arrival_delta - (sent - self.last_sent);
        propagation < 0.0 && arrival_delta <= BURST_ARRIVAL && arrival - self.first_arrival < MAX_BURST
    }
}

/// The slope of the line of least squares; `None` if every sample has the same time.
fn slope(samples: &VecDeque<(f64, f64)>) -> Option<f64> {
    let count = samples.len() as f64;
    let (sum_x, sum_y) = samples.iter().fold((0.0, 0.0), |(x, y), s| (x + s.0, y + s.1));
    let (mean_x, mean_y) = (sum_x / count, sum_y / count);
    let (numerator, denominator) = samples
        .iter()
        .map(|(x, y)| ((x - mean_x) * (y - mean_y), (x - mean_x) * (x - mean_x)))
        .fold((0.0, 0.0), |(n, d), (a, b)| (n + a, d + b));
    (denominator > 0.0).then(|| numerator / denominator)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Packets every 20 ms, each arriving `drift` ms later than the one before.
    fn usage_with(drift: f64) -> Usage {
        let mut detector = DelayDetector::default();
        for i in 0..100 {
            let sent = Duration::from_millis(20 * i);
            let arrival = Duration::from_secs_f64(sent.as_secs_f64() + (200.0 + drift * i as f64) / 1e3);
            detector.on_arrival(sent, arrival);
        }
        detector.usage()
    }

    #[test]
    fn growing_delay_is_overuse_and_shrinking_delay_underuse() {
        assert_eq!(usage_with(0.0), Usage::Normal);
        assert_eq!(usage_with(2.0), Usage::Over);
        assert_eq!(usage_with(-1.5), Usage::Under);
    }

    #[test]
    fn a_suspended_machine_is_no_overuse() {
        let mut detector = DelayDetector::default();
        for i in 0..200u64 {
            let pause = if i < 100 { 0 } else { 60_000 };
            detector.on_arrival(Duration::from_millis(20 * i), Duration::from_millis(20 * i + pause));
        }
        assert_eq!(detector.usage(), Usage::Normal);
    }
}
