use remotemedia_media::AudioFrameError;
use rubato::{ResampleError, ResamplerConstructionError};

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
    /// There is no converter between the two rates.
    #[error("no resampler can be made from {from} to {to} Hz: use rates that have a common divisor, such as 48,000 Hz")]
    Resampler {
        /// The rate of the frame.
        from: u32,
        /// The rate that is wanted.
        to: u32,
        /// What the resampler says.
        source: ResamplerConstructionError,
    },
    /// The resampler refused its input.
    #[error("the audio could not be resampled; the stream starts anew with the next frame")]
    Resampling(#[from] ResampleError),
    /// What was made is no audio frame.
    #[error(transparent)]
    Frame(#[from] AudioFrameError),
}
