use std::error::Error;

use remotemedia_media::{Codec, MediaKind, PixelFormat};

/// Why encoding, decoding or setting up a codec failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The codec is not part of this build.
    #[error("{codec} is not part of this build: enable the feature `{feature}` of remotemedia-codecs")]
    CodecNotBuilt {
        /// The codec that was asked for.
        codec: Codec,
        /// The cargo feature that adds it.
        feature: &'static str,
    },
    /// An audio codec was asked for video, or the other way round.
    #[error("{codec} does not carry {wanted}: choose a codec that does")]
    WrongKind {
        /// The codec that was asked for.
        codec: Codec,
        /// What it should have carried.
        wanted: MediaKind,
    },
    /// A setting is out of its range.
    #[error("{field} = {value} is out of range: use {range}")]
    InvalidSetting {
        /// The field of the settings, or the parameter of the call.
        field: &'static str,
        /// The value that was given.
        value: String,
        /// What is allowed.
        range: &'static str,
    },
    /// Audio of a length that the codec cannot take.
    #[error("{actual} samples were given: pass {expected}")]
    AudioLength {
        /// What is allowed, in samples.
        expected: String,
        /// The samples that were given.
        actual: usize,
    },
    /// A picture too small or too large to encode.
    #[error("{codec} cannot encode {width}x{height}: each side is {min} to {max} pixels")]
    PictureSize {
        /// The encoder's codec.
        codec: Codec,
        /// Width of the picture in pixels.
        width: u32,
        /// Height of the picture in pixels.
        height: u32,
        /// The smallest side.
        min: u32,
        /// The largest side.
        max: u32,
    },
    /// The pixel format cannot be converted.
    #[error("pixel format {format:?} cannot be converted to I420: use I420, NV12, RGB24, RGBA or BGRA")]
    PixelFormat {
        /// The format of the picture.
        format: PixelFormat,
    },
    /// Converting or scaling a picture failed.
    #[error("the picture could not be converted")]
    Conversion(#[source] Box<dyn Error + Send + Sync>),
    /// An encoded frame of another codec than the decoder's.
    #[error("a {actual} frame was given to a {expected} decoder: create a decoder for {actual}")]
    CodecMismatch {
        /// The decoder's codec.
        expected: Codec,
        /// The frame's codec.
        actual: Codec,
    },
    /// The stream announces pictures larger than the decoder's limit.
    #[error("the {codec} stream announces {width}x{height}, more than the limit of {max_pixels} pixels")]
    PictureTooLarge {
        /// The decoder's codec.
        codec: Codec,
        /// Announced width in pixels.
        width: u32,
        /// Announced height in pixels.
        height: u32,
        /// The decoder's limit, width times height.
        max_pixels: u32,
    },
    /// Frames are withheld because one before was lost: ask the sender for a keyframe.
    #[error("a {codec} frame refers to pictures that were lost: ask the sender for a keyframe")]
    KeyframeNeeded {
        /// The decoder's codec.
        codec: Codec,
    },
    /// The bitstream is damaged: ask the sender for a keyframe.
    #[error("the {codec} bitstream cannot be decoded: ask the sender for a keyframe")]
    Bitstream {
        /// The decoder's codec.
        codec: Codec,
        /// What the codec's library, or our own check of the header, said.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The codec's library refused a call that should have worked.
    #[error("{codec}: {operation} failed")]
    Library {
        /// The codec.
        codec: Codec,
        /// What was tried.
        operation: &'static str,
        /// What the library said.
        source: Box<dyn Error + Send + Sync>,
    },
}

impl CodecError {
    #[cfg(any(feature = "opus", feature = "h264", feature = "vpx"))]
    pub(crate) fn library(
        codec: Codec,
        operation: &'static str,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::Library { codec, operation, source: source.into() }
    }

    #[cfg(any(feature = "opus", feature = "h264", feature = "vpx"))]
    pub(crate) fn bitstream(codec: Codec, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Bitstream { codec, source: source.into() }
    }
}
