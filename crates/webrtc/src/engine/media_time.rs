//! From a sender's RTP timestamps to its wall clock.

use std::time::Duration;

use remotemedia_media::{NtpTime, RtpTimestamp};

/// The mapping that the newest sender report gave (RFC 3550, section 6.4.1).
#[derive(Debug, Default)]
pub(crate) struct MediaTime {
    report: Option<(NtpTime, RtpTimestamp)>,
}

impl MediaTime {
    pub(crate) fn on_sender_report(&mut self, ntp: NtpTime, rtp: RtpTimestamp) {
        self.report = Some((ntp, rtp));
    }

    /// When the sample or picture stamped `rtp` was captured, on the sender's clock; `None` before the first report.
    pub(crate) fn capture_time(&self, rtp: RtpTimestamp, clock_rate: u32) -> Option<NtpTime> {
        let (ntp, reference) = self.report?;
        let ticks = rtp.since(reference);
        let distance = Duration::from_nanos(u64::from(ticks.unsigned_abs()) * 1_000_000_000 / u64::from(clock_rate));
        let step = NtpTime::default() + distance;
        Some(NtpTime(if ticks >= 0 { ntp.0.wrapping_add(step.0) } else { ntp.0.wrapping_sub(step.0) }))
    }
}

/// Counts media time from the first RTP timestamp on, over its wraps.
#[derive(Debug, Default)]
pub(crate) struct MediaPosition {
    last: Option<(RtpTimestamp, i64)>,
}

impl MediaPosition {
    /// The time from the first timestamp to `rtp`; zero for what came before the first.
    pub(crate) fn of(&mut self, rtp: RtpTimestamp, clock_rate: u32) -> Duration {
        let ticks = match self.last {
            Some((last, ticks)) => ticks + i64::from(rtp.since(last)),
            None => 0,
        };
        self.last = Some((rtp, ticks));
        let ticks = u128::from(ticks.max(0).unsigned_abs());
        Duration::from_nanos(u64::try_from(ticks * 1_000_000_000 / u128::from(clock_rate)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    #[test]
    fn capture_times_go_both_ways_from_the_report() {
        let mut time = MediaTime::default();
        assert_eq!(time.capture_time(RtpTimestamp(0), 90_000), None);
        let ntp = NtpTime::from_system_time(UNIX_EPOCH);
        time.on_sender_report(ntp, RtpTimestamp(u32::MAX));
        let later = time.capture_time(RtpTimestamp(44_999), 90_000).unwrap();
        assert_eq!(later.saturating_since(ntp), Duration::from_millis(500));
        let earlier = time.capture_time(RtpTimestamp(u32::MAX - 90_000), 90_000).unwrap();
        assert_eq!(ntp.saturating_since(earlier), Duration::from_secs(1));
    }

    #[test]
    fn positions_count_on_over_a_wrap() {
        let mut position = MediaPosition::default();
        assert_eq!(position.of(RtpTimestamp(u32::MAX - 479), 48_000), Duration::ZERO);
        assert_eq!(position.of(RtpTimestamp(480), 48_000), Duration::from_millis(20));
        assert_eq!(position.of(RtpTimestamp(u32::MAX - 959), 48_000), Duration::ZERO);
    }
}
