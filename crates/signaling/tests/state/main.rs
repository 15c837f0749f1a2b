//! The state machine, driven in virtual time.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod limits;
mod random;
mod registration;
mod relay;
mod virtual_server;
