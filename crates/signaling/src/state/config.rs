use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use remotemedia_media::PeerId;

use crate::protocol::{IceServer, RoomId, reason};

/// What a server allows and recommends. The durations' defaults are the contract's.
#[derive(Clone)]
pub struct StateConfig {
    /// Sockets at once, registered or not; 10,000 by default. Each may hold 4 MiB of queue and 1 MiB of an unfinished
    /// message, so this times 5 MiB bounds the server's memory.
    pub max_connections: usize,
    /// Registrations at once, reserved ones included; 10,000 by default.
    pub max_peers: usize,
    /// Registrations in one room, reserved ones included; 256 by default.
    pub max_peers_per_room: usize,
    /// How fast one socket may send.
    pub rate_limit: RateLimit,
    /// How long id and key of a lost peer are kept; 60 s.
    pub reservation: Duration,
    /// How often sockets are pinged; 15 s.
    pub ping_interval: Duration,
    /// After how long without an answer to a ping a peer is gone; 45 s.
    pub ping_timeout: Duration,
    /// After how much silence a `request_id` is forgotten; 10 minutes.
    pub request_id_lifetime: Duration,
    /// Recommended to every peer that registers; empty by default.
    pub ice_servers: Vec<IceServer>,
    /// Decides who may register; everyone by default.
    pub token_verifier: Option<Arc<dyn TokenVerifier>>,
}

impl Default for StateConfig {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            max_peers: 10_000,
            max_peers_per_room: 256,
            rate_limit: RateLimit::default(),
            reservation: Duration::from_secs(60),
            ping_interval: Duration::from_secs(15),
            ping_timeout: Duration::from_secs(45),
            request_id_lifetime: Duration::from_secs(600),
            ice_servers: Vec::new(),
            token_verifier: None,
        }
    }
}

impl fmt::Debug for StateConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StateConfig")
            .field("max_connections", &self.max_connections)
            .field("max_peers", &self.max_peers)
            .field("max_peers_per_room", &self.max_peers_per_room)
            .field("rate_limit", &self.rate_limit)
            .field("reservation", &self.reservation)
            .field("ping_interval", &self.ping_interval)
            .field("ping_timeout", &self.ping_timeout)
            .field("request_id_lifetime", &self.request_id_lifetime)
            .field("token_verifier", &self.token_verifier.is_some())
            .finish_non_exhaustive() // ICE servers carry credentials
    }
}

/// A token bucket per socket: each call costs 1, and each 64 KiB of a frame 1 more.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RateLimit {
    /// Calls per second in the long run; 100 by default.
    pub per_second: f64,
    /// Calls at once after a silence; 1,000 by default: enough for a newcomer to offer itself and its candidates to a
    /// room of 64.
    pub burst: u32,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { per_second: 100.0, burst: 1000 }
    }
}

/// Decides who may register, by the `token` of `peer.announce`.
///
/// It is called in the server's path for each `peer.announce` and must not block: check a signature, not a database.
/// If it panics, the peer gets -32603 and is not let in; its socket and the server go on, and the server logs the panic.
pub trait TokenVerifier: Send + Sync + 'static {
    /// `Ok` lets the peer in.
    ///
    /// # Errors
    ///
    /// Why not; the peer gets -32006 with the reason.
    fn verify(&self, request: &TokenRequest<'_>) -> Result<(), TokenRefusal>;
}

impl<F> TokenVerifier for F
where
    F: Fn(&TokenRequest<'_>) -> Result<(), TokenRefusal> + Send + Sync + 'static,
{
    fn verify(&self, request: &TokenRequest<'_>) -> Result<(), TokenRefusal> {
        self(request)
    }
}

/// Who wants to register where, with which token.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TokenRequest<'a> {
    /// What the peer sent, if anything.
    pub token: Option<&'a str>,
    /// Who it says it is.
    pub peer: &'a PeerId,
    /// Where it wants to be.
    pub room: &'a RoomId,
    /// The server's clock.
    pub now: SystemTime,
}

/// Why a token does not let a peer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum TokenRefusal {
    /// There is none.
    #[error("this server wants a token: pass one in peer.announce")]
    Missing,
    /// It is not valid.
    #[error("the token is not valid")]
    Invalid,
    /// It was valid once.
    #[error("the token has expired: get a new one")]
    Expired,
    /// It does not open this room, or not to this peer.
    #[error("the token does not allow this peer in this room")]
    RoomNotAllowed,
}

impl TokenRefusal {
    pub(super) fn reason(self) -> &'static str {
        match self {
            Self::Missing => reason::MISSING_TOKEN,
            Self::Invalid => reason::BAD_TOKEN,
            Self::Expired => reason::EXPIRED_TOKEN,
            Self::RoomNotAllowed => reason::ROOM_NOT_ALLOWED,
        }
    }
}
