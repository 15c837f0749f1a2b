use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Measures how late packets are against the fastest one, and how long it pays to wait for them.
///
/// As in NetEq (libwebrtc, `packet_arrival_history`), the delay of a packet is its transit time, arrival less media time,
/// above the least transit of a window. The target is not a fixed quantile of it but the wait with the least cost, a percent
/// of packets missed weighing as much as [`COST_OF_A_PERCENT`] of delay: bounded jitter is covered whole, and a rare spike is
/// not.
#[derive(Debug, Default)]
pub(crate) struct DelayEstimator {
    /// Arrival and transit time, in microseconds on any clock, of the latest packets.
    transits: VecDeque<(Instant, i64)>,
    baseline: Option<i64>,
    target: i64,
    updated: Option<Instant>,
    /// The delays as they were at the last update, the least first.
    sorted: Vec<i64>,
}

/// Delay, in microseconds, that is worth as much as one percent of packets missed. NetEq weighs reordered packets at half of
/// it (`reorder_optimizer`, 20 ms).
const COST_OF_A_PERCENT: f64 = 40_000.0;
const WINDOW: Duration = Duration::from_secs(10);
const MOST_PACKETS: usize = 2_000;
const UPDATE_INTERVAL: Duration = Duration::from_millis(100);

impl DelayEstimator {
    /// Takes a packet into account.
    ///
    /// A lost packet that the next one could stand in for counts as having arrived with that.
    pub(crate) fn add(&mut self, arrival: Instant, transit: i64) {
        self.transits.push_back((arrival, transit));
        while self.transits.front().is_some_and(|(at, _)| arrival.saturating_duration_since(*at) > WINDOW)
            || self.transits.len() > MOST_PACKETS
        {
            self.transits.pop_front();
        }
        self.baseline = self.transits.iter().map(|(_, transit)| *transit).min();
        let due = self.updated.is_none_or(|at| arrival.saturating_duration_since(at) >= UPDATE_INTERVAL);
        // While there are few, each counts.
        if due || self.transits.len() < 25 {
            self.updated = Some(arrival);
            self.target = self.cheapest_wait();
        }
    }

    /// The least transit time of the window.
    pub(crate) fn baseline(&self) -> Option<i64> {
        self.baseline
    }

    /// How far behind the baseline it pays to play, in microseconds.
    pub(crate) fn target(&self) -> i64 {
        self.target
    }

    /// What playing `wait` behind the baseline costs, in microseconds: the wait and what it misses.
    pub(crate) fn cost(&self, wait: i64) -> f64 {
        let missed = self.sorted.len() - self.sorted.partition_point(|delay| *delay <= wait);
        wait as f64 + COST_OF_A_PERCENT * 100.0 * missed as f64 / self.sorted.len().max(1) as f64
    }

    fn cheapest_wait(&mut self) -> i64 {
        let baseline = self.baseline.unwrap_or_default();
        self.sorted.clear();
        self.sorted.extend(self.transits.iter().map(|(_, transit)| transit - baseline));
        self.sorted.sort_unstable();
        let count = self.sorted.len();
        let cost = |(i, wait): (usize, &i64)| {
            let missed = 100.0 * (count - 1 - i) as f64 / count as f64;
            (*wait as f64 + COST_OF_A_PERCENT * missed, *wait)
        };
        let cheapest = self.sorted.iter().enumerate().map(cost).min_by(|a, b| a.0.total_cmp(&b.0));
        cheapest.map_or(0, |(_, wait)| wait)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target_ms(delays: impl Iterator<Item = i64>) -> i64 {
        let start = Instant::now();
        let mut estimator = DelayEstimator::default();
        for (i, delay) in delays.enumerate() {
            estimator.add(start + Duration::from_millis(20 * i as u64), -7_000_000 + delay * 1_000);
        }
        estimator.target() / 1_000
    }

    #[test]
    fn bounded_jitter_is_covered_and_a_rare_spike_is_not() {
        assert_eq!(target_ms((0..600).map(|_| 0)), 0);
        assert_eq!(target_ms((0..600).map(|i| i * 7 % 41)), 40);
        assert_eq!(target_ms((0..600).map(|i| if i % 100 == 50 { 150 } else { 0 })), 0);
        assert_eq!(target_ms((0..600).map(|i| if i % 10 == 5 { 150 } else { 0 })), 150, "ten percent are worth it");
    }

    #[test]
    fn what_is_past_the_window_is_forgotten() {
        assert_eq!(target_ms((0..1_200).map(|i| if i < 600 { i * 7 % 41 } else { 3 })), 0);
    }
}
