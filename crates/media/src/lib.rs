//! Frames, pixel formats, units and identifiers that every remotemedia crate shares.
//!
//! Nothing here reads a clock, opens a socket or knows a codec: time comes from the caller.
//!
//! ```
//! use remotemedia_media::{AudioFrame, VideoFrame};
//! use std::time::Duration;
//!
//! // 10 ms of silence, mono, 48 kHz.
//! let audio = AudioFrame::new(vec![0.0; 480], 48_000, 1).unwrap();
//! assert_eq!(audio.duration(), Duration::from_millis(10));
//!
//! // A grey 1280x720 picture out of one packed I420 buffer; the planes share it.
//! let video = VideoFrame::i420(1280, 720, vec![128u8; 1280 * 720 * 3 / 2]).unwrap();
//! assert_eq!(video.planes().len(), 3);
//! ```
#![forbid(unsafe_code)]

mod address;
mod audio;
mod codec;
mod id;
mod units;
mod video;

pub use address::without_password;
pub use audio::{AudioFrame, AudioFrameError};
pub use codec::{Codec, EncodedFrame, MediaKind};
pub use id::{InvalidPeerId, PeerId, StreamId};
pub use units::{Bitrate, NtpTime, RtpTimestamp};
pub use video::{PixelFormat, Plane, VideoFrame, VideoFrameError};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
