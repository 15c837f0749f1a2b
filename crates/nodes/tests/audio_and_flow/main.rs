//! The audio and flow nodes in real pipelines, one file per behaviour.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;
mod support;

mod channel_convert;
mod json_transform;
mod mix_minus;
mod mixer_arbitrary;
mod mixer_ends;
mod mixer_inputs;
mod mixer_late;
mod mixer_modes;
mod rate_limit;
mod resample;
mod select;
mod tee;
mod test_tone;
