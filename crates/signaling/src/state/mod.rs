//! The server's state machine: rooms, registrations, forwarding, limits and time-outs, without I/O and without a clock.
//!
//! A driver tells [`ServerState`] what happened on its sockets and when, then drains [`poll_output`] and does what it
//! says. The `server` feature is such a driver; a simulator in virtual time is another:
//!
//! ```
//! use remotemedia_signaling::state::{Output, ServerState, StateConfig};
//! use std::time::{Duration, Instant, SystemTime};
//!
//! let start = Instant::now(); // any instant will do: only differences count
//! let mut server = ServerState::new(StateConfig::default(), [7; 32], start, SystemTime::UNIX_EPOCH);
//! let alice = server.open(start)?;
//! let bob = server.open(start)?;
//! for (connection, id) in [(alice, "alice"), (bob, "bob")] {
//!     let params = format!(r#"{{"peer_id":"{id}","capabilities":["audio"]}}"#);
//!     let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"peer.announce","params":{params}}}"#);
//!     server.text(start, connection, &text);
//! }
//!
//! let mut to_alice = Vec::new();
//! while let Some(output) = server.poll_output() {
//!     if let Output::Send { connection, text } = output {
//!         server.sent(connection, text.len()); // a driver that delivers at once has no queue
//!         if connection == alice {
//!             to_alice.push(text);
//!         }
//!     }
//! }
//! assert!(to_alice[0].contains(r#""status":"registered""#));
//! assert!(to_alice[1].contains(r#""method":"peer.announced""#) && to_alice[1].contains("bob"));
//!
//! // Time passes only when the driver says so. Nobody answered the pings: both are gone after 45 s.
//! let mut now = start;
//! while server.connections() > 0 {
//!     now = server.next_timeout().expect("pings are due");
//!     server.handle_timeout(now);
//! }
//! assert_eq!(now - start, Duration::from_secs(45));
//! # Ok::<(), remotemedia_signaling::state::ServerFull>(())
//! ```
//!
//! [`poll_output`]: ServerState::poll_output

mod announce;
mod calls;
mod config;
mod metrics;
mod rate;
mod relay;
mod rooms;

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use rand::{SeedableRng, rngs::StdRng};
use remotemedia_media::PeerId;

use crate::protocol::{
    self, CloseCode, LeftReason, MAX_QUEUED_BYTES, MAX_QUEUED_MESSAGES, PeerLeft, RoomId, RpcError, method,
};
use rate::TokenBucket;
use rooms::{Presence, Room};

pub use config::{RateLimit, StateConfig, TokenRefusal, TokenRequest, TokenVerifier};
pub use metrics::Metrics;

/// A socket, as the machine and its driver call it. Never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(u64);

/// What the driver has to do.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Queue a text frame; call [`ServerState::sent`] once it is written.
    Send {
        /// To whom.
        connection: ConnectionId,
        /// The frame, shared between the sockets that get the same one.
        text: Arc<str>,
    },
    /// Send a WebSocket ping; call [`ServerState::pong`] when it is answered.
    Ping {
        /// To whom.
        connection: ConnectionId,
    },
    /// Close the socket. The machine has forgotten it already. With [`CloseCode::TryAgainLater`] what is still queued is
    /// dropped, with the others it goes out first.
    Close {
        /// Whose.
        connection: ConnectionId,
        /// With which code.
        code: CloseCode,
    },
    /// Tell the operator: the [`TokenVerifier`] panicked. The peer got -32603 and was not registered, all else goes on.
    VerifierPanicked {
        /// Whose `peer.announce` it was.
        connection: ConnectionId,
        /// What the panic said.
        message: String,
    },
}

/// The server takes no further socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ServerFull {
    /// It holds as many as it may.
    #[error("the server holds {limit} connections, its most: come back later")]
    Connections {
        /// [`StateConfig::max_connections`].
        limit: usize,
    },
    /// It is going away.
    #[error("the server is shutting down")]
    Stopped,
}

/// A signaling server without its sockets and its clock. See the [module's documentation](self).
///
/// Every input takes the time; times must not run backwards. After each input drain [`poll_output`](Self::poll_output).
pub struct ServerState {
    config: StateConfig,
    rng: StdRng,
    wall_clock: (Instant, SystemTime),
    next_connection: u64,
    connections: HashMap<ConnectionId, Connection>,
    rooms: HashMap<RoomId, Room>,
    members: usize,
    timers: BTreeSet<(Instant, Timer)>,
    outputs: VecDeque<Output>,
    overflowed: Vec<ConnectionId>,
    sweeping: bool,
    metrics: Metrics,
}

struct Connection {
    registration: Option<(RoomId, PeerId)>,
    bucket: TokenBucket,
    last_pong: Instant,
    next_ping: Instant,
    queued_messages: usize,
    queued_bytes: usize,
    overflowed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Ping(ConnectionId),
    Reservation(RoomId, PeerId),
    Sweep,
}

/// How often forgotten request ids are looked for. They are refused on time anyway; this only frees their memory.
const SWEEP_INTERVAL: Duration = Duration::from_secs(60);

impl ServerState {
    /// An empty server. `seed` feeds the generator of session keys: random in earnest, fixed in a simulation. `now` and
    /// `wall_clock` are the same moment on both clocks.
    pub fn new(config: StateConfig, seed: [u8; 32], now: Instant, wall_clock: SystemTime) -> Self {
        Self {
            config,
            rng: StdRng::from_seed(seed),
            wall_clock: (now, wall_clock),
            next_connection: 0,
            connections: HashMap::new(),
            rooms: HashMap::new(),
            members: 0,
            timers: BTreeSet::new(),
            outputs: VecDeque::new(),
            overflowed: Vec::new(),
            sweeping: false,
            metrics: Metrics::default(),
        }
    }

    /// Sets the wall clock again, which the operating system may have corrected meanwhile.
    pub fn set_wall_clock(&mut self, now: Instant, wall_clock: SystemTime) {
        self.wall_clock = (now, wall_clock);
    }

    /// A socket opened.
    ///
    /// # Errors
    ///
    /// [`ServerFull`] if there are [`StateConfig::max_connections`] already.
    pub fn open(&mut self, now: Instant) -> Result<ConnectionId, ServerFull> {
        if self.connections.len() >= self.config.max_connections {
            self.metrics.connections_refused += 1;
            return Err(ServerFull::Connections { limit: self.config.max_connections });
        }
        let id = ConnectionId(self.next_connection);
        self.next_connection += 1;
        let next_ping = now + self.config.ping_interval;
        self.timers.insert((next_ping, Timer::Ping(id)));
        self.connections.insert(
            id,
            Connection {
                registration: None,
                bucket: TokenBucket::new(&self.config.rate_limit, now),
                last_pong: now,
                next_ping,
                queued_messages: 0,
                queued_bytes: 0,
                overflowed: false,
            },
        );
        self.metrics.connections_opened += 1;
        Ok(id)
    }

    /// A text frame arrived. Answers how long the driver should leave that socket unread: more than zero for one that
    /// goes on sending above its rate.
    pub fn text(&mut self, now: Instant, connection: ConnectionId, text: &str) -> Duration {
        self.message(now, connection, protocol::parse(text), text.len())
    }

    /// The socket answered a ping.
    pub fn pong(&mut self, now: Instant, connection: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.last_pong = now;
        }
    }

    /// A text frame of `bytes` bytes left the queue towards that socket.
    pub fn sent(&mut self, connection: ConnectionId, bytes: usize) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.queued_messages = connection.queued_messages.saturating_sub(1);
            connection.queued_bytes = connection.queued_bytes.saturating_sub(bytes);
        }
    }

    /// The socket closed, or broke. A socket that is not known (any more) is ignored.
    pub fn closed(&mut self, now: Instant, connection: ConnectionId) {
        self.forget(now, connection, LeftReason::ConnectionLost);
        self.settle(now);
    }

    /// Closes a socket that broke the protocol: [`CloseCode::TooBig`], [`CloseCode::Unsupported`].
    pub fn reject(&mut self, now: Instant, connection: ConnectionId, code: CloseCode) {
        self.close(now, connection, code, LeftReason::ConnectionLost);
        self.settle(now);
    }

    /// Removes a peer for an operator: its socket is closed, its key is void. `false` if there is no such peer.
    pub fn kick(&mut self, now: Instant, room: &RoomId, peer: &PeerId) -> bool {
        let Some(member) = self.rooms.get(room).and_then(|room| room.members.get(peer)) else { return false };
        let connection = member.connection();
        self.depart(room, peer, LeftReason::Kicked);
        if let Some(connection) = connection {
            self.close(now, connection, CloseCode::Policy, LeftReason::Kicked);
        }
        self.settle(now);
        true
    }

    /// Closes every socket with 1001: the server goes away. Nobody is told that anybody left.
    pub fn close_all(&mut self) {
        for (id, connection) in self.connections.drain() {
            self.timers.remove(&(connection.next_ping, Timer::Ping(id)));
            self.metrics.count_close(CloseCode::GoingAway);
            self.outputs.push_back(Output::Close { connection: id, code: CloseCode::GoingAway });
        }
        self.rooms.clear();
        self.members = 0;
        self.timers.clear();
        self.sweeping = false;
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn next_timeout(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due at `now`: pings, time-outs, the end of reservations.
    pub fn handle_timeout(&mut self, now: Instant) {
        while self.timers.first().is_some_and(|(at, _)| *at <= now) {
            let Some((_, timer)) = self.timers.pop_first() else { break };
            match timer {
                Timer::Ping(connection) => self.ping(now, connection),
                Timer::Reservation(room, peer) => self.remove_member(&room, &peer),
                Timer::Sweep => self.sweep(now),
            }
        }
        self.settle(now);
    }

    /// What the driver has to do next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// How many sockets are open.
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// What happened so far and what is there now.
    pub fn metrics(&self) -> Metrics {
        let reserved = self.rooms.values().flat_map(|room| room.members.values()).filter(|m| m.connection().is_none());
        let reserved = reserved.count();
        Metrics {
            connections: self.connections.len(),
            rooms: self.rooms.len(),
            peers: self.members - reserved,
            reserved,
            ..self.metrics.clone()
        }
    }

    fn ping(&mut self, now: Instant, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let deadline = connection.last_pong + self.config.ping_timeout;
        if deadline <= now {
            self.close(now, id, CloseCode::GoingAway, LeftReason::Timeout);
            return;
        }
        connection.next_ping = (now + self.config.ping_interval).min(deadline);
        self.timers.insert((connection.next_ping, Timer::Ping(id)));
        self.outputs.push_back(Output::Ping { connection: id });
    }

    /// Queues `text`; a socket whose queue passes its bounds is closed by [`settle`](Self::settle), because closing it
    /// tells the others, and one of them may be in the middle of being told something.
    fn send(&mut self, id: ConnectionId, text: Arc<str>) {
        let Some(connection) = self.connections.get_mut(&id).filter(|connection| !connection.overflowed) else {
            return;
        };
        connection.queued_messages += 1;
        connection.queued_bytes += text.len();
        if connection.queued_messages > MAX_QUEUED_MESSAGES || connection.queued_bytes > MAX_QUEUED_BYTES {
            connection.overflowed = true;
            self.overflowed.push(id);
            return;
        }
        self.outputs.push_back(Output::Send { connection: id, text });
    }

    fn settle(&mut self, now: Instant) {
        while let Some(id) = self.overflowed.pop() {
            self.close(now, id, CloseCode::TryAgainLater, LeftReason::ConnectionLost);
        }
    }

    /// Sends `text` to everyone in `room` but `except`.
    fn broadcast(&mut self, room: &RoomId, except: &PeerId, text: &Arc<str>) {
        let Some(room) = self.rooms.get(room) else { return };
        let others = room.members.iter().filter(|(peer, _)| *peer != except);
        let connections: Vec<_> = others.filter_map(|(_, member)| member.connection()).collect();
        for connection in connections {
            self.send(connection, Arc::clone(text));
        }
    }

    fn close(&mut self, now: Instant, id: ConnectionId, code: CloseCode, reason: LeftReason) {
        if self.connections.contains_key(&id) {
            self.metrics.count_close(code);
            self.outputs.push_back(Output::Close { connection: id, code });
            self.forget(now, id, reason);
        }
    }

    fn forget(&mut self, now: Instant, id: ConnectionId, reason: LeftReason) {
        let Some(connection) = self.connections.remove(&id) else { return };
        self.timers.remove(&(connection.next_ping, Timer::Ping(id)));
        if let Some((room, peer)) = connection.registration {
            self.reserve(now, id, &room, &peer, reason);
        }
    }

    /// Keeps id and key of a peer whose socket is gone.
    fn reserve(&mut self, now: Instant, id: ConnectionId, room: &RoomId, peer: &PeerId, reason: LeftReason) {
        let until = now + self.config.reservation;
        let member = self.rooms.get_mut(room).and_then(|room| room.members.get_mut(peer));
        let Some(member) = member.filter(|member| member.connection() == Some(id)) else { return };
        member.presence = Presence::Reserved { until };
        self.timers.insert((until, Timer::Reservation(room.clone(), peer.clone())));
        self.tell_left(room, peer, reason);
    }

    /// Ends a registration for good.
    fn depart(&mut self, room: &RoomId, peer: &PeerId, reason: LeftReason) {
        let online = self
            .rooms
            .get(room)
            .and_then(|room| room.members.get(peer))
            .and_then(|member| member.connection())
            .and_then(|connection| self.connections.get_mut(&connection));
        if let Some(connection) = online {
            connection.registration = None;
            self.tell_left(room, peer, reason);
        }
        self.remove_member(room, peer);
    }

    fn remove_member(&mut self, room_id: &RoomId, peer: &PeerId) {
        let Some(room) = self.rooms.get_mut(room_id) else { return };
        let Some(member) = room.remove(peer) else { return };
        self.members -= 1;
        if room.members.is_empty() {
            self.rooms.remove(room_id);
        }
        if let Presence::Reserved { until } = member.presence {
            self.timers.remove(&(until, Timer::Reservation(room_id.clone(), peer.clone())));
        }
    }

    fn tell_left(&mut self, room: &RoomId, peer: &PeerId, reason: LeftReason) {
        self.metrics.count_left(reason);
        let text = protocol::notification(method::LEFT, &PeerLeft { peer_id: peer.clone(), reason });
        self.broadcast(room, peer, &text.into());
    }

    fn sweep(&mut self, now: Instant) {
        let lifetime = self.config.request_id_lifetime;
        let mut left = 0;
        for room in self.rooms.values_mut() {
            room.expire_requests(now, lifetime);
            left += room.requests();
        }
        self.sweeping = false;
        if left > 0 {
            self.schedule_sweep(now);
        }
    }

    fn schedule_sweep(&mut self, now: Instant) {
        if !std::mem::replace(&mut self.sweeping, true) {
            self.timers.insert((now + SWEEP_INTERVAL, Timer::Sweep));
        }
    }

    fn refuse(&mut self, error: RpcError) -> RpcError {
        *self.metrics.errors.entry(error.code).or_default() += 1;
        error
    }
}
