//! Sans-IO playout: the audio and video jitter buffers.
//!
//! [`AudioPlayout`] takes packets as they come and gives samples whenever its reader wants them, as late as the network
//! needs and no later. It knows no codec: a [`PacketDecoder`] decodes, conceals and recovers. [`VideoFrameBuffer`] orders
//! encoded pictures, holds back what a decoder could not decode and says when to ask for a keyframe.
//!
//! Time is an argument everywhere, so hours of playout run in a test within seconds.
#![forbid(unsafe_code)]

mod audio;
mod video;

pub use audio::{
    AudioPacket, AudioPlayout, PacketDecoder, PlayoutConfig, PlayoutConfigError, PlayoutMode, PlayoutStats, PullPhase,
    Pulled, UndecodablePacket,
};
pub use video::{VideoBufferConfig, VideoBufferStats, VideoFrameBuffer};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
