//! Opus, VP8, VP9 and H.264 behind four small traits.
//!
//! [`audio_encoder`], [`audio_decoder`], [`video_encoder`] and [`video_decoder`] create a codec by its
//! [`Codec`](remotemedia_media::Codec) name; the traits [`AudioEncoder`], [`AudioDecoder`], [`VideoEncoder`] and
//! [`VideoDecoder`] drive it. Everything runs on the caller's thread and no clock is read: a codec is a value that can
//! be moved to whatever thread has time for it.
//!
//! Each codec is a feature: `opus` and `h264` compile their libraries from source, `vpx` (VP8 and VP9) links the
//! system's libvpx. A codec whose feature is off is [`CodecError::CodecNotBuilt`] when it is asked for.
//!
//! ```
//! # #[cfg(feature = "opus")] {
//! use remotemedia_codecs::{AudioDecoderSettings, AudioEncoderSettings, audio_decoder, audio_encoder};
//! use remotemedia_media::Codec;
//!
//! let mut encoder = audio_encoder(Codec::Opus, &AudioEncoderSettings::default())?;
//! let mut decoder = audio_decoder(Codec::Opus, &AudioDecoderSettings::default())?;
//! let packet = encoder.encode(&vec![0.0; encoder.frame_samples()])?;
//! let mut samples = Vec::new();
//! assert_eq!(decoder.decode(&packet.data, &mut samples)?, 960);
//! # }
//! # Ok::<(), remotemedia_codecs::CodecError>(())
//! ```

mod audio;
#[cfg(any(feature = "h264", feature = "vpx"))]
mod bits;
mod built;
mod error;
#[cfg(feature = "h264")]
#[allow(unsafe_code, reason = "the bitrate of a running OpenH264 encoder can only be set through its C interface")]
mod h264;
#[cfg(feature = "opus")]
mod opus;
mod picture;
mod scale;
#[cfg(feature = "test-media")]
pub mod test_media;
mod video;
#[cfg(feature = "vpx")]
#[allow(unsafe_code, reason = "libvpx is a C library")]
mod vpx;

pub use audio::{
    AudioContent, AudioDecoder, AudioDecoderSettings, AudioEncoder, AudioEncoderSettings, EncodedAudio, audio_decoder,
    audio_encoder,
};
pub use built::{feature_of, is_built};
pub use error::CodecError;
pub use picture::to_i420;
pub use scale::{fitted_size, scale_to_fit};
pub use video::{
    EncodedVideo, VideoContent, VideoDecoder, VideoDecoderSettings, VideoEffort, VideoEncoder, VideoEncoderSettings,
    video_decoder, video_encoder,
};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
