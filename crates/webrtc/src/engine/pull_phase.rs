//! Where within 20 ms the playout pulls: just behind the arrival of packets is where they wait least.

use std::time::Duration;

/// Pulls that are watched before the clock moves.
const WATCHED: u32 = 50;

/// What is left of the slack, so that a pull that comes a little early misses nothing.
const MARGIN: Duration = Duration::from_millis(3);

/// How far the clock moves with each pull.
const STEP: Duration = Duration::from_millis(1);

/// Moves the clock of a playout once for each track, by less than one pull, when the jitter buffer has come to rest.
///
/// More would work against the jitter buffer, which has its own ways to shorten the delay.
#[derive(Debug, Default)]
pub(super) struct PullPhase {
    watched: u32,
    least: Option<Duration>,
    to_move: Duration,
    done: bool,
}

impl PullPhase {
    /// Takes note of the slack of a pull. Answers how much sooner the next one is to come.
    pub(super) fn advance(&mut self, slack: Duration, pull: Duration) -> Duration {
        if !self.to_move.is_zero() {
            let step = self.to_move.min(STEP);
            self.to_move -= step;
            return step;
        }
        if self.done {
            return Duration::ZERO;
        }
        if slack >= pull {
            // The jitter buffer takes whole pulls out by itself first.
            *self = Self::default();
            return Duration::ZERO;
        }
        self.least = Some(self.least.map_or(slack, |least| least.min(slack)));
        self.watched += 1;
        if self.watched == WATCHED {
            self.done = true;
            self.to_move = self.least.unwrap_or_default().saturating_sub(MARGIN);
        }
        Duration::ZERO
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULL: Duration = Duration::from_millis(20);

    #[test]
    fn the_clock_moves_once_by_the_least_slack_of_a_second() {
        let mut phase = PullPhase::default();
        let ms = Duration::from_millis;
        assert_eq!(phase.advance(ms(45), PULL), Duration::ZERO);
        let slack = |n: u64| ms(if n == 30 { 13 } else { 17 });
        assert!((0..50).all(|n| phase.advance(slack(n), PULL).is_zero()));
        let moved: Duration = (0..100).map(|_| phase.advance(ms(15), PULL)).sum();
        assert_eq!(moved, ms(10));
    }
}
