use remotemedia_media::{Codec, MediaKind, PeerId};

use crate::{ConnectionReport, SignalingError};

/// Why a call on a [`Mesh`](crate::Mesh) failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MeshError {
    /// A field of the configuration is out of range.
    #[error("invalid configuration: {field} is {value}, allowed: {allowed}")]
    InvalidConfig {
        /// The field.
        field: &'static str,
        /// Its value.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// [`Mesh::start`](crate::Mesh::start) has not been called.
    #[error("the mesh is not running: call start() first")]
    NotStarted,
    /// The mesh has been shut down; make a new one.
    #[error("the mesh has been shut down")]
    ShutDown,
    /// A mesh does not connect to itself.
    #[error("{0} is this peer's own id")]
    OwnId(PeerId),
    /// There is no connection to that peer.
    #[error("peer {0} is not connected")]
    NotConnected(PeerId),
    /// As many peers as the configuration allows are connected.
    #[error("{limit} peers are connected already, which is max_peers")]
    TooManyPeers {
        /// The limit.
        limit: usize,
    },
    /// The connection could not be made. The report tells how far it came.
    #[error("could not connect to {peer}: {}", report.summary())]
    ConnectFailed {
        /// To whom.
        peer: PeerId,
        /// What happened.
        report: Box<ConnectionReport>,
    },
    /// The signaling server does not take messages for that peer.
    #[error("could not reach {peer} through signaling")]
    Signaling {
        /// Who.
        peer: PeerId,
        /// Why.
        #[source]
        source: SignalingError,
    },
    /// The peer does not take that codec.
    #[error("peer {peer} does not accept {codec}; it accepts {accepted:?}")]
    CodecNotNegotiated {
        /// Who.
        peer: PeerId,
        /// What was to be sent.
        codec: Codec,
        /// What it takes of that kind of media, in its order.
        accepted: Vec<Codec>,
    },
    /// A peer is sent as many named streams of that kind as one can be.
    #[error("{peer} is sent {limit} named {kind} streams already, which is the most: close one first")]
    TooManyStreams {
        /// To whom.
        peer: PeerId,
        /// Of what.
        kind: MediaKind,
        /// The limit.
        limit: usize,
    },
    /// The message is larger than can be sent to that peer.
    #[error("a message of {size} bytes is too large for {peer}: the limit is {limit} bytes")]
    MessageTooLarge {
        /// To whom.
        peer: PeerId,
        /// Its size.
        size: usize,
        /// What can be sent.
        limit: usize,
    },
    /// The connection has no channel for messages.
    #[error("the connection to {0} has no data channel: enable it on both sides")]
    NoDataChannel(PeerId),
    /// The connection ended before the call was done.
    #[error("the connection to {0} ended")]
    Disconnected(PeerId),
}
