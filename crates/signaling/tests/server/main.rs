//! The server over real sockets, spoken to by a client that knows WebSocket and JSON and nothing else.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod contract;
mod hostile;
mod lifecycle;
mod raw_client;
mod rules;
mod verifier;
