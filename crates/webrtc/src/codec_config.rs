use remotemedia_codecs as codecs;
use remotemedia_media::{Bitrate, Codec};

use crate::error::{Result, WebRtcError};

/// The audio codec and its settings.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AudioCodec {
    /// Opus (RFC 6716), which every WebRTC peer speaks.
    Opus {
        /// Rate at which audio is encoded: 8,000, 16,000, 24,000 or 48,000 Hz. Frames of other rates are resampled.
        sample_rate: u32,
        /// 1 (mono) or 2 (stereo). Frames with another count are mixed.
        channels: u16,
        /// 6 to 510 kbit/s; 16 to 128 is typical.
        bitrate_kbps: u32,
        /// 0 to 10: higher sounds better and costs more processor time.
        complexity: u8,
    },
}

impl AudioCodec {
    /// Opus as by default: 48 kHz, mono, 32 kbit/s, complexity 8.
    pub const fn opus() -> Self {
        Self::Opus { sample_rate: 48_000, channels: 1, bitrate_kbps: 32, complexity: 8 }
    }

    /// The same codec at another encoding rate: 8,000, 16,000, 24,000 or 48,000 Hz.
    #[must_use]
    pub const fn sample_rate(self, hz: u32) -> Self {
        let Self::Opus { channels, bitrate_kbps, complexity, .. } = self;
        Self::Opus { sample_rate: hz, channels, bitrate_kbps, complexity }
    }

    /// The same codec with another number of channels: 1 or 2.
    #[must_use]
    pub const fn channels(self, count: u16) -> Self {
        let Self::Opus { sample_rate, bitrate_kbps, complexity, .. } = self;
        Self::Opus { sample_rate, channels: count, bitrate_kbps, complexity }
    }

    /// The same codec at another bitrate: 6 to 510 kbit/s.
    #[must_use]
    pub const fn bitrate_kbps(self, kbps: u32) -> Self {
        let Self::Opus { sample_rate, channels, complexity, .. } = self;
        Self::Opus { sample_rate, channels, bitrate_kbps: kbps, complexity }
    }

    /// The same codec with another complexity: 0 to 10.
    #[must_use]
    pub const fn complexity(self, level: u8) -> Self {
        let Self::Opus { sample_rate, channels, bitrate_kbps, .. } = self;
        Self::Opus { sample_rate, channels, bitrate_kbps, complexity: level }
    }
}

impl Default for AudioCodec {
    fn default() -> Self {
        Self::opus()
    }
}

/// The video codec that is preferred, and its settings. The others stay on offer for peers that lack it, with the same
/// settings, unless [`video_fallback`](crate::WebRtcTransportConfig::video_fallback) is off.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoCodec {
    /// VP9, profile 0: the best picture per bit of the three.
    VP9 {
        /// Widest picture sent, in pixels; wider frames are scaled down.
        width: u32,
        /// Highest picture sent, in pixels; higher frames are scaled down.
        height: u32,
        /// Most pictures sent a second, 1 to 60. A faster source is thinned out evenly; one that is less than 2 % faster
        /// is left as it is.
        framerate: u32,
        /// Most it sends, in kbit/s, 30 to 50,000; with adaptive bitrate it goes below where the network asks.
        bitrate_kbps: u32,
    },
    /// VP8, which every browser speaks.
    VP8 {
        /// Widest picture sent, in pixels; wider frames are scaled down.
        width: u32,
        /// Highest picture sent, in pixels; higher frames are scaled down.
        height: u32,
        /// Most pictures sent a second, 1 to 60. A faster source is thinned out evenly; one that is less than 2 % faster
        /// is left as it is.
        framerate: u32,
        /// Most it sends, in kbit/s, 30 to 50,000; with adaptive bitrate it goes below where the network asks.
        bitrate_kbps: u32,
    },
    /// H.264, constrained baseline: the cheapest to encode of the three.
    H264 {
        /// Widest picture sent, in pixels; wider frames are scaled down.
        width: u32,
        /// Highest picture sent, in pixels; higher frames are scaled down.
        height: u32,
        /// Most pictures sent a second, 1 to 60. A faster source is thinned out evenly; one that is less than 2 % faster
        /// is left as it is.
        framerate: u32,
        /// Most it sends, in kbit/s, 30 to 50,000; with adaptive bitrate it goes below where the network asks.
        bitrate_kbps: u32,
    },
}

impl VideoCodec {
    /// VP9 as by default: 1280x720, 30 frames per second, 2,000 kbit/s.
    pub const fn vp9() -> Self {
        Self::VP9 { width: 1280, height: 720, framerate: 30, bitrate_kbps: 2_000 }
    }

    /// VP8 at 1280x720, 30 frames per second, 2,000 kbit/s.
    pub const fn vp8() -> Self {
        Self::VP8 { width: 1280, height: 720, framerate: 30, bitrate_kbps: 2_000 }
    }

    /// H.264 at 1280x720, 30 frames per second, 2,000 kbit/s.
    pub const fn h264() -> Self {
        Self::H264 { width: 1280, height: 720, framerate: 30, bitrate_kbps: 2_000 }
    }

    /// The same codec with another largest size, in pixels.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        let (w, h, ..) = self.fields_mut();
        (*w, *h) = (width, height);
        self
    }

    /// The same codec with another limit of pictures a second.
    #[must_use]
    pub fn framerate(mut self, fps: u32) -> Self {
        *self.fields_mut().2 = fps;
        self
    }

    /// The same codec at another bitrate, in kbit/s.
    #[must_use]
    pub fn bitrate_kbps(mut self, kbps: u32) -> Self {
        *self.fields_mut().3 = kbps;
        self
    }

    /// Which codec it is.
    pub const fn codec(&self) -> Codec {
        match self {
            Self::VP9 { .. } => Codec::Vp9,
            Self::VP8 { .. } => Codec::Vp8,
            Self::H264 { .. } => Codec::H264,
        }
    }

    fn fields_mut(&mut self) -> (&mut u32, &mut u32, &mut u32, &mut u32) {
        match self {
            Self::VP9 { width, height, framerate, bitrate_kbps }
            | Self::VP8 { width, height, framerate, bitrate_kbps }
            | Self::H264 { width, height, framerate, bitrate_kbps } => (width, height, framerate, bitrate_kbps),
        }
    }

    fn fields(&self) -> (u32, u32, u32, u32) {
        match *self {
            Self::VP9 { width, height, framerate, bitrate_kbps }
            | Self::VP8 { width, height, framerate, bitrate_kbps }
            | Self::H264 { width, height, framerate, bitrate_kbps } => (width, height, framerate, bitrate_kbps),
        }
    }
}

impl Default for VideoCodec {
    /// The first of VP9, VP8 and H.264 that this build has.
    fn default() -> Self {
        let preferred = [Self::vp9(), Self::vp8(), Self::h264()];
        preferred.into_iter().find(|c| codecs::is_built(c.codec())).unwrap_or(Self::vp9())
    }
}

/// Audio settings, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct AudioSettings {
    pub(crate) sample_rate: u32,
    pub(crate) channels: u16,
    pub(crate) bitrate: Bitrate,
    pub(crate) complexity: u8,
}

/// Video settings, checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct VideoSettings {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) framerate: u32,
    pub(crate) bitrate: Bitrate,
}

impl AudioSettings {
    pub(crate) fn parse(codec: &AudioCodec) -> Result<Self> {
        require_built(Codec::Opus)?;
        let &AudioCodec::Opus { sample_rate, channels, bitrate_kbps, complexity } = codec;
        if ![8_000, 16_000, 24_000, 48_000].contains(&sample_rate) {
            return Err(invalid("audio_codec.sample_rate", sample_rate, "8000, 16000, 24000 or 48000 Hz"));
        }
        if !(1..=2).contains(&channels) {
            return Err(invalid("audio_codec.channels", channels, "1 or 2"));
        }
        check_audio_bitrate("audio_codec.bitrate_kbps", bitrate_kbps)?;
        if complexity > 10 {
            return Err(invalid("audio_codec.complexity", complexity, "0 to 10"));
        }
        Ok(Self { sample_rate, channels, bitrate: Bitrate::from_kbps(bitrate_kbps), complexity })
    }
}

impl VideoSettings {
    pub(crate) fn parse(codec: &VideoCodec) -> Result<Self> {
        require_built(codec.codec())?;
        let (width, height, framerate, bitrate_kbps) = codec.fields();
        for (field, side) in [("video_codec.width", width), ("video_codec.height", height)] {
            if !(16..=7_680).contains(&side) {
                return Err(invalid(field, side, "16 to 7680 pixels"));
            }
        }
        check_framerate("video_codec.framerate", framerate)?;
        check_video_bitrate("video_codec.bitrate_kbps", bitrate_kbps)?;
        Ok(Self { width, height, framerate, bitrate: Bitrate::from_kbps(bitrate_kbps) })
    }
}

/// The video codecs to offer: the configured one first, then with `fallback` the others that this build has.
pub(crate) fn offered_video_codecs(preferred: Codec, fallback: bool) -> Vec<Codec> {
    let mut offered = vec![preferred];
    offered.extend([Codec::Vp9, Codec::Vp8, Codec::H264].into_iter().filter(|&c| fallback && c != preferred));
    offered.retain(|&c| codecs::is_built(c));
    offered
}

pub(crate) fn check_audio_bitrate(field: &'static str, kbps: u32) -> Result<()> {
    if (6..=510).contains(&kbps) { Ok(()) } else { Err(invalid(field, kbps, "6 to 510 kbit/s")) }
}

pub(crate) fn check_video_bitrate(field: &'static str, kbps: u32) -> Result<()> {
    if (30..=50_000).contains(&kbps) { Ok(()) } else { Err(invalid(field, kbps, "30 to 50000 kbit/s")) }
}

pub(crate) fn check_framerate(field: &'static str, fps: u32) -> Result<()> {
    if (1..=60).contains(&fps) { Ok(()) } else { Err(invalid(field, fps, "1 to 60 frames per second")) }
}

pub(crate) fn invalid(field: &'static str, value: impl ToString, allowed: &'static str) -> WebRtcError {
    WebRtcError::InvalidConfig { field, value: value.to_string(), allowed }
}

fn require_built(codec: Codec) -> Result<()> {
    if codecs::is_built(codec) {
        Ok(())
    } else {
        Err(WebRtcError::CodecNotBuilt { codec, feature: codecs::feature_of(codec) })
    }
}
