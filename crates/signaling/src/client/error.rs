use std::{error::Error, io, time::Duration};

use crate::protocol::{ErrorCode, InvalidField, RpcError, reason};

/// Why a client could not do what it was asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The URL is none, or not of a WebSocket.
    #[error("{url:?} is no signaling URL ({problem}): write ws://host:port or wss://host:port")]
    InvalidUrl {
        /// What was given.
        url: String,
        /// What is wrong with it.
        problem: String,
    },
    /// Nothing answers there.
    #[error("cannot reach the signaling server at {url}: {source}; check that it runs, and host, port and firewall")]
    Unreachable {
        /// Where.
        url: String,
        /// What the network said.
        source: io::Error,
    },
    /// Nothing answered in time.
    #[error("the signaling server at {url} did not answer within {after:?}; check host, port and firewall")]
    ConnectTimeout {
        /// Where.
        url: String,
        /// The configured time.
        after: Duration,
    },
    /// TLS failed.
    #[error("no TLS connection to {url}: {source}; check the server's certificate and this system's trust store")]
    Tls {
        /// Where.
        url: String,
        /// What failed.
        source: io::Error,
    },
    /// Something answers there that is no WebSocket.
    #[error("{url} answered HTTP {status} instead of a WebSocket: check the URL's port and path")]
    NotAWebSocket {
        /// Where.
        url: String,
        /// The HTTP status.
        status: u16,
    },
    /// The WebSocket broke.
    #[error("the WebSocket to {url} failed: {source}")]
    WebSocket {
        /// Where.
        url: String,
        /// What failed.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The id belongs to someone else.
    #[error("peer id {peer_id} is taken in this room: choose another, or wait a minute if it was yours")]
    NameTaken {
        /// The id.
        peer_id: String,
    },
    /// The target is not there.
    #[error("peer {peer_id} is not in the room: it has not registered yet, or has left")]
    PeerNotFound {
        /// The target.
        peer_id: String,
    },
    /// There is no place.
    #[error("the room or the server is full ({limit} peers): try again later, or in another room")]
    Full {
        /// How many fit.
        limit: u64,
    },
    /// Too many messages.
    #[error("the signaling server asks to wait {retry_after:?} before the next message")]
    RateLimited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// The server does not let this peer do that.
    #[error("the signaling server does not allow this ({reason}): {message}")]
    NotAuthorized {
        /// The server's `data.reason`.
        reason: String,
        /// The server's words.
        message: String,
    },
    /// The server refused the request for another reason.
    #[error("the signaling server refused {method}: {source}")]
    Refused {
        /// The request.
        method: &'static str,
        /// Code, message and data.
        source: RpcError,
    },
    /// There is no connection now. It comes back by itself once `announce` has succeeded.
    #[error("not connected to the signaling server: call announce, or wait until the client has reconnected")]
    NotConnected,
    /// The connection was lost before the reply came; the request may have taken effect.
    #[error("the connection to the signaling server was lost before it answered {method}")]
    ConnectionLost {
        /// The request.
        method: &'static str,
    },
    /// The server did not answer in time; the request may have taken effect.
    #[error("the signaling server did not answer {method} within {after:?}; are the client's events being read?")]
    Timeout {
        /// The request.
        method: &'static str,
        /// The configured time.
        after: Duration,
    },
    /// The server's reply breaks the protocol.
    #[error("the signaling server answered {method} with something else: {source}")]
    InvalidReply {
        /// The request.
        method: &'static str,
        /// What is wrong.
        source: InvalidField,
    },
    /// The request is no JSON.
    #[error("the request cannot be written as JSON: {source}")]
    Unencodable {
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The client has ended.
    #[error("the signaling client has ended: make a new one")]
    Closed,
}

impl ClientError {
    pub(super) fn from_rpc(method: &'static str, error: RpcError) -> Self {
        let text = |key: &str| error.data.get(key).and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
        let is = |code: ErrorCode| error.code == code.code();
        if is(ErrorCode::Peer) && error.reason() == Some(reason::PEER_EXISTS) {
            Self::NameTaken { peer_id: text("peer_id") }
        } else if is(ErrorCode::Peer) && error.reason() == Some(reason::PEER_NOT_FOUND) {
            Self::PeerNotFound { peer_id: text("peer_id") }
        } else if is(ErrorCode::NotAuthorized) {
            Self::NotAuthorized { reason: text("reason"), message: error.message }
        } else if let Some(limit) = error.limit().filter(|_| is(ErrorCode::Full)) {
            Self::Full { limit }
        } else if let Some(retry_after) = error.retry_after().filter(|_| is(ErrorCode::RateLimited)) {
            Self::RateLimited { retry_after }
        } else {
            Self::Refused { method, source: error }
        }
    }
}
