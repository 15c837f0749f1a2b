//! What servers push.

use remotemedia_media::PeerId;
use serde::Serialize;

use super::{
    Candidate, Description, LeftReason, Params, PeerRecord,
    fields::{Fields, InvalidField},
    method,
    records::as_text,
};

/// The parameters of `peer.announced`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerAnnounced {
    /// Who.
    #[serde(flatten)]
    pub record: PeerRecord,
    /// When, by the server's clock, RFC 3339.
    pub announced_at: String,
    /// It took its registration over; it may have kept its connections.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub resumed: bool,
}

/// The parameters of `peer.left`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerLeft {
    /// Who.
    #[serde(serialize_with = "as_text")]
    pub peer_id: PeerId,
    /// Why.
    pub reason: LeftReason,
}

/// The parameters of `peer.disconnected`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PeerDisconnected {
    /// Who ended the connection.
    #[serde(serialize_with = "as_text")]
    pub from: PeerId,
    /// Why: `user_requested`, `network_error`, `timeout`, `error`, `unknown`.
    pub reason: String,
    /// The connection's, where known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

/// A push, as a client reads it.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Push {
    /// `peer.announced`.
    Announced(PeerAnnounced),
    /// `peer.left`.
    Left(PeerLeft),
    /// `peer.offer`.
    Offer(Description),
    /// `peer.answer`.
    Answer(Description),
    /// `peer.ice_candidate`.
    Candidate(Candidate),
    /// `peer.disconnected`.
    Disconnected(PeerDisconnected),
}

impl Push {
    /// Reads a notification; `Ok(None)` for a method that is not known here.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] names what is missing or wrong.
    pub fn from_notification(name: &str, params: &Params) -> Result<Option<Self>, InvalidField> {
        let fields = Fields::of(params)?;
        Ok(Some(match name {
            method::ANNOUNCED => Self::Announced(PeerAnnounced {
                record: PeerRecord::from_fields(&fields)?,
                announced_at: fields.string("announced_at")?.to_owned(),
                resumed: fields.optional("resumed").and_then(serde_json::Value::as_bool).unwrap_or(false),
            }),
            method::LEFT => Self::Left(PeerLeft {
                peer_id: fields.peer_id("peer_id")?,
                reason: serde_json::from_value(fields.required("reason")?.clone())
                    .map_err(|_| InvalidField { field: "reason", problem: "is no known reason" })?,
            }),
            method::OFFER => Self::Offer(Description::from_params(params)?),
            method::ANSWER => Self::Answer(Description::from_params(params)?),
            method::ICE_CANDIDATE => Self::Candidate(Candidate::from_params(params)?),
            method::DISCONNECTED => Self::Disconnected(PeerDisconnected {
                from: fields.peer_id("from")?,
                reason: fields.string("reason")?.to_owned(),
                request_id: fields.optional_request_id()?,
            }),
            _ => return Ok(None),
        }))
    }
}
