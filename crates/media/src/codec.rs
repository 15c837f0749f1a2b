use std::{fmt, time::Instant};

use bytes::Bytes;

use crate::RtpTimestamp;

/// Audio or video.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaKind {
    /// Sound.
    Audio,
    /// Moving pictures.
    Video,
}

impl fmt::Display for MediaKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Audio => "audio",
            Self::Video => "video",
        })
    }
}

/// A codec that a peer connection can carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// Opus (RFC 6716), carried as RFC 7587 says.
    Opus,
    /// VP8 (RFC 6386), carried as RFC 7741 says.
    Vp8,
    /// VP9, profile 0, carried as RFC 9628 says.
    Vp9,
    /// H.264, constrained baseline, carried as RFC 6184 says with packetization mode 1.
    H264,
}

impl Codec {
    /// Whether it carries audio or video.
    pub const fn kind(self) -> MediaKind {
        match self {
            Self::Opus => MediaKind::Audio,
            Self::Vp8 | Self::Vp9 | Self::H264 => MediaKind::Video,
        }
    }

    /// Ticks per second of its RTP clock. Opus always counts at 48 kHz (RFC 7587, section 4.1).
    pub const fn clock_rate(self) -> u32 {
        match self.kind() {
            MediaKind::Audio => 48_000,
            MediaKind::Video => 90_000,
        }
    }

    /// Its name in SDP, as `a=rtpmap` writes it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Opus => "opus",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::H264 => "H264",
        }
    }

    /// The codec with that SDP name, in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Opus, Self::Vp8, Self::Vp9, Self::H264].into_iter().find(|c| c.name().eq_ignore_ascii_case(name))
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// An encoded picture, put together again from its packets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedFrame {
    /// What it is encoded with.
    pub codec: Codec,
    /// The whole bitstream of the picture: an Annex B access unit for H.264, one frame or superframe for VP8 and VP9.
    pub data: Bytes,
    /// Whether it decodes without any picture before it.
    pub keyframe: bool,
    /// Whether every packet between the previous frame handed out and this one arrived: if not, a decoder's references
    /// may be missing unless this is a keyframe.
    pub contiguous: bool,
    /// Media time of the picture on the 90 kHz RTP clock.
    pub timestamp: RtpTimestamp,
    /// Extended sequence number of its first packet.
    pub first_sequence: u64,
    /// Extended sequence number of its last packet.
    pub last_sequence: u64,
    /// When its last missing packet arrived.
    pub arrival: Instant,
}
