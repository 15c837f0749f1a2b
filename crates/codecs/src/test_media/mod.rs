//! Deterministic moving pictures and speech-like sound, and measures of how much of them arrives.
//!
//! For tests, benches and demonstrations: nothing in a call uses this. Everything is seeded; the same seed gives the
//! same bytes on every machine.

mod clip;
mod measure;
mod number;
mod random;
mod speech;

pub use clip::{Clip, ClipContent};
pub use measure::{correlation, psnr_y};
pub use number::{draw_number, read_number};
pub use speech::Speech;
