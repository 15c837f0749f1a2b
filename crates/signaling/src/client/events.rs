use std::time::Duration;

use remotemedia_media::PeerId;

use crate::protocol::{Candidate, Description, IceServer, LeftReason, PeerDisconnected, PeerRecord};

/// What happened.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum ClientEvent {
    /// The client is registered: for the first time, or again. What changed among the peers meanwhile follows as
    /// `PeerLeft` and `PeerAnnounced`.
    Connected {
        /// What the server recommends for ICE.
        ice_servers: Vec<IceServer>,
    },
    /// The connection is lost; the client comes back by itself.
    Disconnected {
        /// When it tries.
        retry_in: Duration,
    },
    /// A peer registered in the room.
    PeerAnnounced {
        /// Who.
        peer: PeerRecord,
        /// It took its registration over; it may have kept its connections.
        resumed: bool,
    },
    /// A peer is gone from the room.
    PeerLeft {
        /// Who.
        peer_id: PeerId,
        /// Why; only [`LeftReason::is_on_purpose`] ends a running call.
        reason: LeftReason,
    },
    /// A peer offers.
    Offer(Description),
    /// A peer answers.
    Answer(Description),
    /// A peer sent a candidate.
    Candidate(Candidate),
    /// A peer ended the connection with this one.
    PeerDisconnected(PeerDisconnected),
    /// The client has ended and does not come back.
    Ended {
        /// Why.
        reason: EndReason,
    },
}

/// Why a client does not come back.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EndReason {
    /// Another client took the registration over with the session key.
    TakenOver,
    /// An operator removed this peer.
    Kicked,
    /// The server does not let this peer in any more: its token has expired, say.
    NotAuthorized {
        /// The server's `data.reason`.
        reason: String,
    },
}
