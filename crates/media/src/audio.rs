use std::time::Duration;

use crate::{NtpTime, PeerId, StreamId};

/// A run of interleaved audio samples.
///
/// Samples are `f32` in [-1.0, 1.0]; values beyond that range are legal and are clipped by encoders. With two channels
/// the order is left, right, left, right. A frame may have any length: whoever sends it cuts it to the codec's frames.
#[derive(Clone, Debug, PartialEq)]
pub struct AudioFrame {
    samples: Vec<f32>,
    sample_rate: u32,
    channels: u16,
    /// Position of the first sample on the sender's media clock. `None` lets the transport stamp the frame by sample
    /// count when it is sent.
    pub timestamp: Option<Duration>,
    /// Which of a peer's streams this belongs to; `None` is the default stream.
    pub stream_id: Option<StreamId>,
    /// When the first sample was captured, where the sender told.
    pub capture_time: Option<NtpTime>,
    /// The peer that sent it; `None` for a frame made here.
    pub source: Option<PeerId>,
}

impl AudioFrame {
    /// A frame of interleaved `samples`.
    ///
    /// # Errors
    ///
    /// [`AudioFrameError`] if the rate is outside 1 to 384,000 Hz, the channel count outside 1 to 8, or the number of
    /// samples no multiple of the channel count.
    pub fn new(samples: impl Into<Vec<f32>>, sample_rate: u32, channels: u16) -> Result<Self, AudioFrameError> {
        let samples = samples.into();
        if !(1..=384_000).contains(&sample_rate) {
            return Err(AudioFrameError::SampleRate { sample_rate });
        }
        if !(1..=8).contains(&channels) {
            return Err(AudioFrameError::Channels { channels });
        }
        if !samples.len().is_multiple_of(usize::from(channels)) {
            return Err(AudioFrameError::Length { samples: samples.len(), channels });
        }
        Ok(Self { samples, sample_rate, channels, timestamp: None, stream_id: None, capture_time: None, source: None })
    }

    /// The same frame at `timestamp` on the media clock.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: Duration) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The same frame as part of the stream `id`.
    #[must_use]
    pub fn with_stream_id(mut self, id: StreamId) -> Self {
        self.stream_id = Some(id);
        self
    }

    /// The interleaved samples.
    pub fn samples(&self) -> &[f32] {
        &self.samples
    }

    /// The interleaved samples, to change in place; their number is fixed.
    pub fn samples_mut(&mut self) -> &mut [f32] {
        &mut self.samples
    }

    /// The samples themselves, without a copy.
    pub fn into_samples(self) -> Vec<f32> {
        self.samples
    }

    /// Samples per second of one channel, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Number of interleaved channels, 1 to 8.
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// Samples of one channel.
    pub fn samples_per_channel(&self) -> usize {
        self.samples.len() / usize::from(self.channels)
    }

    /// How long the frame sounds.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.samples_per_channel() as u64 * 1_000_000_000 / u64::from(self.sample_rate))
    }
}

/// Why a set of samples is no audio frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AudioFrameError {
    /// The sample rate is out of range.
    #[error("sample rate {sample_rate} Hz is out of range: use 1 to 384,000 Hz")]
    SampleRate {
        /// The rate that was asked for.
        sample_rate: u32,
    },
    /// The channel count is out of range.
    #[error("{channels} channels are out of range: use 1 to 8")]
    Channels {
        /// The count that was asked for.
        channels: u16,
    },
    /// The samples do not divide into the channels.
    #[error("{samples} samples do not divide into {channels} channels: give every channel the same number")]
    Length {
        /// How many samples there were.
        samples: usize,
        /// How many channels they should fill.
        channels: u16,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn duration_counts_samples_of_one_channel() {
        let frame = AudioFrame::new(vec![0.0; 1920], 48_000, 2).unwrap();
        assert_eq!(frame.samples_per_channel(), 960);
        assert_eq!(frame.duration(), Duration::from_millis(20));
    }

    #[test]
    fn odd_lengths_and_ranges_are_refused() {
        assert_eq!(AudioFrame::new(vec![0.0; 3], 48_000, 2), Err(AudioFrameError::Length { samples: 3, channels: 2 }));
        assert_eq!(AudioFrame::new(vec![], 0, 1), Err(AudioFrameError::SampleRate { sample_rate: 0 }));
        assert_eq!(AudioFrame::new(vec![], 8_000, 9), Err(AudioFrameError::Channels { channels: 9 }));
    }
}
