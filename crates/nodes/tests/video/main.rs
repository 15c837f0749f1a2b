//! What the video nodes do to pictures, each behaviour in a file of its own.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../common/mod.rs"]
mod common;

mod any_size;
mod background_blur;
mod crop;
mod format;
#[cfg(feature = "onnx")]
mod onnx;
mod other_data;
mod overlay;
mod scale;
mod support;
mod test_card;
