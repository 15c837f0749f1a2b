use std::time::Duration;

use bytes::Bytes;
use remotemedia_media::{Bitrate, Codec, EncodedFrame, MediaKind, VideoFrame};

use crate::CodecError;

/// Encodes pictures in real time: one in, at most one out, without delay.
///
/// Every setter acts on the next picture.
pub trait VideoEncoder: Send {
    /// Encodes `frame`, whatever its pixel format, strides and size. `timestamp` is its position on the media clock;
    /// rate control measures with it, and it should rise from picture to picture. A picture of another size than the
    /// one before starts with a keyframe. H.264 leaves out the last column or row of an odd size.
    ///
    /// `None` means that rate control dropped the picture: send nothing, the stream stays intact. A forced keyframe is
    /// never dropped for good: while the answer is `None`, the next picture is forced in its place.
    ///
    /// # Errors
    ///
    /// [`CodecError::PictureSize`] if a side is outside the codec's range, [`CodecError::PixelFormat`] or
    /// [`CodecError::Library`].
    fn encode(
        &mut self,
        frame: &VideoFrame,
        timestamp: Duration,
        force_keyframe: bool,
    ) -> Result<Option<EncodedVideo>, CodecError>;

    /// Aims at `bitrate` from now on.
    ///
    /// # Errors
    ///
    /// [`CodecError::InvalidSetting`] outside [`VideoEncoderSettings::MIN_BITRATE`] to
    /// [`VideoEncoderSettings::MAX_BITRATE`].
    fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), CodecError>;

    /// Tells how many pictures a second come from now on: rate control shares the bitrate among them.
    ///
    /// # Errors
    ///
    /// [`CodecError::InvalidSetting`] outside 1 to 60.
    fn set_framerate(&mut self, framerate: f64) -> Result<(), CodecError>;

    /// What it encodes to.
    fn codec(&self) -> Codec;
}

/// Decodes the frames of one stream in order.
pub trait VideoDecoder: Send {
    /// Decodes one frame to an I420 picture whose timestamp is left open. `None` if it shows no picture (parameter
    /// sets alone, a hidden frame).
    ///
    /// # Errors
    ///
    /// Any error but [`CodecError::CodecMismatch`] means that nothing right can be shown before the next keyframe: ask
    /// the sender for one, and keep decoding what arrives. After a loss the decoder itself withholds what refers to the
    /// lost picture.
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, CodecError>;

    /// What it decodes.
    fn codec(&self) -> Codec;
}

/// One encoded picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedVideo {
    /// Its bitstream: an Annex B access unit for H.264, one frame for VP8, one frame or superframe for VP9.
    pub data: Bytes,
    /// Whether it decodes without any picture before it.
    pub keyframe: bool,
    /// Encoded width in pixels.
    pub width: u32,
    /// Encoded height in pixels.
    pub height: u32,
}

/// How much computation an encoder spends on a picture.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoEffort {
    /// As little as possible. H.264, and VP8 and VP9 from 720p on, have nothing below [`VideoEffort::Balanced`].
    Low,
    /// At 720p30 and 2 Mbit/s about a fifth of a server core for H.264, a quarter for VP8, a third for VP9: the
    /// `sender_cost` bench tells for your machine.
    #[default]
    Balanced,
    /// The best that still runs in real time on a free core.
    High,
}

/// What an encoder is tuned for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VideoContent {
    /// A camera: motion and noise.
    #[default]
    Camera,
    /// A screen: text, flat areas, sudden changes.
    Screen,
}

/// How a video encoder starts. The picture size comes with the first picture.
///
/// ```
/// # use remotemedia_codecs::VideoEncoderSettings;
/// # use remotemedia_media::Bitrate;
/// let settings = VideoEncoderSettings { bitrate: Bitrate::from_kbps(800), ..VideoEncoderSettings::default() };
/// assert_eq!(settings.framerate, 30.0);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct VideoEncoderSettings {
    /// [`Self::MIN_BITRATE`] to [`Self::MAX_BITRATE`]. Default 2 Mbit/s.
    pub bitrate: Bitrate,
    /// Pictures a second, 1 to 60. Default 30.
    pub framerate: f64,
    /// 1 to 16, default 1. VP8's threads wait spinning for each other: give it no more than there are idle cores.
    /// H.264 encodes a picture in one slice and gains nothing from more than one.
    pub threads: u8,
    /// Computation against quality. Default [`VideoEffort::Balanced`].
    pub effort: VideoEffort,
    /// What it is tuned for. Default [`VideoContent::Camera`].
    pub content: VideoContent,
    /// H.264 only: the largest slice in bytes, 500 to 65,535, so that each fits a packet of its own (RFC 6184, single
    /// NAL unit mode). Default `None`: one slice a picture, fragmented when it is sent.
    pub max_slice_len: Option<u16>,
}

impl VideoEncoderSettings {
    /// The lowest bitrate that rate control can aim at.
    pub const MIN_BITRATE: Bitrate = Bitrate::from_kbps(30);
    /// The highest bitrate.
    pub const MAX_BITRATE: Bitrate = Bitrate::from_kbps(100_000);

    #[cfg(any(feature = "h264", feature = "vpx"))]
    pub(crate) fn validate(&self) -> Result<(), CodecError> {
        check_bitrate(self.bitrate)?;
        check_framerate(self.framerate)?;
        if !(1..=16).contains(&self.threads) {
            return Err(CodecError::InvalidSetting {
                field: "threads",
                value: self.threads.to_string(),
                range: "1 to 16",
            });
        }
        match self.max_slice_len {
            Some(len @ 0..500) => Err(CodecError::InvalidSetting {
                field: "max_slice_len",
                value: len.to_string(),
                range: "500 to 65,535 bytes",
            }),
            _ => Ok(()),
        }
    }
}

impl Default for VideoEncoderSettings {
    fn default() -> Self {
        Self {
            bitrate: Bitrate::from_kbps(2_000),
            framerate: 30.0,
            threads: 1,
            effort: VideoEffort::Balanced,
            content: VideoContent::Camera,
            max_slice_len: None,
        }
    }
}

/// How a video decoder starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VideoDecoderSettings {
    /// The largest picture it allocates for, width times height: 256 to 2^26. Default 3840 x 2160. A stream that
    /// announces more is refused before the codec sees it.
    pub max_pixels: u32,
    /// 1 to 16, default 1. H.264 always decodes on one: its threads are not stable.
    pub threads: u8,
}

impl VideoDecoderSettings {
    #[cfg(any(feature = "h264", feature = "vpx"))]
    pub(crate) fn validate(&self) -> Result<(), CodecError> {
        if !(256..=1 << 26).contains(&self.max_pixels) {
            return Err(CodecError::InvalidSetting {
                field: "max_pixels",
                value: self.max_pixels.to_string(),
                range: "256 to 67,108,864",
            });
        }
        if !(1..=16).contains(&self.threads) {
            return Err(CodecError::InvalidSetting {
                field: "threads",
                value: self.threads.to_string(),
                range: "1 to 16",
            });
        }
        Ok(())
    }
}

impl Default for VideoDecoderSettings {
    fn default() -> Self {
        Self { max_pixels: 3840 * 2160, threads: 1 }
    }
}

/// Creates an encoder of `codec`.
///
/// # Errors
///
/// [`CodecError::InvalidSetting`], [`CodecError::CodecNotBuilt`], or [`CodecError::WrongKind`] for an audio codec.
#[cfg_attr(not(all(feature = "h264", feature = "vpx")), allow(unused_variables))]
pub fn video_encoder(codec: Codec, settings: &VideoEncoderSettings) -> Result<Box<dyn VideoEncoder>, CodecError> {
    match codec {
        #[cfg(feature = "h264")]
        Codec::H264 => Ok(Box::new(crate::h264::H264Encoder::new(settings)?)),
        #[cfg(not(feature = "h264"))]
        Codec::H264 => Err(CodecError::CodecNotBuilt { codec, feature: "h264" }),
        #[cfg(feature = "vpx")]
        Codec::Vp8 | Codec::Vp9 => Ok(Box::new(crate::vpx::VpxEncoder::new(codec, settings)?)),
        #[cfg(not(feature = "vpx"))]
        Codec::Vp8 | Codec::Vp9 => Err(CodecError::CodecNotBuilt { codec, feature: "vpx" }),
        _ => Err(CodecError::WrongKind { codec, wanted: MediaKind::Video }),
    }
}

/// Creates a decoder of `codec`.
///
/// # Errors
///
/// [`CodecError::InvalidSetting`], [`CodecError::CodecNotBuilt`], or [`CodecError::WrongKind`] for an audio codec.
#[cfg_attr(not(all(feature = "h264", feature = "vpx")), allow(unused_variables))]
pub fn video_decoder(codec: Codec, settings: &VideoDecoderSettings) -> Result<Box<dyn VideoDecoder>, CodecError> {
    match codec {
        #[cfg(feature = "h264")]
        Codec::H264 => Ok(Box::new(crate::h264::H264Decoder::new(settings)?)),
        #[cfg(not(feature = "h264"))]
        Codec::H264 => Err(CodecError::CodecNotBuilt { codec, feature: "h264" }),
        #[cfg(feature = "vpx")]
        Codec::Vp8 | Codec::Vp9 => Ok(Box::new(crate::vpx::VpxDecoder::new(codec, settings)?)),
        #[cfg(not(feature = "vpx"))]
        Codec::Vp8 | Codec::Vp9 => Err(CodecError::CodecNotBuilt { codec, feature: "vpx" }),
        _ => Err(CodecError::WrongKind { codec, wanted: MediaKind::Video }),
    }
}

#[cfg(any(feature = "h264", feature = "vpx"))]
pub(crate) fn check_bitrate(bitrate: Bitrate) -> Result<(), CodecError> {
    if (VideoEncoderSettings::MIN_BITRATE..=VideoEncoderSettings::MAX_BITRATE).contains(&bitrate) {
        Ok(())
    } else {
        Err(CodecError::InvalidSetting {
            field: "bitrate",
            value: bitrate.to_string(),
            range: "30 kbit/s to 100 Mbit/s",
        })
    }
}

#[cfg(any(feature = "h264", feature = "vpx"))]
pub(crate) fn check_framerate(framerate: f64) -> Result<(), CodecError> {
    if (1.0..=60.0).contains(&framerate) {
        Ok(())
    } else {
        Err(CodecError::InvalidSetting { field: "framerate", value: framerate.to_string(), range: "1 to 60" })
    }
}
