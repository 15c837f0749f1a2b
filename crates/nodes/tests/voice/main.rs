//! The nodes for voices, measured on sound that is like speech, through the real runner.
#![cfg(feature = "voice")]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod sound;

mod audio_level;
mod auto_gain;
mod echo_cancel;
mod every_node;
mod noise_gate;
mod noise_suppress;
mod vad;
