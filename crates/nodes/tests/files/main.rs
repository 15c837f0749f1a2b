//! What is recorded is in the files, and what is in files is played.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod player;
mod recorder;
mod round_trip;
mod support;
mod tools;
