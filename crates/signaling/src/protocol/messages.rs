//! What clients send, and what they get back.

use remotemedia_media::PeerId;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value, json};

use super::{
    ErrorCode, IceServer, MAX_CANDIDATE_BYTES, MAX_SDP_BYTES, Params, PeerRecord, RoomId, RpcError,
    fields::{Fields, InvalidField},
    reason,
    records::as_text,
};

/// The parameters of `peer.announce`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Announce {
    /// Who wants to register, and what the others will see of it.
    #[serde(flatten)]
    pub record: PeerRecord,
    /// Where.
    #[serde(serialize_with = "room_as_text")]
    pub room: RoomId,
    /// For servers that want one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The key of the registration to take over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_key: Option<String>,
}

impl Announce {
    /// Reads and checks the parameters.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] names what is missing or wrong.
    pub fn from_params(params: &Params) -> Result<Self, InvalidField> {
        let fields = Fields::of(params)?;
        let record = PeerRecord::from_fields(&fields)?;
        let room = match fields.optional_string("room")? {
            None => RoomId::default(),
            Some(name) => RoomId::new(name).map_err(|_| InvalidField {
                field: "room",
                problem: "must be 1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'",
            })?,
        };
        Ok(Self {
            record,
            room,
            token: fields.optional_string("token")?.map(str::to_owned),
            session_key: fields.optional_string("session_key")?.map(str::to_owned),
        })
    }
}

/// The result of `peer.announce`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Announced {
    /// Who is registered.
    #[serde(serialize_with = "as_text")]
    pub peer_id: PeerId,
    /// Where.
    #[serde(serialize_with = "room_as_text")]
    pub room: RoomId,
    /// The server's clock, RFC 3339.
    pub server_time: String,
    /// Takes this registration over, once.
    pub session_key: String,
    /// Who is in the room already, in the order of their ids.
    pub peers: Vec<PeerRecord>,
    /// What the server recommends for ICE.
    pub ice_servers: Vec<IceServer>,
}

impl Announced {
    /// As a result on the wire.
    pub fn to_value(&self) -> Value {
        let mut value = serde_json::to_value(self).unwrap_or_default();
        if let Value::Object(object) = &mut value {
            object.insert("status".to_owned(), "registered".into());
        }
        value
    }

    /// Reads a result; peers that break the contract are left out.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] names what is missing or wrong.
    pub fn from_value(value: &Value) -> Result<Self, InvalidField> {
        let object = value.as_object().ok_or(InvalidField { field: "result", problem: "must be an object" })?;
        let fields = Fields::of_map(object);
        let room = fields.string("room")?;
        let room = RoomId::new(room).map_err(|_| InvalidField { field: "room", problem: "is no room name" })?;
        let ice_servers = fields.optional("ice_servers").cloned().unwrap_or_else(|| json!([]));
        Ok(Self {
            peer_id: fields.peer_id("peer_id")?,
            room,
            server_time: fields.string("server_time")?.to_owned(),
            session_key: fields.string("session_key")?.to_owned(),
            peers: records(fields.required("peers")?)?,
            ice_servers: serde_json::from_value(ice_servers)
                .map_err(|_| InvalidField { field: "ice_servers", problem: "must be an array of ICE servers" })?,
        })
    }
}

/// Reads the peer records of `peers`; those that break the contract are left out.
pub(crate) fn records(peers: &Value) -> Result<Vec<PeerRecord>, InvalidField> {
    let peers = peers.as_array().ok_or(InvalidField { field: "peers", problem: "must be an array" })?;
    Ok(peers.iter().filter_map(Value::as_object).filter_map(|peer| PeerRecord::from_object(peer).ok()).collect())
}

/// The parameters of `peer.offer` and `peer.answer`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Description {
    /// The sender.
    #[serde(serialize_with = "as_text")]
    pub from: PeerId,
    /// The receiver.
    #[serde(serialize_with = "as_text")]
    pub to: PeerId,
    /// The session description, up to 64 KiB.
    pub sdp: String,
    /// Whether the sender takes candidates that come after the description.
    pub can_trickle_ice_candidates: bool,
    /// Made by the offerer; the same for the offer, its answer and every candidate.
    pub request_id: String,
}

impl Description {
    /// Reads the parameters and checks their types; [`check_sdp`](Self::check_sdp) looks at the description.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] names what is missing or wrong.
    pub fn from_params(params: &Params) -> Result<Self, InvalidField> {
        let fields = Fields::of(params)?;
        Ok(Self {
            from: fields.peer_id("from")?,
            to: fields.peer_id("to")?,
            sdp: fields.string("sdp")?.to_owned(),
            can_trickle_ice_candidates: fields.boolean("can_trickle_ice_candidates")?,
            request_id: fields.request_id()?,
        })
    }

    /// Whether the text begins like SDP (RFC 8866 section 5.1) and is short enough.
    ///
    /// # Errors
    ///
    /// `code` (-32002 or -32003) with the reason.
    pub fn check_sdp(&self, code: ErrorCode) -> Result<(), RpcError> {
        if self.sdp.len() > MAX_SDP_BYTES {
            let message = format!("the SDP has {} bytes, {MAX_SDP_BYTES} is the most", self.sdp.len());
            return Err(RpcError::with_reason(code, reason::TOO_LARGE, message));
        }
        if !self.sdp.starts_with("v=0") {
            return Err(RpcError::with_reason(code, reason::NOT_SDP, "the SDP must begin with v=0"));
        }
        Ok(())
    }
}

/// The parameters of `peer.ice_candidate`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Candidate {
    /// The sender.
    #[serde(serialize_with = "as_text")]
    pub from: PeerId,
    /// The receiver.
    #[serde(serialize_with = "as_text")]
    pub to: PeerId,
    /// The bare `candidate:…` line; empty at the end of candidates.
    pub candidate: String,
    /// The media section it belongs to.
    pub sdp_mid: Option<String>,
    /// The index of that section.
    pub sdp_m_line_index: Option<u16>,
    /// The ICE generation it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_fragment: Option<String>,
    /// The connection's.
    pub request_id: String,
}

impl Candidate {
    /// Reads the parameters and checks their types; [`check`](Self::check) looks at the candidate.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] names what is missing or wrong.
    pub fn from_params(params: &Params) -> Result<Self, InvalidField> {
        let fields = Fields::of(params)?;
        Ok(Self {
            from: fields.peer_id("from")?,
            to: fields.peer_id("to")?,
            candidate: fields.string("candidate")?.to_owned(),
            sdp_mid: fields.nullable_string("sdp_mid")?.map(str::to_owned),
            sdp_m_line_index: fields.nullable_index("sdp_m_line_index")?,
            user_fragment: fields.optional_string("user_fragment")?.map(str::to_owned),
            request_id: fields.request_id()?,
        })
    }

    /// Whether the candidate is empty or one bare line.
    ///
    /// # Errors
    ///
    /// -32004 with the reason.
    pub fn check(&self) -> Result<(), RpcError> {
        let refused = |reason, message: String| Err(RpcError::with_reason(ErrorCode::Candidate, reason, message));
        if self.candidate.len() > MAX_CANDIDATE_BYTES {
            let message =
                format!("the candidate has {} bytes, {MAX_CANDIDATE_BYTES} is the most", self.candidate.len());
            return refused(reason::TOO_LARGE, message);
        }
        // A line break would smuggle lines into the receiver's session description.
        let one_line = !self.candidate.contains(['\r', '\n', '\0']);
        if self.candidate.is_empty() || (self.candidate.starts_with("candidate:") && one_line) {
            return Ok(());
        }
        refused(reason::NOT_A_CANDIDATE, "a candidate is a bare \"candidate:…\" line, or empty at the end".to_owned())
    }
}

/// The parameters of `peer.disconnect`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Disconnect {
    /// Who ends the connection.
    #[serde(serialize_with = "as_text")]
    pub from: PeerId,
    /// With whom.
    #[serde(serialize_with = "as_text")]
    pub to: PeerId,
    /// Why: `user_requested`, `network_error`, `timeout`, `error`, `unknown`.
    pub reason: String,
    /// More, for people; not forwarded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<String>,
    /// The connection's; without it every connection between the two ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
}

impl Disconnect {
    /// Reads and checks the parameters.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] names what is missing or wrong.
    pub fn from_params(params: &Params) -> Result<Self, InvalidField> {
        let fields = Fields::of(params)?;
        let reason = fields.string("reason")?;
        if reason.is_empty() || reason.len() > 64 {
            return Err(InvalidField { field: "reason", problem: "must be 1 to 64 characters" });
        }
        Ok(Self {
            from: fields.peer_id("from")?,
            to: fields.peer_id("to")?,
            reason: reason.to_owned(),
            details: fields.optional_string("details")?.map(str::to_owned),
            request_id: fields.optional_request_id()?,
        })
    }
}

/// The parameters of `peer.state_changed`. The states are the browser's own names (`connected`, `have-local-offer`, …).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StateChanged {
    /// Who reports.
    #[serde(serialize_with = "as_text")]
    pub from: PeerId,
    /// The other end of the connection.
    #[serde(serialize_with = "as_text")]
    pub to: PeerId,
    /// `RTCPeerConnection.connectionState`.
    pub connection_state: String,
    /// `RTCPeerConnection.iceConnectionState`.
    pub ice_connection_state: String,
    /// `RTCPeerConnection.iceGatheringState`.
    pub ice_gathering_state: String,
    /// `RTCPeerConnection.signalingState`.
    pub signaling_state: String,
    /// The connection's.
    pub request_id: String,
    /// When, RFC 3339 or milliseconds since 1970.
    pub timestamp: Value,
}

impl StateChanged {
    /// Reads and checks the parameters.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] names what is missing or wrong.
    pub fn from_params(params: &Params) -> Result<Self, InvalidField> {
        let fields = Fields::of(params)?;
        let timestamp = fields.required("timestamp")?;
        if !timestamp.is_string() && !timestamp.is_number() {
            return Err(InvalidField { field: "timestamp", problem: "must be a string or a number" });
        }
        Ok(Self {
            from: fields.peer_id("from")?,
            to: fields.peer_id("to")?,
            connection_state: fields.string("connection_state")?.to_owned(),
            ice_connection_state: fields.string("ice_connection_state")?.to_owned(),
            ice_gathering_state: fields.string("ice_gathering_state")?.to_owned(),
            signaling_state: fields.string("signaling_state")?.to_owned(),
            request_id: fields.request_id()?,
            timestamp: timestamp.clone(),
        })
    }
}

/// The result `status:"forwarded"`, with the request id where the method's result has one.
pub fn forwarded(request_id: Option<&str>) -> Value {
    let mut result = Map::new();
    result.insert("status".to_owned(), "forwarded".into());
    if let Some(request_id) = request_id {
        result.insert("request_id".to_owned(), request_id.into());
    }
    Value::Object(result)
}

fn room_as_text<S: Serializer>(room: &RoomId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(room.as_str())
}
