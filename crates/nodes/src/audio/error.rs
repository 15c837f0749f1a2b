use remotemedia_media::AudioFrameError;
use remotemedia_resample::ResampleError;

/// Why a node cannot work on a piece of audio.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AudioNodeError {
    /// The sample rate is none that the nodes convert.
    #[error("audio of {sample_rate} Hz cannot be converted: send 8,000 to 192,000 Hz")]
    SampleRate {
        /// The rate of the frame.
        sample_rate: u32,
    },
    /// The audio cannot be resampled. The stream starts anew with the next frame.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// What was made is no audio frame.
    #[error(transparent)]
    Frame(#[from] AudioFrameError),
}

impl AudioNodeError {
    /// Lets rates pass that are converted: 8 to 192 kHz.
    pub(super) fn check_rate(sample_rate: u32) -> Result<(), Self> {
        if (8_000..=192_000).contains(&sample_rate) { Ok(()) } else { Err(Self::SampleRate { sample_rate }) }
    }
}
