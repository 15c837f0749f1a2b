//! JSON-RPC 2.0 signaling for WebRTC over WebSocket: protocol, client and embeddable server.
//!
//! | module | is | needs |
//! |---|---|---|
//! | [`protocol`] | messages, errors, records, limits | nothing |
//! | [`state`] | the server as a state machine: sockets and time are inputs, frames are outputs | nothing |
//! | `server` | WebSockets in front of the state machine, as an axum router | tokio, axum |
//! | `client` | a connection that comes back by itself, and an ordered stream of events | tokio, tungstenite, rustls |
//!
//! The server keeps no session description and no candidate: it knows who is in which room, which `request_id` belongs
//! to which pair, and forwards. What a peer is told about others is ordered and complete: the `peers` of its
//! registration and what is announced later name each peer once.
#![forbid(unsafe_code)]

#[cfg(feature = "client")]
pub mod client;
pub mod protocol;
#[cfg(feature = "server")]
pub mod server;
pub mod state;

#[cfg(feature = "client")]
pub use client::SignalingClient;
pub use remotemedia_media::PeerId;
#[cfg(feature = "server")]
pub use server::SignalingServer;

#[cfg(all(doctest, feature = "client", feature = "server"))]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
