use std::time::Duration;

/// How an [`AudioPlayout`](crate::AudioPlayout) sounds and how long it may wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlayoutConfig {
    /// Samples per second and channel that the decoder gives, in Hz: 8,000 to 192,000.
    pub sample_rate: u32,
    /// Interleaved channels that the decoder gives: 1 to 8.
    pub channels: u16,
    /// Ticks per second of the RTP timestamps, in Hz: 8,000 to 192,000. Opus always counts at 48,000.
    pub clock_rate: u32,
    /// Delay that playout starts with, behind the fastest packet; at most 10 s.
    pub start: Duration,
    /// Least delay that adaptive playout aims for.
    pub min: Duration,
    /// Greatest delay that adaptive playout aims for; at least `min`, at most 10 s.
    pub max: Duration,
    /// Whether the delay moves with the network.
    pub mode: PlayoutMode,
}

/// Whether the delay moves with the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlayoutMode {
    /// It stays at `start`.
    Fixed,
    /// It goes from `start` to where a shorter one would lose more than it gains. While packets were lost or late during the
    /// last 30 s, a `start` above 50 ms is a floor.
    Adaptive,
}

impl PlayoutConfig {
    /// Adaptive playout of Opus at 48 kHz: it starts at 50 ms and moves between 0 and 500 ms.
    pub fn opus(channels: u16) -> Self {
        Self {
            sample_rate: 48_000,
            channels,
            clock_rate: 48_000,
            start: Duration::from_millis(50),
            min: Duration::ZERO,
            max: Duration::from_millis(500),
            mode: PlayoutMode::Adaptive,
        }
    }

    pub(crate) fn check(&self) -> Result<(), PlayoutConfigError> {
        const LONGEST: Duration = Duration::from_secs(10);
        let rate = 8_000..=192_000;
        if !rate.contains(&self.sample_rate) {
            return Err(PlayoutConfigError::Rate { field: "sample_rate", hertz: self.sample_rate });
        }
        if !rate.contains(&self.clock_rate) {
            return Err(PlayoutConfigError::Rate { field: "clock_rate", hertz: self.clock_rate });
        }
        if !(1..=8).contains(&self.channels) {
            return Err(PlayoutConfigError::Channels { channels: self.channels });
        }
        for (field, delay) in [("start", self.start), ("max", self.max)] {
            if delay > LONGEST {
                return Err(PlayoutConfigError::Delay { field, delay });
            }
        }
        if self.min > self.max {
            return Err(PlayoutConfigError::Bounds { min: self.min, max: self.max });
        }
        Ok(())
    }
}

/// Why a [`PlayoutConfig`] is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlayoutConfigError {
    /// A rate is out of range.
    #[error("{field} {hertz} Hz is out of range: use 8,000 to 192,000 Hz")]
    Rate {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        hertz: u32,
    },
    /// The channel count is out of range.
    #[error("{channels} channels are out of range: use 1 to 8")]
    Channels {
        /// The count.
        channels: u16,
    },
    /// A delay is out of range.
    #[error("{field} {delay:?} is out of range: use at most 10 s")]
    Delay {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        delay: Duration,
    },
    /// The bounds are the wrong way round.
    #[error("min {min:?} is above max {max:?}: swap them")]
    Bounds {
        /// The lower bound.
        min: Duration,
        /// The upper bound.
        max: Duration,
    },
}
