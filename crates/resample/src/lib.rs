//! Conversion of audio streams to other sample rates and numbers of channels.
//!
//! Samples are interleaved `f32`, frames have any length. No clock, no I/O, and no allocation once a stream runs.
#![forbid(unsafe_code)]

mod block;
mod channels;
mod convert;
mod error;
mod stream;

pub use block::BlockResampler;
pub use channels::ChannelMatrix;
pub use convert::{FormatConverter, StreamConverter};
pub use error::ResampleError;
pub use stream::{StreamResampler, Timing};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
