//! One connection: an actor per peer that owns the peer connection and everything about it.

mod actor;
mod build;
mod candidates;
mod channels;
mod codecs;
mod control;
mod conversation;
mod farewell;
mod feedback;
mod framing;
mod incoming;
mod link;
mod missing;
mod muted;
mod negotiation;
mod no_video;
mod outbox;
mod peer;
mod reader;
mod sdp;
mod stages;
mod streams;
mod timers;
mod tracks;

use std::sync::Arc;

pub(crate) use actor::spawn;
pub(crate) use candidates::EarlyCandidates;
pub(crate) use channels::OutMessage;
use control::Control;
pub(crate) use peer::{Command, Gone, PathState, Peer, PeerState, Start, Waiter};

use crate::mesh::Shared;

/// What the tasks of a connection tell its actor.
enum Note {
    /// The control channel of that peer connection opened.
    ControlOpen(u64),
    Control(u64, Control),
    ControlClosed(u64),
    /// The message channel with that number opened.
    ChannelOpen(u64),
    ChannelClosed(u64),
    /// A STUN or TURN server failed that peer connection.
    IceServerFailed(u64),
}

/// The words in which an error of the WebRTC stack is logged: such an error may carry a whole packet.
fn brief(error: &webrtc::error::Error) -> String {
    error.to_string().chars().take(200).collect()
}

/// Random letters for ids, 128 bits.
fn random_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

/// Whether this peer gives way when both sides offer at once.
fn is_polite(shared: &Arc<Shared>, peer: &Peer) -> bool {
    shared.config.local_id.as_str() < peer.id.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_that_carries_a_packet_is_told_in_few_words() {
        let error = webrtc::error::Error::Other(format!("{:?}", vec![0u8; 1_200]));
        assert_eq!(brief(&error).chars().count(), 200);
    }
}
