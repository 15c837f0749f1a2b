use std::{
    fmt,
    iter::Sum,
    ops::{Add, Sub},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A data rate in bits per second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bitrate(u64);

impl Bitrate {
    /// No data at all.
    pub const ZERO: Self = Self(0);

    /// `bps` bits per second.
    pub const fn from_bps(bps: u64) -> Self {
        Self(bps)
    }

    /// `kbps` thousand bits per second.
    pub const fn from_kbps(kbps: u32) -> Self {
        Self(kbps as u64 * 1_000)
    }

    /// Bits per second.
    pub const fn as_bps(self) -> u64 {
        self.0
    }

    /// Thousand bits per second, rounded down and capped at `u32::MAX`.
    pub const fn as_kbps(self) -> u32 {
        let kbps = self.0 / 1_000;
        if kbps > u32::MAX as u64 { u32::MAX } else { kbps as u32 }
    }

    /// This rate times `factor`; a negative or undefined product is zero.
    #[must_use]
    pub fn scale(self, factor: f64) -> Self {
        Self((self.0 as f64 * factor) as u64)
    }

    /// How long `bytes` take at this rate; `None` at rate zero.
    pub fn time_for(self, bytes: usize) -> Option<Duration> {
        let nanos = (bytes as u128 * 8 * 1_000_000_000).checked_div(u128::from(self.0))?;
        Some(Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX)))
    }

    /// The bytes that pass in `time`.
    pub fn bytes_in(self, time: Duration) -> usize {
        usize::try_from(u128::from(self.0) * time.as_nanos() / 8_000_000_000).unwrap_or(usize::MAX)
    }

    /// `self - other`, at least zero.
    #[must_use]
    pub fn saturating_sub(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }
}

impl Add for Bitrate {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Sum for Bitrate {
    fn sum<I: Iterator<Item = Self>>(rates: I) -> Self {
        rates.fold(Self::ZERO, Add::add)
    }
}

impl fmt::Display for Bitrate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            bps if bps >= 10_000_000 => write!(f, "{:.1} Mbit/s", bps as f64 / 1e6),
            bps if bps >= 1_000 => write!(f, "{} kbit/s", bps / 1_000),
            bps => write!(f, "{bps} bit/s"),
        }
    }
}

/// A timestamp of an RTP packet: media clock ticks modulo 2^32 (RFC 3550, section 5.1).
///
/// It has no order of its own, since it wraps; [`RtpTimestamp::since`] measures the shorter way round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct RtpTimestamp(pub u32);

impl RtpTimestamp {
    /// Ticks from `earlier` to `self`, negative if `self` came first; right while they are less than 2^31 ticks apart.
    pub const fn since(self, earlier: Self) -> i32 {
        self.0.wrapping_sub(earlier.0) as i32
    }

    /// This timestamp moved by `time` on a clock of `clock_rate` Hz.
    #[must_use]
    pub fn advance(self, time: Duration, clock_rate: u32) -> Self {
        // Truncation to 32 bits is what the RTP clock does.
        Self(self.0.wrapping_add((time.as_nanos() * u128::from(clock_rate) / 1_000_000_000) as u32))
    }
}

impl Add<u32> for RtpTimestamp {
    type Output = Self;

    fn add(self, ticks: u32) -> Self {
        Self(self.0.wrapping_add(ticks))
    }
}

impl Sub<u32> for RtpTimestamp {
    type Output = Self;

    fn sub(self, ticks: u32) -> Self {
        Self(self.0.wrapping_sub(ticks))
    }
}

/// Wall-clock time as NTP writes it: seconds since 1900 in 32.32 fixed point (RFC 5905, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// Seconds between the NTP epoch (1900) and the Unix epoch (1970).
    const UNIX_OFFSET_SECS: u64 = 2_208_988_800;

    /// From the wall clock; times before 1970 become 1970.
    pub fn from_system_time(time: SystemTime) -> Self {
        let unix = time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let seconds = unix.as_secs().wrapping_add(Self::UNIX_OFFSET_SECS);
        let fraction = (u64::from(unix.subsec_nanos()) << 32) / 1_000_000_000;
        Self((seconds << 32) | fraction)
    }

    /// To the wall clock.
    pub fn to_system_time(self) -> SystemTime {
        let seconds = (self.0 >> 32).saturating_sub(Self::UNIX_OFFSET_SECS);
        let nanos = ((self.0 & 0xffff_ffff) * 1_000_000_000) >> 32;
        UNIX_EPOCH + Duration::new(seconds, nanos as u32)
    }

    /// The middle 32 bits, as sender and receiver reports carry them (RFC 3550, section 6.4.1).
    pub const fn middle(self) -> u32 {
        (self.0 >> 16) as u32
    }

    /// From `earlier` to `self`; zero if `earlier` is later.
    pub fn saturating_since(self, earlier: Self) -> Duration {
        let ticks = u128::from(self.0.saturating_sub(earlier.0));
        Duration::from_nanos(u64::try_from((ticks * 1_000_000_000) >> 32).unwrap_or(u64::MAX))
    }
}

impl Add<Duration> for NtpTime {
    type Output = Self;

    fn add(self, time: Duration) -> Self {
        Self(self.0.wrapping_add(((time.as_nanos() << 32) / 1_000_000_000) as u64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rtp_time_is_measured_the_shorter_way_round() {
        let before = RtpTimestamp(u32::MAX - 99);
        assert_eq!((before + 200).since(before), 200);
        assert_eq!(before.since(before + 200), -200);
        assert_eq!(before.advance(Duration::from_millis(20), 48_000), RtpTimestamp(860));
    }

    #[test]
    fn ntp_time_keeps_the_wall_clock_to_a_nanosecond() {
        let time = UNIX_EPOCH + Duration::new(1_800_000_000, 123_456_789);
        let back = NtpTime::from_system_time(time).to_system_time();
        let error = time.duration_since(back).unwrap_or_else(|e| e.duration());
        assert!(error <= Duration::from_nanos(1), "{error:?}");
    }

    #[test]
    fn ntp_times_differ_by_what_was_added() {
        let start = NtpTime::from_system_time(UNIX_EPOCH);
        let later = start + Duration::from_millis(1_500);
        let passed = later.saturating_since(start);
        assert!(passed.abs_diff(Duration::from_millis(1_500)) <= Duration::from_nanos(1), "{passed:?}");
        assert_eq!(start.saturating_since(later), Duration::ZERO);
    }

    #[test]
    fn rates_convert_between_bytes_and_time() {
        let rate = Bitrate::from_kbps(1_000);
        assert_eq!(rate.time_for(1_250), Some(Duration::from_millis(10)));
        assert_eq!(rate.bytes_in(Duration::from_millis(10)), 1_250);
        assert_eq!(Bitrate::ZERO.time_for(1), None);
        assert_eq!(rate.scale(-1.0), Bitrate::ZERO);
        assert_eq!(rate.to_string(), "1000 kbit/s");
    }
}
