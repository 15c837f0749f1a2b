//! The payload formats: each module cuts a frame into payloads and reads what one payload holds.

pub(crate) mod h264;
pub(crate) mod opus;
pub(crate) mod vp8;
pub(crate) mod vp9;

use bytes::Bytes;
use remotemedia_media::Codec;

/// Whether the encoded `frame` decodes without any before it, by its first bytes. Opus frames always do.
///
/// For H.264, in Annex B form, that is an access unit with an IDR slice.
pub fn is_keyframe(codec: Codec, frame: &[u8]) -> bool {
    match codec {
        Codec::Opus => !frame.is_empty(),
        Codec::Vp8 => vp8::is_keyframe(frame),
        Codec::Vp9 => vp9::is_keyframe(frame),
        Codec::H264 => h264::is_keyframe(frame),
        _ => false,
    }
}

/// Whether the RTP `payload` begins a keyframe: its first packet, or for H.264 one that begins with a sequence parameter set
/// or with the first slice of an IDR picture. Opus payloads always do.
pub fn starts_keyframe(codec: Codec, payload: &Bytes) -> bool {
    match Part::parse(codec, payload) {
        Part::Data(part) => part.starts && (part.keyframe || part.parameter_sets),
        Part::Empty | Part::Malformed => false,
    }
}

/// What one RTP payload adds to a frame.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    /// A piece of a frame.
    Data(FramePart),
    /// Nothing: padding.
    Empty,
    /// What the payload format does not allow; the frame around it cannot be trusted.
    Malformed,
}

#[derive(Clone, Debug)]
pub(crate) struct FramePart {
    /// The payload behind its descriptor (VP8, VP9), or the whole payload (Opus, H.264).
    pub(crate) data: Bytes,
    /// Whether a frame can begin here even if the packet before is unknown.
    pub(crate) starts: bool,
    /// Whether a frame can begin here if the packet before ended one.
    pub(crate) may_start: bool,
    /// Whether a frame ends here whatever the marker says (Opus).
    pub(crate) ends: bool,
    /// Whether it shows that its frame is a keyframe: the first packet does (VP8, VP9), or any of an IDR slice (H.264).
    pub(crate) keyframe: bool,
    /// Whether it carries a sequence parameter set (H.264).
    pub(crate) parameter_sets: bool,
    pub(crate) picture_id: Option<PictureId>,
}

impl Part {
    pub(crate) fn parse(codec: Codec, payload: &Bytes) -> Self {
        if payload.is_empty() {
            return Self::Empty;
        }
        match codec {
            Codec::Opus => Self::Data(opus::parse(payload)),
            Codec::Vp8 => vp8::parse(payload).map_or(Self::Malformed, Self::Data),
            Codec::Vp9 => vp9::parse(payload).map_or(Self::Malformed, Self::Data),
            Codec::H264 => h264::parse(payload),
            _ => Self::Malformed,
        }
    }
}

/// A picture number of 7 or 15 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PictureId {
    value: u16,
    mask: u16,
}

impl PictureId {
    /// Reads it from the front of `bytes`, answering what follows: a first bit of 1 means 15 bits, else 7.
    pub(crate) fn read(bytes: &[u8]) -> Option<(Self, &[u8])> {
        let (&high, rest) = bytes.split_first()?;
        if high & 0x80 == 0 {
            return Some((Self { value: u16::from(high), mask: 0x7f }, rest));
        }
        let (&low, rest) = rest.split_first()?;
        Some((Self { value: u16::from_be_bytes([high & 0x7f, low]), mask: 0x7fff }, rest))
    }

    /// Whether this picture comes right after `previous`.
    pub(crate) fn follows(self, previous: Self) -> bool {
        self.mask == previous.mask && self.value == previous.value.wrapping_add(1) & self.mask
    }
}
