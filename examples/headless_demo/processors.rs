//! How busy the machine is.

use std::fs;

/// What all processors together did since the machine was started, in ticks of the system's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Processors {
    idle: u64,
    total: u64,
}

impl Processors {
    /// `None` where the system does not tell.
    pub(crate) fn now() -> Option<Self> {
        Self::read(&fs::read_to_string("/proc/stat").ok()?)
    }

    /// Reads what Linux writes to `/proc/stat`.
    fn read(stat: &str) -> Option<Self> {
        let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // What a guest used, behind these eight, is part of the first two already.
        let ticks: Result<Vec<u64>, _> = line.split_whitespace().take(8).map(str::parse).collect();
        let ticks = ticks.ok()?;
        // A processor that waits for a disk could work meanwhile.
        let idle = ticks.get(3)? + ticks.get(4).unwrap_or(&0);
        Some(Self { idle, total: ticks.iter().sum() })
    }

    /// The share of the time since `earlier` in which there was nothing to do; `None` if no time went by.
    pub(crate) fn idle_since(self, earlier: Self) -> Option<f64> {
        let total = self.total.checked_sub(earlier.total).filter(|total| *total > 0)?;
        Some(self.idle.saturating_sub(earlier.idle) as f64 / total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_idle_is_told_of_all_processors_over_the_time_between() {
        let before = Processors::read("cpu  100 0 50 800 50 0 0 0 70 0\ncpu0 100 0 50 800 50 0 0 0 70 0\n").unwrap();
        let after = Processors::read("cpu  140 5 70 820 55 2 3 5 90 0\ncpu0 0 0 0 0 0 0 0 0 0 0\n").unwrap();
        assert_eq!(after.idle_since(before), Some(0.25));
        assert_eq!(after.idle_since(after), None);
        assert_eq!(before.idle_since(after), None);
    }

    #[test]
    fn a_system_that_writes_something_else_tells_nothing() {
        for stat in ["", "cpu0 1 2 3 4 5\n", "cpu  1 2 3\n", "cpu  1 2 three 4 5\n"] {
            assert_eq!(Processors::read(stat), None, "{stat:?}");
        }
    }
}
