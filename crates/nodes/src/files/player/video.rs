//! Encoded pictures out of a container.

use std::time::{Duration, Instant};

use bytes::Bytes;
use remotemedia_codecs::{VideoDecoder, VideoDecoderSettings, video_decoder};
use remotemedia_media::{Codec, EncodedFrame, RtpTimestamp, VideoFrame};

use super::{
    PlayerError,
    source::{Item, Media},
};

/// A decoder that shows nothing before the start.
pub(super) struct VideoPlayback {
    decoder: Box<dyn VideoDecoder>,
    start: Duration,
    /// Frames that are not even decoded: those before the keyframe that the start needs.
    skipped: u64,
    number: u64,
    last: Option<Duration>,
    every: Duration,
}

impl VideoPlayback {
    /// For a stream of `codec`, the first `skipped` frames of which are not needed.
    pub(super) fn new(codec: Codec, start: Duration, skipped: u64) -> Result<Self, PlayerError> {
        let decoder = video_decoder(codec, &VideoDecoderSettings::default())?;
        Ok(Self { decoder, start, skipped, number: 0, last: None, every: Duration::from_millis(33) })
    }

    /// Decodes the frame that is shown at `at`. `None` if nothing of it is shown.
    pub(super) fn decode(&mut self, data: Vec<u8>, at: Duration) -> Option<Item> {
        let number = self.number;
        self.number += 1;
        if number < self.skipped {
            return None;
        }
        let frame = EncodedFrame {
            codec: self.decoder.codec(),
            keyframe: is_keyframe(self.decoder.codec(), &data),
            data: Bytes::from(data),
            contiguous: true,
            timestamp: RtpTimestamp::default().advance(at, 90_000),
            first_sequence: number,
            last_sequence: number,
            // Files do not arrive; no decoder looks at it.
            arrival: Instant::now(),
        };
        // After damage nothing right can be shown before the next keyframe, and the decoder sees to that.
        let picture: VideoFrame = self.decoder.decode(&frame).ok().flatten()?;
        if let Some(last) = self.last.replace(at) {
            self.every = at.saturating_sub(last).min(Duration::from_secs(1));
        }
        (at >= self.start).then(|| Item { at, end: at + self.every, media: Media::Video(picture) })
    }
}

/// How many frames come before the keyframe that is needed to show what is shown at `start`.
pub(super) fn frames_before_start(
    codec: Codec,
    start: Duration,
    frames: impl Iterator<Item = (Duration, Vec<u8>)>,
) -> u64 {
    let mut needed = 0;
    for (number, (at, data)) in (0..).zip(frames) {
        if at > start {
            break;
        }
        if is_keyframe(codec, &data) {
            needed = number;
        }
    }
    needed
}

/// Whether a frame decodes without any before it.
fn is_keyframe(codec: Codec, data: &[u8]) -> bool {
    let Some(&first) = data.first() else { return false };
    match codec {
        // RFC 6386, section 9.1.
        Codec::Vp8 => first & 1 == 0,
        // RFC 9628, section 4.2, and the VP9 bitstream specification, section 6.2: neither a repeat nor an inter frame.
        Codec::Vp9 => first & 0b0000_1100 == 0,
        // A slice of an IDR picture behind a start code.
        _ => data.windows(4).any(|window| matches!(window, [0, 0, 1, header] if header & 0x1f == 5)),
    }
}
