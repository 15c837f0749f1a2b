//! The signaling client: a WebSocket that comes back by itself, and an ordered stream of what the server pushes.
//!
//! See [`SignalingClient`].

mod actor;
mod backoff;
mod config;
mod connect;
mod error;
mod events;
mod online;
mod register;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use remotemedia_media::PeerId;
use serde::Serialize;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};

use crate::protocol::{
    Announced, Candidate, Description, Disconnect, InvalidField, PeerRecord, StateChanged, method, records_of,
};
use actor::{Actor, Command};

pub use backoff::Backoff;
pub use config::{Announcement, ClientConfig};
pub use error::ClientError;
pub use events::{ClientEvent, EndReason};

/// How many commands may wait for the client's task, which takes each at once.
const MAX_COMMANDS: usize = 64;
/// How many events may wait to be read; then the client stops reading its socket, and nothing is lost unless the server
/// gives up waiting.
const MAX_EVENTS: usize = 256;
/// How long [`SignalingClient::shutdown`] takes at most.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(1);

/// A peer's line to the signaling server.
///
/// [`announce`](Self::announce) connects and registers. From then on the client keeps the registration: when the
/// connection is lost it comes back, with growing jittered pauses, and takes the registration over with its session
/// key. While it is away calls fail with [`ClientError::NotConnected`] at once.
///
/// Clones are handles to the same client. Dropping the last one, or [`shutdown`](Self::shutdown), leaves the room and
/// closes the socket. Every method may be dropped at any point: a request that went out may still take effect, and
/// nothing is left half done.
#[derive(Clone)]
pub struct SignalingClient {
    inner: Arc<Inner>,
}

struct Inner {
    config: Arc<ClientConfig>,
    commands: mpsc::Sender<Command>,
    /// Taken by the first `announce`, which starts the task.
    actor: Mutex<Option<Actor>>,
    events: tokio::sync::Mutex<mpsc::Receiver<ClientEvent>>,
}

impl SignalingClient {
    /// A client that is not connected yet. Needs no runtime and spawns nothing.
    ///
    /// # Errors
    ///
    /// [`ClientError::InvalidUrl`] if the URL is none, or not `ws` or `wss`.
    pub fn new(config: ClientConfig) -> Result<Self, ClientError> {
        let url = connect::parse_url(&config.url)?;
        let config = Arc::new(config);
        let (commands, command_queue) = mpsc::channel(MAX_COMMANDS);
        let (event_sender, events) = mpsc::channel(MAX_EVENTS);
        let actor = Actor::new(Arc::clone(&config), url, command_queue, event_sender);
        let actor = Mutex::new(Some(actor));
        Ok(Self { inner: Arc::new(Inner { config, commands, actor, events: tokio::sync::Mutex::new(events) }) })
    }

    /// This peer's id.
    pub fn peer_id(&self) -> &PeerId {
        &self.inner.config.peer_id
    }

    /// Connects and registers; when registered already, updates the record that the others see.
    ///
    /// The peers of the result and the later [`ClientEvent::PeerAnnounced`] together name each peer once.
    ///
    /// # Errors
    ///
    /// [`ClientError`] if the first attempt fails; the client then does not go on trying.
    pub async fn announce(&self, announcement: Announcement) -> Result<Announced, ClientError> {
        let actor = self.inner.actor.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(actor) = actor {
            tokio::spawn(actor.run());
        }
        let (reply, outcome) = oneshot::channel();
        self.command(Command::Announce { announcement, reply }).await?;
        outcome.await.map_err(|_| ClientError::Closed)?
    }

    /// The other peers of the room.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn list(&self) -> Result<Vec<PeerRecord>, ClientError> {
        let result = self.call(method::LIST, &json!({})).await?;
        let peers = result.get("peers").ok_or(InvalidField { field: "peers", problem: "is missing" });
        peers.and_then(records_of).map_err(|source| ClientError::InvalidReply { method: method::LIST, source })
    }

    /// Sends an offer. `request_id` is made by the offerer and stays that of the connection: [`new_request_id`] makes one.
    ///
    /// # Errors
    ///
    /// [`ClientError::PeerNotFound`] if `to` is not in the room.
    pub async fn offer(&self, to: &PeerId, sdp: &str, request_id: &str) -> Result<(), ClientError> {
        self.describe(method::OFFER, to, sdp, request_id).await
    }

    /// Answers an offer.
    ///
    /// # Errors
    ///
    /// [`ClientError::Refused`] with code -32003 if the server knows of no such offer: the offerer has to offer again.
    pub async fn answer(&self, to: &PeerId, sdp: &str, request_id: &str) -> Result<(), ClientError> {
        self.describe(method::ANSWER, to, sdp, request_id).await
    }

    /// Sends a candidate; its `from` is set to this peer.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn candidate(&self, mut candidate: Candidate) -> Result<(), ClientError> {
        candidate.from = self.peer_id().clone();
        self.call(method::ICE_CANDIDATE, &candidate).await.map(drop)
    }

    /// Tells a peer that the connection with it has ended, and why: `user_requested`, `network_error`, `timeout`,
    /// `error` or `unknown`.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn disconnect(&self, to: &PeerId, reason: &str, request_id: Option<&str>) -> Result<(), ClientError> {
        let params = Disconnect {
            from: self.peer_id().clone(),
            to: to.clone(),
            reason: reason.to_owned(),
            details: None,
            request_id: request_id.map(str::to_owned),
        };
        self.call(method::DISCONNECT, &params).await.map(drop)
    }

    /// Tells the server's metrics how a connection fares; `from` is set to this peer.
    ///
    /// # Errors
    ///
    /// [`ClientError::NotConnected`]; the server answers nothing.
    pub async fn state_changed(&self, mut state: StateChanged) -> Result<(), ClientError> {
        state.from = self.peer_id().clone();
        let (reply, outcome) = oneshot::channel();
        self.command(Command::Notify { method: method::STATE_CHANGED, params: raw(&state)?, reply }).await?;
        outcome.await.map_err(|_| ClientError::Closed)?
    }

    /// How long the server takes to answer.
    ///
    /// # Errors
    ///
    /// [`ClientError`].
    pub async fn ping(&self) -> Result<Duration, ClientError> {
        let sent = Instant::now();
        self.call(method::PING, &json!({})).await?;
        Ok(sent.elapsed())
    }

    /// Leaves the room and closes the socket. [`announce`](Self::announce) may follow.
    ///
    /// # Errors
    ///
    /// [`ClientError::Closed`] after [`shutdown`](Self::shutdown).
    pub async fn leave(&self) -> Result<(), ClientError> {
        let (reply, done) = oneshot::channel();
        if self.is_idle() {
            return Ok(());
        }
        self.command(Command::Leave { reply }).await?;
        done.await.map_err(|_| ClientError::Closed)
    }

    /// The next event, in the order in which things happened; `None` once the client has ended for good. Cancel-safe.
    /// Where several tasks ask, each event goes to one of them.
    ///
    /// Events must be read: with 256 waiting the client stops reading its socket, replies included.
    pub async fn next_event(&self) -> Option<ClientEvent> {
        self.inner.events.lock().await.recv().await
    }

    /// Leaves the room, closes the socket and ends the client, within 1 s. Idempotent.
    pub async fn shutdown(&self) {
        let never_started = self.inner.actor.lock().unwrap_or_else(PoisonError::into_inner).take();
        drop(never_started);
        let (reply, done) = oneshot::channel();
        let ending = async {
            if self.inner.commands.send(Command::Shutdown { reply }).await.is_ok() {
                // An error means that the task has ended, which is what was asked for.
                let _ = done.await;
            }
        };
        let _ = tokio::time::timeout(SHUTDOWN_TIMEOUT, ending).await;
    }

    async fn describe(
        &self,
        method: &'static str,
        to: &PeerId,
        sdp: &str,
        request_id: &str,
    ) -> Result<(), ClientError> {
        let params = Description {
            from: self.peer_id().clone(),
            to: to.clone(),
            sdp: sdp.to_owned(),
            can_trickle_ice_candidates: true,
            request_id: request_id.to_owned(),
        };
        self.call(method, &params).await.map(drop)
    }

    /// Calls, and again if the server asks to wait a little, within the configured time.
    async fn call(&self, method: &'static str, params: &impl Serialize) -> Result<Value, ClientError> {
        let params = raw(params)?;
        let after = self.inner.config.request_timeout;
        let calling = async {
            loop {
                let (reply, outcome) = oneshot::channel();
                self.command(Command::Call { method, params: params.clone(), reply }).await?;
                match outcome.await.map_err(|_| ClientError::Closed)? {
                    Err(ClientError::RateLimited { retry_after }) if retry_after < after => {
                        tokio::time::sleep(retry_after).await;
                    }
                    outcome => return outcome,
                }
            }
        };
        tokio::time::timeout(after, calling).await.unwrap_or(Err(ClientError::Timeout { method, after }))
    }

    async fn command(&self, command: Command) -> Result<(), ClientError> {
        if self.is_idle() {
            return Err(ClientError::NotConnected);
        }
        self.inner.commands.send(command).await.map_err(|_| ClientError::Closed)
    }

    /// Whether `announce` was never called, so that nobody would answer.
    fn is_idle(&self) -> bool {
        self.inner.actor.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }
}

impl fmt::Debug for SignalingClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalingClient").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

/// A random `request_id` for a new connection: 128 bits.
pub fn new_request_id() -> String {
    format!("{:032x}", rand::random::<u128>())
}

fn raw(params: &impl Serialize) -> Result<Box<RawValue>, ClientError> {
    serde_json::value::to_raw_value(params).map_err(|source| ClientError::Unencodable { source })
}
