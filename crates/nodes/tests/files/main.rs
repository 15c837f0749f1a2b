//! What is recorded is in the files, and what is in files is played.

mod player;
mod recorder;
mod round_trip;
mod support;
mod tools;
