//! A mesh of WebRTC peer connections that carries encoded frames and messages.
#![forbid(unsafe_code)]

mod network;
mod signaler;
mod wire;

pub use network::{DatagramSocket, Network};
pub use signaler::{DisconnectReason, IceCandidate, Signaler, SignalingError, SignalingEvent, SignalingMessage};
