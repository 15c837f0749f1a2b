use std::time::{Duration, Instant};

use super::RateLimit;

/// Fills at a steady rate up to its burst; each call takes from it.
pub(super) struct TokenBucket {
    limit: RateLimit,
    level: f64,
    filled_at: Instant,
}

impl TokenBucket {
    pub(super) fn new(limit: &RateLimit, now: Instant) -> Self {
        Self { limit: *limit, level: f64::from(limit.burst), filled_at: now }
    }

    /// Takes `cost`, or answers how long it takes until that much is there. A cost above the burst counts as the burst,
    /// so that waiting helps.
    pub(super) fn take(&mut self, now: Instant, cost: u32) -> Result<(), Duration> {
        let burst = f64::from(self.limit.burst);
        let elapsed = now.saturating_duration_since(self.filled_at);
        self.level = (self.level + elapsed.as_secs_f64() * self.limit.per_second).min(burst);
        self.filled_at = now;
        let cost = f64::from(cost).min(burst);
        if self.level >= cost {
            self.level -= cost;
            return Ok(());
        }
        let wait = (cost - self.level) / self.limit.per_second;
        // A rate of zero or less never fills again: an hour stands for never.
        Err(Duration::try_from_secs_f64(wait).unwrap_or(Duration::MAX).min(Duration::from_secs(3600)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_as_long_as_told_is_enough() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(&RateLimit { per_second: 10.0, burst: 5 }, start);
        for _ in 0..5 {
            bucket.take(start, 1).unwrap();
        }
        let wait = bucket.take(start, 1).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert!(bucket.take(start + wait / 2, 1).is_err());
        assert!(bucket.take(start + wait, 1).is_ok());
    }

    #[test]
    fn a_cost_above_the_burst_is_met_after_a_wait() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(&RateLimit { per_second: 10.0, burst: 5 }, start);
        bucket.take(start, 1).unwrap();
        let wait = bucket.take(start, 17).unwrap_err();
        assert!(bucket.take(start + wait, 17).is_ok());
    }
}
