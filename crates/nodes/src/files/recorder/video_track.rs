//! Pictures as VP8 or VP9.

use std::{ops::RangeInclusive, time::Duration};

use remotemedia_codecs::{EncodedVideo, VideoEncoder, VideoEncoderSettings, video_encoder};
use remotemedia_media::{Bitrate, Codec, VideoFrame};

use super::error::SinkError;

/// Widths and heights that the VP8 and VP9 encoders take, in pixels.
pub(super) const SIDES: RangeInclusive<u32> = 16..=16_383;
/// How far apart keyframes are at most: as far as a player has to decode to begin anywhere.
const KEYFRAME_EVERY: Duration = Duration::from_secs(5);

/// An encoder that keeps its times rising and its keyframes close.
pub(super) struct VideoTrack {
    encoder: Box<dyn VideoEncoder>,
    last: Option<Duration>,
    last_keyframe: Option<Duration>,
}

impl VideoTrack {
    pub(super) fn new(codec: Codec, bitrate: Bitrate, framerate: f64) -> Result<Self, SinkError> {
        let settings = VideoEncoderSettings { bitrate, framerate, ..VideoEncoderSettings::default() };
        Ok(Self { encoder: video_encoder(codec, &settings)?, last: None, last_keyframe: None })
    }

    pub(super) fn codec(&self) -> Codec {
        self.encoder.codec()
    }

    pub(super) fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), SinkError> {
        Ok(self.encoder.set_bitrate(bitrate)?)
    }

    /// Encodes a picture that is shown at `at`. `None` for one that comes no later than the one before, and where rate
    /// control drops it.
    pub(super) fn encode(&mut self, frame: &VideoFrame, at: Duration) -> Result<Option<EncodedVideo>, SinkError> {
        if self.last.is_some_and(|last| at <= last) {
            return Ok(None);
        }
        let wants_keyframe = self.last_keyframe.is_none_or(|last| at - last >= KEYFRAME_EVERY);
        let encoded = self.encoder.encode(frame, at, wants_keyframe)?;
        self.last = Some(at);
        if encoded.as_ref().is_some_and(|encoded| encoded.keyframe) {
            self.last_keyframe = Some(at);
        }
        Ok(encoded)
    }
}
