use std::{fmt, time::Duration};

use jsonrpsee_types::{ErrorObject, ErrorObjectOwned};
use serde_json::{Map, Value, json};

use super::InvalidField;

/// The error codes of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorCode {
    /// The text is no JSON.
    Parse,
    /// The JSON is no request.
    InvalidRequest,
    /// There is no such method.
    MethodNotFound,
    /// A parameter is missing or ill-typed; `data.field` names it.
    InvalidParams,
    /// The server failed.
    Internal,
    /// The peer id is registered already, or the target peer is not there; `data.reason` says which.
    Peer,
    /// The room or the server is full; `data.limit` says how many fit.
    Full,
    /// The offer is not valid.
    Offer,
    /// The answer is not valid.
    Answer,
    /// The candidate is not valid.
    Candidate,
    /// Too many messages; `data.retry_after_ms` says when to go on.
    RateLimited,
    /// The caller may not do this.
    NotAuthorized,
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn code(self) -> i32 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::Peer => -32000,
            Self::Full => -32001,
            Self::Offer => -32002,
            Self::Answer => -32003,
            Self::Candidate => -32004,
            Self::RateLimited => -32005,
            Self::NotAuthorized => -32006,
        }
    }
}

/// The values of `data.reason`.
pub mod reason {
    /// -32000: the id is registered by someone else, or reserved for them.
    pub const PEER_EXISTS: &str = "peer_exists";
    /// -32000: the target is not in the room.
    pub const PEER_NOT_FOUND: &str = "peer_not_found";
    /// -32002 and -32003: the description does not begin like SDP.
    pub const NOT_SDP: &str = "not_sdp";
    /// -32002, -32003 and -32004: longer than the contract allows.
    pub const TOO_LARGE: &str = "too_large";
    /// -32002 and -32004: another pair uses this `request_id`.
    pub const REQUEST_ID_IN_USE: &str = "request_id_in_use";
    /// -32002: the peer has too many connections open at once.
    pub const TOO_MANY_REQUEST_IDS: &str = "too_many_request_ids";
    /// -32003: the other peer made no offer with this `request_id`.
    pub const NO_SUCH_OFFER: &str = "no_such_offer";
    /// -32004: neither empty nor a bare `candidate:…` line.
    pub const NOT_A_CANDIDATE: &str = "not_a_candidate";
    /// -32006: no `peer.announce` on this socket yet.
    pub const NOT_REGISTERED: &str = "not_registered";
    /// -32006: this socket is registered under another id or in another room.
    pub const ALREADY_REGISTERED: &str = "already_registered";
    /// -32006: `from` is not the id registered on this socket.
    pub const WRONG_FROM: &str = "wrong_from";
    /// -32006: the server wants a token and got none.
    pub const MISSING_TOKEN: &str = "missing_token";
    /// -32006: the token is not one that the server accepts.
    pub const BAD_TOKEN: &str = "bad_token";
    /// -32006: the token was good once.
    pub const EXPIRED_TOKEN: &str = "expired_token";
    /// -32006: the token does not open this room, or not to this peer.
    pub const ROOM_NOT_ALLOWED: &str = "room_not_allowed";
}

/// A JSON-RPC error object.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message} (code {code})")]
pub struct RpcError {
    /// The code; see [`ErrorCode`].
    pub code: i32,
    /// What went wrong and what to do, for people.
    pub message: String,
    /// The same for programs; empty where the code says it all.
    pub data: Map<String, Value>,
}

impl RpcError {
    /// An error without `data`.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code: code.code(), message: message.into(), data: Map::new() }
    }

    /// -32601.
    pub fn method_not_found(method: &str) -> Self {
        Self::new(ErrorCode::MethodNotFound, format!("no method {}", Excerpt(method)))
    }

    /// -32000: the id is held by someone else.
    pub fn peer_exists(peer_id: &str) -> Self {
        let message = format!(
            "peer {peer_id} is registered already: choose another id, or take it over with its current session_key"
        );
        Self::with_reason(ErrorCode::Peer, reason::PEER_EXISTS, message).with("peer_id", peer_id)
    }

    /// -32000: the target is not in the room.
    pub fn peer_not_found(peer_id: &str) -> Self {
        let message = format!("peer {peer_id} is not in this room");
        Self::with_reason(ErrorCode::Peer, reason::PEER_NOT_FOUND, message).with("peer_id", peer_id)
    }

    /// -32001: `limit` peers are as many as fit into `place`.
    pub fn full(place: &str, limit: usize) -> Self {
        let message = format!("the {place} is full: it holds {limit} peers; try again when one has left");
        Self::new(ErrorCode::Full, message).with("limit", limit)
    }

    /// -32005: go on after `retry_after`.
    pub fn rate_limited(retry_after: Duration) -> Self {
        let millis = u64::try_from(retry_after.as_micros().div_ceil(1000)).unwrap_or(u64::MAX);
        Self::new(ErrorCode::RateLimited, format!("too many messages: wait {millis} ms")).with("retry_after_ms", millis)
    }

    /// An error whose `data.reason` is one of [`reason`].
    pub fn with_reason(code: ErrorCode, reason: &str, message: impl Into<String>) -> Self {
        Self::new(code, message).with("reason", reason)
    }

    fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.data.insert(key.to_owned(), value.into());
        self
    }

    /// `data.reason`, where there is one.
    pub fn reason(&self) -> Option<&str> {
        self.data.get("reason").and_then(Value::as_str)
    }

    /// `data.retry_after_ms` of -32005, at most a minute.
    pub fn retry_after(&self) -> Option<Duration> {
        let millis = self.data.get("retry_after_ms").and_then(Value::as_u64)?;
        Some(Duration::from_millis(millis.min(60_000)))
    }

    /// `data.limit` of -32001.
    pub fn limit(&self) -> Option<u64> {
        self.data.get("limit").and_then(Value::as_u64)
    }

    pub(super) fn from_value(value: Value) -> Option<Self> {
        let Value::Object(mut object) = value else { return None };
        let code = object.get("code").and_then(Value::as_i64).and_then(|code| i32::try_from(code).ok())?;
        let Some(Value::String(message)) = object.remove("message") else { return None };
        let data = match object.remove("data") {
            Some(Value::Object(data)) => data,
            _ => Map::new(),
        };
        Some(Self { code, message, data })
    }

    pub(super) fn into_object(self) -> ErrorObjectOwned {
        let data = (!self.data.is_empty()).then_some(self.data);
        ErrorObject::owned(self.code, self.message, data)
    }
}

impl From<InvalidField> for RpcError {
    fn from(error: InvalidField) -> Self {
        Self { code: ErrorCode::InvalidParams.code(), message: error.to_string(), data: Map::new() }
            .with("field", json!(error.field))
    }
}

/// The beginning of a text from the network: an error must not repeat a megabyte.
struct Excerpt<'a>(&'a str);

impl fmt::Display for Excerpt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let end = self.0.char_indices().nth(80).map_or(self.0.len(), |(index, _)| index);
        write!(f, "{:?}{}", &self.0[..end], if end < self.0.len() { "…" } else { "" })
    }
}
