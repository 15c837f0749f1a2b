//! The wire contract: JSON-RPC 2.0 messages, errors, records and limits.
//!
//! One JSON-RPC message or batch travels per WebSocket text frame. [`parse`] takes such a text apart and tells apart
//! what a server has to answer differently: text that is no JSON, JSON that is no request, batches, notifications.
//! [`Params`] then become one of the typed messages ([`Announce`], [`Description`], [`Candidate`], …), or an error that
//! names the offending field.
//!
//! ```
//! use remotemedia_signaling::protocol::{Announce, Capability, Message, parse};
//!
//! let text = r#"{"jsonrpc":"2.0","id":1,"method":"peer.announce","params":{"peer_id":"bob","capabilities":["audio"]}}"#;
//! let Ok(Message::Single(Ok(call))) = parse(text) else { panic!("one well-formed call") };
//! assert_eq!(call.method, "peer.announce");
//!
//! let announce = Announce::from_params(&call.params)?;
//! assert_eq!(announce.record.peer_id, "bob");
//! assert_eq!(announce.record.capabilities, [Capability::Audio]);
//!
//! let missing = Announce::from_params(&Default::default()).unwrap_err();
//! assert_eq!(missing.field, "peer_id");
//! # Ok::<(), remotemedia_signaling::protocol::InvalidField>(())
//! ```

mod close;
mod envelope;
mod errors;
mod fields;
mod messages;
mod push;
mod records;

pub use close::CloseCode;
pub use envelope::{Call, InvalidCall, Message, Params, Reply, notification, parse, request, response};
pub use errors::{ErrorCode, RpcError, reason};
pub use fields::InvalidField;
pub use jsonrpsee_types::Id;
#[cfg(feature = "client")]
pub(crate) use messages::records as records_of;
pub use messages::{Announce, Announced, Candidate, Description, Disconnect, StateChanged, forwarded};
pub use push::{PeerAnnounced, PeerDisconnected, PeerLeft, Push};
pub use records::{Capability, IceServer, InvalidRoomId, LeftReason, PeerRecord, RoomId};

/// The methods and notifications of the contract.
pub mod method {
    /// Registers a peer, updates its record, or takes its registration over.
    pub const ANNOUNCE: &str = "peer.announce";
    /// Lists the other peers of the room.
    pub const LIST: &str = "peer.list";
    /// Carries an offer; a request to the server, a notification from it.
    pub const OFFER: &str = "peer.offer";
    /// Carries an answer; a request to the server, a notification from it.
    pub const ANSWER: &str = "peer.answer";
    /// Carries an ICE candidate.
    pub const ICE_CANDIDATE: &str = "peer.ice_candidate";
    /// Tells the server's metrics how a connection between two peers fares.
    pub const STATE_CHANGED: &str = "peer.state_changed";
    /// Ends the connection between two peers.
    pub const DISCONNECT: &str = "peer.disconnect";
    /// Ends a registration.
    pub const LEAVE: &str = "peer.leave";
    /// Answers `{}`.
    pub const PING: &str = "peer.ping";
    /// Pushed when a peer registered in the room.
    pub const ANNOUNCED: &str = "peer.announced";
    /// Pushed when a peer is gone from the room.
    pub const LEFT: &str = "peer.left";
    /// Pushed when the other peer ended a connection.
    pub const DISCONNECTED: &str = "peer.disconnected";
}

/// The largest message, in bytes; a larger one closes the socket with [`CloseCode::TooBig`].
pub const MAX_MESSAGE_BYTES: usize = 1 << 20;
/// The most calls in one batch.
pub const MAX_BATCH: usize = 32;
/// The largest session description, in bytes.
pub const MAX_SDP_BYTES: usize = 64 * 1024;
/// The largest `user_data`, in bytes of compact JSON.
pub const MAX_USER_DATA_BYTES: usize = 1024;
/// The longest `request_id`, in characters.
pub const MAX_REQUEST_ID_CHARS: usize = 64;
/// The longest ICE candidate line, in bytes. Real ones are below 300 (RFC 8839 section 5.1).
pub const MAX_CANDIDATE_BYTES: usize = 4096;
/// The most messages that may wait for one socket; one more closes it with [`CloseCode::TryAgainLater`].
pub const MAX_QUEUED_MESSAGES: usize = 256;
/// The most bytes that may wait for one socket; more close it with [`CloseCode::TryAgainLater`].
pub const MAX_QUEUED_BYTES: usize = 4 << 20;
