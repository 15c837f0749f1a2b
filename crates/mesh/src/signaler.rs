use std::fmt;

use async_trait::async_trait;
use remotemedia_media::PeerId;

use crate::IceServer;

/// Carries session descriptions and candidates between peers: what the mesh needs of signaling, and no more.
///
/// The facade implements it with the JSON-RPC client; an application with its own signaling implements it itself.
#[async_trait]
pub trait Signaler: Send + Sync + 'static {
    /// Hands `message` to `to`. Returns once the signaling server (or whatever stands there) has accepted it.
    ///
    /// # Errors
    ///
    /// [`SignalingError`]: the mesh treats `PeerNotFound` as final for a connection attempt, everything else as
    /// something that may pass.
    async fn send(&self, to: &PeerId, message: SignalingMessage) -> Result<(), SignalingError>;

    /// The next thing that happened, in order; `None` once signaling has ended for good. Called by one task only, and
    /// cancel-safe.
    async fn next_event(&self) -> Option<SignalingEvent>;
}

/// What two peers tell each other through signaling.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignalingMessage {
    /// A session description to answer.
    Offer {
        /// The description.
        sdp: String,
        /// Made by the offerer; the same for the offer, its answer and every candidate of this connection.
        request_id: String,
    },
    /// The answer to an offer.
    Answer {
        /// The description.
        sdp: String,
        /// The offer's.
        request_id: String,
    },
    /// A candidate of the sender.
    Candidate(IceCandidate),
    /// The sender has ended the connection between the two.
    Disconnect {
        /// Why.
        reason: DisconnectReason,
        /// The connection's, where known.
        request_id: Option<String>,
    },
}

/// An ICE candidate as signaling carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IceCandidate {
    /// The bare `candidate:…` line; empty at the end of candidates.
    pub candidate: String,
    /// The media section it belongs to.
    pub sdp_mid: Option<String>,
    /// The index of that section.
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation it belongs to.
    pub user_fragment: Option<String>,
    /// The connection's.
    pub request_id: String,
}

/// Why a peer ended a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The user asked for it.
    UserRequested,
    /// The network failed.
    NetworkError,
    /// Something took too long.
    Timeout,
    /// It talks to as many peers as it may.
    Busy,
    /// Something else failed.
    Error,
    /// The peer gave no reason, or one that is not known here.
    Unknown,
}

impl DisconnectReason {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UserRequested => "user_requested",
            Self::NetworkError => "network_error",
            Self::Timeout => "timeout",
            Self::Busy => "busy",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    /// The reason with that name, else [`DisconnectReason::Unknown`].
    pub fn from_name(name: &str) -> Self {
        [Self::UserRequested, Self::NetworkError, Self::Timeout, Self::Busy, Self::Error]
            .into_iter()
            .find(|r| r.as_str() == name)
            .unwrap_or(Self::Unknown)
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What signaling reports.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum SignalingEvent {
    /// A peer is in the room and can be connected to.
    PeerAvailable {
        /// Who.
        peer: PeerId,
    },
    /// A peer left the room.
    PeerLeft {
        /// Who.
        peer: PeerId,
        /// Whether it went on purpose (`left`, `kicked`), in which case a connection to it is over. Otherwise (its
        /// socket closed, it answered no ping, it was replaced) this is only a hint: running media decides.
        on_purpose: bool,
    },
    /// A peer sent a message.
    Message {
        /// Who.
        from: PeerId,
        /// What.
        message: SignalingMessage,
    },
    /// The connection to the signaling server came or went. It comes back by itself; running media is untouched.
    Connected(bool),
    /// The STUN and TURN servers for connections and tries that begin from now on, all of them, in the place of those of
    /// [`MeshConfig::ice_servers`](crate::MeshConfig::ice_servers): credentials for TURN are often good for some hours only. One that
    /// the configuration would not take is left out.
    IceServers(Vec<IceServer>),
}

/// Why a message could not be handed over.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SignalingError {
    /// No such peer in the room.
    #[error("peer {0} is not registered with the signaling server")]
    PeerNotFound(PeerId),
    /// There is no connection to the signaling server now.
    #[error("not connected to the signaling server")]
    NotConnected,
    /// The server refused the message.
    #[error("the signaling server refused the message (code {code}): {message}")]
    Refused {
        /// The JSON-RPC error code.
        code: i32,
        /// The server's words.
        message: String,
    },
}
