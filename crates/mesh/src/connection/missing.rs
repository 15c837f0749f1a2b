use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

/// How long a packet may be late. It is asked for again during the first half second, and of no use after that.
const PATIENCE: Duration = Duration::from_secs(1);
/// A jump by more packets is a new beginning (RFC 3550, appendix A.1).
const MAX_JUMP: u64 = 3_000;
/// Holes that are watched.
const MAX_HOLES: usize = 1_024;

/// Finds the packets of one stream that never came, neither by themselves nor repeated.
#[derive(Debug, Default)]
pub(super) struct MissingPackets {
    highest: Option<u64>,
    /// The oldest first.
    holes: VecDeque<Hole>,
}

/// Numbers that were skipped, both ends included.
#[derive(Debug)]
struct Hole {
    first: u64,
    last: u64,
    since: Instant,
}

impl Hole {
    fn packets(&self) -> u64 {
        self.last - self.first + 1
    }
}

impl MissingPackets {
    /// A packet with that extended number came, for the first time or again. Answers how many have been given up by now that
    /// had not been before.
    pub(super) fn arrived(&mut self, sequence: u64, now: Instant) -> u64 {
        match self.highest {
            Some(highest) if sequence <= highest => self.fill(sequence),
            Some(highest) => {
                if (2..=MAX_JUMP).contains(&(sequence - highest)) {
                    self.holes.push_back(Hole { first: highest + 1, last: sequence - 1, since: now });
                }
                self.highest = Some(sequence);
            }
            None => self.highest = Some(sequence),
        }
        let mut given_up = 0;
        while let Some(hole) = self.holes.front()
            && (hole.since + PATIENCE <= now || self.holes.len() > MAX_HOLES)
        {
            given_up += hole.packets();
            self.holes.pop_front();
        }
        given_up
    }

    /// The stream is over: how many packets of it were still awaited.
    pub(super) fn awaited(&self) -> u64 {
        self.holes.iter().map(Hole::packets).sum()
    }

    fn fill(&mut self, sequence: u64) {
        let Some(at) = self.holes.iter().rposition(|hole| (hole.first..=hole.last).contains(&sequence)) else { return };
        let Hole { first, last, since } = self.holes[at];
        let rest = [(first, sequence.saturating_sub(1)), (sequence + 1, last)];
        self.holes.remove(at);
        for (first, last) in rest.into_iter().rev().filter(|(first, last)| first <= last) {
            self.holes.insert(at, Hole { first, last, since });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are given up as packets with these numbers come, each so many milliseconds after the beginning.
    fn given_up(arrivals: &[(u64, u64)]) -> (u64, u64) {
        let begin = Instant::now();
        let mut missing = MissingPackets::default();
        let count = |(number, ms): &(u64, u64)| missing.arrived(*number, begin + Duration::from_millis(*ms));
        let given_up = arrivals.iter().map(count).sum();
        (given_up, missing.awaited())
    }

    #[test]
    fn what_does_not_come_within_a_second_is_missing() {
        assert_eq!(given_up(&[(100, 0), (104, 10), (105, 1_009)]), (0, 3));
        assert_eq!(given_up(&[(100, 0), (104, 10), (105, 1_010)]), (3, 0));
    }

    #[test]
    fn what_comes_late_or_repeated_is_not() {
        assert_eq!(given_up(&[(100, 0), (104, 10), (102, 500), (102, 600), (105, 1_010)]), (2, 0));
        assert_eq!(given_up(&[(100, 0), (103, 10), (101, 20), (102, 20), (200, 20), (199, 30), (201, 2_000)]), (95, 0));
        assert_eq!(given_up(&[(100, 0), (102, 10), (103, 1_010), (101, 1_020)]), (1, 0), "that was too late");
    }

    #[test]
    fn what_was_before_the_first_is_not_awaited() {
        assert_eq!(given_up(&[(100, 0), (98, 10), (101, 5_000)]), (0, 0));
    }

    #[test]
    fn a_stream_that_begins_anew_misses_nothing() {
        assert_eq!(given_up(&[(100, 0), (3_101, 10), (3_102, 5_000)]), (0, 0));
        assert_eq!(given_up(&[(100, 0), (3_100, 10), (3_101, 5_000)]), (2_999, 0));
    }

    #[test]
    fn the_memory_of_holes_has_a_bound() {
        let (given_up, awaited) = given_up(&(0..3_000).map(|n| (2 * n, 0)).collect::<Vec<_>>());
        assert_eq!((given_up + awaited, awaited), (2_999, MAX_HOLES as u64));
    }
}
