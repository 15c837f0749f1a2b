use std::{fmt, str::FromStr};

use remotemedia_media::{PeerId, without_password};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Map, Value};

use super::{
    MAX_USER_DATA_BYTES,
    fields::{Fields, InvalidField},
};

/// What a peer can send and receive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Capability {
    /// Sound.
    Audio,
    /// Pictures.
    Video,
    /// Data channels.
    Data,
}

impl Capability {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "audio" => Self::Audio,
            "video" => Self::Video,
            "data" => Self::Data,
            _ => return None,
        })
    }
}

/// A room's name: 1 to 64 characters of `[A-Za-z0-9_-]`, `"default"` by default.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoomId(PeerId);

/// The text is no room name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the room's name must be 1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'")]
#[non_exhaustive]
pub struct InvalidRoomId;

impl RoomId {
    /// Checks `text` and keeps it.
    ///
    /// # Errors
    ///
    /// [`InvalidRoomId`] if the length or a character is not allowed.
    pub fn new(text: &str) -> Result<Self, InvalidRoomId> {
        // The same alphabet and length as a peer id.
        PeerId::new(text).map(Self).map_err(|_| InvalidRoomId)
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for RoomId {
    fn default() -> Self {
        Self(PeerId::new("default").unwrap_or_else(|_| unreachable!("\"default\" keeps to the alphabet")))
    }
}

impl FromStr for RoomId {
    type Err = InvalidRoomId;

    fn from_str(text: &str) -> Result<Self, InvalidRoomId> {
        Self::new(text)
    }
}

impl fmt::Display for RoomId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What the peers of a room know of each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PeerRecord {
    /// Who.
    #[serde(serialize_with = "as_text")]
    pub peer_id: PeerId,
    /// What it can do; never empty.
    pub capabilities: Vec<Capability>,
    /// Whatever the application attaches, up to 1 KiB.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_data: Option<Map<String, Value>>,
}

impl PeerRecord {
    /// Reads a record out of a larger object.
    ///
    /// # Errors
    ///
    /// [`InvalidField`] names what is missing or wrong.
    pub fn from_object(object: &Map<String, Value>) -> Result<Self, InvalidField> {
        Self::from_fields(&Fields::of_map(object))
    }

    pub(super) fn from_fields(fields: &Fields<'_>) -> Result<Self, InvalidField> {
        let peer_id = fields.peer_id("peer_id")?;
        let capabilities = capabilities(fields.required("capabilities")?).ok_or(InvalidField {
            field: "capabilities",
            problem: "must be a non-empty array out of \"audio\", \"video\", \"data\"",
        })?;
        let user_data = match fields.optional("user_data") {
            None => None,
            Some(Value::Object(map)) if encoded_len(map) <= MAX_USER_DATA_BYTES => Some(map.clone()),
            Some(_) => {
                return Err(InvalidField { field: "user_data", problem: "must be an object of at most 1 KiB of JSON" });
            }
        };
        Ok(Self { peer_id, capabilities, user_data })
    }
}

fn capabilities(value: &Value) -> Option<Vec<Capability>> {
    let mut all: Vec<Capability> = Vec::new();
    for name in value.as_array()? {
        let capability = Capability::from_name(name.as_str()?)?;
        if !all.contains(&capability) {
            all.push(capability);
        }
    }
    (!all.is_empty()).then_some(all)
}

fn encoded_len(map: &Map<String, Value>) -> usize {
    serde_json::to_string(map).map_or(usize::MAX, |text| text.len())
}

/// Why a peer is gone from a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum LeftReason {
    /// It said `peer.leave`.
    Left,
    /// Its socket closed; it may come back. Only a hint: running media decides.
    ConnectionLost,
    /// It answered no ping. Only a hint, like `ConnectionLost`.
    Timeout,
    /// Another socket took its registration over; `peer.announced` with `resumed` follows.
    Replaced,
    /// An operator removed it.
    Kicked,
}

impl LeftReason {
    /// Whether the peer, or someone with the right to, meant it to leave.
    pub const fn is_on_purpose(self) -> bool {
        matches!(self, Self::Left | Self::Kicked)
    }
}

/// A STUN or TURN server, in the shape of the browser's `RTCIceServer`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IceServer {
    /// `stun:`, `turn:` or `turns:` URLs of the same server.
    pub urls: Vec<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// For TURN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
}

impl fmt::Debug for IceServer {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IceServer")
            .field("urls", &self.urls.iter().map(|url| without_password(url)).collect::<Vec<_>>())
            .field("username", &self.username)
            .field("credential", &self.credential.as_ref().map(|_| "…"))
            .finish()
    }
}

pub(super) fn as_text<S: Serializer>(id: &PeerId, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(id)
}
