//! JSON-RPC 2.0 signaling for WebRTC over WebSocket: protocol, client and embeddable server.
#![forbid(unsafe_code)]

pub mod protocol;
pub mod state;

#[cfg(feature = "client")]
pub mod client;
#[cfg(feature = "server")]
pub mod server;
