use std::time::Duration;

use rand::Rng;

/// Pauses that double from `first` to `longest`, each shortened at random by up to half, so that the clients of a server
/// that restarted do not come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Before the first attempt to come back; 250 ms by default.
    pub first: Duration,
    /// However many attempts failed; 10 s by default.
    pub longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(250), longest: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The pause after `failures` attempts that failed.
    pub(super) fn pause(&self, failures: u32, rng: &mut impl Rng) -> Duration {
        let full = self.first.saturating_mul(2u32.saturating_pow(failures)).min(self.longest);
        full.mul_f64(rng.random_range(0.5..=1.0))
    }
}

#[cfg(test)]
mod tests {
    use rand::{SeedableRng, rngs::StdRng};

    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_are_jittered() {
        let backoff = Backoff { first: Duration::from_millis(100), longest: Duration::from_secs(1) };
        let mut rng = StdRng::seed_from_u64(1);
        for (failures, full) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1000), (40, 1000), (u32::MAX, 1000)] {
            let pauses: Vec<_> = (0..100).map(|_| backoff.pause(failures, &mut rng).as_secs_f64() * 1e3).collect();
            assert!(pauses.iter().all(|ms| (full as f64 * 0.5..=full as f64 + 0.001).contains(ms)), "{pauses:?}");
            assert!(pauses.iter().any(|ms| *ms < full as f64 * 0.7) && pauses.iter().any(|ms| *ms > full as f64 * 0.8));
        }
    }
}
