//! `remotemedia call` as those see it who run it.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ends;
mod files;
mod lines;
mod mistakes;
#[path = "../support/process.rs"]
mod process;
mod signaling;
