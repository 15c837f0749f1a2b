//! A mesh of WebRTC peer connections that carries encoded frames and messages.
//!
//! [`Mesh`] is the handle: it connects to the peers of a room through a [`Signaler`] of the application's, sends and
//! receives encoded media as RTP payloads and messages of any size, and tells what happens as [`MeshEvent`]s.
//! [`Feedback`] is for whoever encodes: what each peer takes, how much, and when it needs a keyframe.
//!
//! Everything runs on tokio's clock, so that a paused clock drives a mesh, together with sockets of an emulated
//! [`Network`].
#![forbid(unsafe_code)]

mod config;
mod connection;
mod error;
mod events;
mod feedback_queue;
mod ice_server;
mod inbox;
mod incoming;
mod manager;
mod mesh;
mod message;
mod network;
mod outgoing;
mod report;
mod signaler;
mod status;
mod stream_key;
mod wire;

pub use config::{BitrateBounds, DataChannelMode, MeshConfig};
pub use error::MeshError;
pub use events::{Feedback, MeshEvent, MeshEvents};
pub use ice_server::{IceServer, IceServerOutcome, IceServerReport, IceServerRole};
pub use inbox::{MessageClaim, PeerMessages};
pub use incoming::{IncomingTrack, TrackItem};
pub use mesh::Mesh;
pub use message::{MAX_MESSAGE_SIZE, Message};
pub use network::{DatagramSocket, Network};
pub use report::{ConnectionReport, ConnectionStage};
pub use signaler::{DisconnectReason, IceCandidate, Signaler, SignalingError, SignalingEvent, SignalingMessage};
pub use status::{PeerMetrics, PeerStatus, ReceiveMetrics};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
