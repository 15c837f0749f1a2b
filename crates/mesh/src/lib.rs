//! A mesh of WebRTC peer connections that carries encoded frames and messages.
#![forbid(unsafe_code)]

mod config;
mod connection;
mod error;
mod events;
mod feedback_queue;
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
mod wire;

pub use config::{BitrateBounds, DataChannelMode, IceServer, MeshConfig};
pub use error::MeshError;
pub use events::{Feedback, MeshEvent, MeshEvents};
pub use incoming::{IncomingTrack, TrackItem};
pub use mesh::Mesh;
pub use message::{MAX_MESSAGE_SIZE, Message};
pub use network::{DatagramSocket, Network};
pub use report::{ConnectionReport, ConnectionStage};
pub use signaler::{DisconnectReason, IceCandidate, Signaler, SignalingError, SignalingEvent, SignalingMessage};
pub use status::{PeerMetrics, PeerStatus};
