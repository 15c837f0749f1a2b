//! What this crate promises, one file per behaviour, in virtual time.

mod audio_calm;
mod audio_clock_drift;
mod audio_delay;
mod audio_gaps;
mod audio_sound;
mod call;
mod video_order;
