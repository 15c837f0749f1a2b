use std::{fmt, sync::Arc, time::Duration};

use remotemedia_media::{PeerId, without_password};
use serde_json::{Map, Value};

use super::Backoff;
use crate::protocol::{Capability, RoomId};

/// Where and as whom a client registers.
///
/// ```
/// use remotemedia_signaling::client::{ClientConfig, SignalingClient};
///
/// let config = ClientConfig::new("ws://localhost:8080", "bob".parse()?);
/// assert!(SignalingClient::new(config).is_ok());
/// assert!(SignalingClient::new(ClientConfig::new("localhost:8080", "bob".parse()?)).is_err());
/// # Ok::<(), remotemedia_media::InvalidPeerId>(())
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// `ws://…` or `wss://…`.
    pub url: String,
    /// Who this is.
    pub peer_id: PeerId,
    /// Where; `"default"` by default.
    pub room: RoomId,
    /// For servers that want one.
    pub token: Option<String>,
    /// How long connecting, and each request, may take; 10 s by default.
    pub request_timeout: Duration,
    /// How the pauses between attempts to come back grow.
    pub backoff: Backoff,
    /// How often the server is pinged, so that a dead one is seen; 15 s by default. After three times that without a sign
    /// of life the connection counts as lost.
    pub ping_interval: Duration,
    /// For `wss`: trust and client certificates. By default the system's trust store.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl ClientConfig {
    /// Everything by default.
    pub fn new(url: impl Into<String>, peer_id: PeerId) -> Self {
        Self {
            url: url.into(),
            peer_id,
            room: RoomId::default(),
            token: None,
            request_timeout: Duration::from_secs(10),
            backoff: Backoff::default(),
            ping_interval: Duration::from_secs(15),
            tls: None,
        }
    }
}

impl fmt::Debug for ClientConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientConfig")
            .field("url", &without_password(&self.url))
            .field("peer_id", &self.peer_id)
            .field("room", &self.room)
            .field("token", &self.token.as_ref().map(|_| "…"))
            .field("request_timeout", &self.request_timeout)
            .field("backoff", &self.backoff)
            .field("ping_interval", &self.ping_interval)
            .finish_non_exhaustive()
    }
}

/// What the others see of a peer.
#[derive(Clone, Debug, PartialEq)]
pub struct Announcement {
    /// What it can do; the server refuses an empty list.
    pub capabilities: Vec<Capability>,
    /// Whatever the application attaches, up to 1 KiB of JSON.
    pub user_data: Option<Map<String, Value>>,
}

impl Announcement {
    /// Without user data.
    pub fn new(capabilities: impl IntoIterator<Item = Capability>) -> Self {
        Self { capabilities: capabilities.into_iter().collect(), user_data: None }
    }
}
