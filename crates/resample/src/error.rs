/// Why audio cannot be resampled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// The rate is none of an audio stream.
    #[error("a sample rate of {sample_rate} Hz is out of range: use 1 to 384,000 Hz")]
    SampleRate {
        /// The rate.
        sample_rate: u32,
    },
    /// There is no converter between the two rates.
    #[error("no resampler can be made from {from} to {to} Hz: use rates that have a common divisor, such as 48,000 Hz")]
    NoConverter {
        /// The rate of what comes in, in Hz.
        from: u32,
        /// The rate of what comes out, in Hz.
        to: u32,
        /// What the resampler says; `None` if it has other blocks than were asked for.
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The resampler refused its input. A resampler that is made anew goes on.
    #[error("the audio could not be resampled")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}
