use std::time::Duration;

/// Pulls that are watched before the clock moves sooner.
const WATCHED: u32 = 50;

/// What the playout says speaks of so many pulls: after a move it means nothing before.
const LOOKED_BACK: u32 = 26;

/// What is left of the slack, so that a pull that comes a little early misses nothing.
const MARGIN: Duration = Duration::from_millis(3);

/// Moving by less is not worth it.
const LEAST_MOVE: Duration = Duration::from_millis(2);

/// How far the clock moves with each pull.
const STEP: Duration = Duration::from_millis(1);

/// Where a reader that is free to choose pulls: just behind the arrival of packets is where they wait least.
///
/// Moving the clock of the reader leaves the sound whole, which splices of the playout do not: while it follows the path
/// within one pull either way, [`AudioPlayout`](crate::AudioPlayout) has nothing to do.
#[derive(Debug, Default)]
pub struct PullPhase {
    watched: u32,
    least: Option<i64>,
    /// Since the beginning, and still to come: microseconds sooner, negative later.
    moved: i64,
    to_move: i64,
}

impl PullPhase {
    /// Takes note of what [`AudioPlayout::room`](crate::AudioPlayout::room) says after a pull. Answers how long after this pull of
    /// length `pull` the next one is to come.
    pub fn advance(&mut self, room: Option<i64>, pull: Duration) -> Duration {
        let step = self.to_move.clamp(-micros(STEP), micros(STEP));
        if step != 0 {
            self.to_move -= step;
            self.moved += step;
            let step_time = Duration::from_micros(step.unsigned_abs());
            return if step > 0 { pull.saturating_sub(step_time) } else { pull + step_time };
        }
        let Some(room) = room else { return pull };
        if room > micros(pull + pull / 10) {
            // The playout takes whole pulls out by itself first.
            self.watched = 0;
            self.least = None;
            return pull;
        }
        let least = self.least.map_or(room, |least| least.min(room));
        self.least = Some(least);
        self.watched += 1;
        let wanted = if room < 0 && self.watched >= LOOKED_BACK {
            room - micros(MARGIN)
        } else if self.watched >= WATCHED {
            least - micros(MARGIN)
        } else {
            return pull;
        };
        if wanted.abs() >= micros(LEAST_MOVE) {
            // A reader that plays at a steady pace has to be able to count on that: no further than one pull.
            let moved = (self.moved + wanted).clamp(-micros(pull), micros(pull));
            self.to_move = moved - self.moved;
        }
        self.watched = 0;
        self.least = None;
        pull
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PULL: Duration = Duration::from_millis(20);

    /// How much sooner the last of `pulls` came, in milliseconds.
    fn sooner(phase: &mut PullPhase, pulls: u64, room: impl Fn(u64) -> Option<i64>) -> i64 {
        let moved = |n| 20_000 - phase.advance(room(n), PULL).as_micros() as i64;
        (0..pulls).map(moved).sum::<i64>() / 1_000
    }

    #[test]
    fn the_clock_moves_by_the_least_room_of_a_second() {
        let mut phase = PullPhase::default();
        assert_eq!(phase.advance(Some(45_000), PULL), PULL, "this is for the playout");
        assert_eq!(sooner(&mut phase, 100, |n| Some(if n == 30 { 13_000 } else { 17_000 })), 10);
    }

    #[test]
    fn one_second_of_little_room_does_not_hold_the_clock_for_ever() {
        let mut phase = PullPhase::default();
        assert_eq!(sooner(&mut phase, 50, |_| Some(2_000)), 0);
        assert_eq!(sooner(&mut phase, 100, |_| Some(13_000)), 10);
    }

    #[test]
    fn a_pause_moves_nothing() {
        assert_eq!(sooner(&mut PullPhase::default(), 1_000, |_| None), 0);
    }

    #[test]
    fn the_clock_goes_back_when_packets_come_later_but_no_further_than_a_pull() {
        let mut phase = PullPhase::default();
        assert_eq!(sooner(&mut phase, 50, |_| Some(-4_000)), -7);
        assert_eq!(sooner(&mut phase, 1_000, |_| Some(-4_000)), -13);
    }
}
