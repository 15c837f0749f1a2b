//! The client against a real server.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod calls;
mod coming_back;
mod ending;
mod errors;
mod line;
mod tls;
