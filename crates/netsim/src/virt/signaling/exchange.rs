use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    task::Waker,
    time::{Duration, Instant, SystemTime},
};

use remotemedia_media::PeerId;
use remotemedia_mesh::{DisconnectReason, IceCandidate, SignalingError, SignalingEvent, SignalingMessage};
use remotemedia_signaling::{
    protocol::{
        Announce, Announced, Candidate, Capability, Description, Disconnect, Id, PeerRecord, Push, Reply, RoomId,
        RpcError, method, reason, request,
    },
    state::{ConnectionId, Output, ServerState, StateConfig},
};
use serde_json::Value;
use tokio::sync::oneshot;

/// How long a client waits before it tries to connect again.
const RETRY: Duration = Duration::from_millis(500);

/// How many events wait for a client's reader. A client that falls behind further loses its socket, as with a server that
/// closes with 1013, and catches up with the list of peers when it is back.
pub(super) const MAX_EVENTS: usize = 1_024;

type Outcome = Result<Value, RpcError>;

/// A server, its clients, and what is under way between them. Times are since the epoch, and arguments.
pub(super) struct Exchange {
    epoch: Instant,
    seed: u64,
    config: StateConfig,
    delay: Duration,
    server: Option<ServerState>,
    /// Counts servers: what was meant for a server that was killed does not reach its successor.
    generation: u64,
    clients: Vec<Client>,
    flights: BTreeMap<(Duration, u64), Flight>,
    launched: u64,
    wakers: Vec<Waker>,
}

struct Client {
    record: PeerRecord,
    session_key: Option<String>,
    /// Counts the client's sockets: what came for an earlier one is ignored.
    socket: u64,
    connection: Option<(u64, ConnectionId)>,
    registered: bool,
    gone: bool,
    next_id: u64,
    announce_id: Option<u64>,
    pending: BTreeMap<u64, oneshot::Sender<Result<(), SignalingError>>>,
    /// Told the outcome of the first announcement.
    first: Option<oneshot::Sender<Result<(), RpcError>>>,
    known: BTreeSet<PeerId>,
    events: VecDeque<SignalingEvent>,
    reader: Option<Waker>,
}

enum Flight {
    /// A client wants a socket.
    Connect { client: usize },
    /// A client's text reaches the server.
    ToServer { client: usize, socket: u64, text: String },
    /// A server's text reaches a client.
    ToClient { client: usize, socket: u64, text: String },
    /// A client learns that its socket is closed.
    HangUp { client: usize, socket: u64 },
    /// The server learns that a socket is closed.
    Closed { generation: u64, connection: ConnectionId },
    /// A client's answer to a ping.
    Pong { generation: u64, connection: ConnectionId },
}

impl Exchange {
    pub(super) fn new(epoch: Instant, seed: u64, config: StateConfig, delay: Duration) -> Self {
        let mut exchange = Self {
            epoch,
            seed,
            config,
            delay,
            server: None,
            generation: 0,
            clients: Vec::new(),
            flights: BTreeMap::new(),
            launched: 0,
            wakers: Vec::new(),
        };
        exchange.start(Duration::ZERO);
        exchange
    }

    pub(super) fn set_delay(&mut self, delay: Duration) {
        self.delay = delay;
    }

    pub(super) fn is_up(&self) -> bool {
        self.server.is_some()
    }

    /// Starts a server that knows nothing of an earlier one.
    pub(super) fn start(&mut self, now: Duration) {
        if self.server.is_none() {
            self.generation += 1;
            let mut seed = [0; 32];
            seed[..8].copy_from_slice(&self.seed.to_le_bytes());
            seed[8..16].copy_from_slice(&self.generation.to_le_bytes());
            let wall_clock = SystemTime::UNIX_EPOCH + now;
            self.server = Some(ServerState::new(self.config.clone(), seed, self.epoch + now, wall_clock));
        }
    }

    /// Ends the server without a word of it. Its clients' sockets break.
    pub(super) fn kill(&mut self, now: Duration) {
        self.server = None;
        for client in 0..self.clients.len() {
            if self.clients[client].connection.take().is_some() {
                let socket = self.clients[client].socket;
                self.launch(now + self.delay, Flight::HangUp { client, socket });
            }
        }
    }

    pub(super) fn join(&mut self, now: Duration, peer: PeerId, first: oneshot::Sender<Result<(), RpcError>>) -> usize {
        let capabilities = vec![Capability::Audio, Capability::Video, Capability::Data];
        self.clients.push(Client {
            record: PeerRecord { peer_id: peer, capabilities, user_data: None },
            session_key: None,
            socket: 0,
            connection: None,
            registered: false,
            gone: false,
            next_id: 0,
            announce_id: None,
            pending: BTreeMap::new(),
            first: Some(first),
            known: BTreeSet::new(),
            events: VecDeque::new(),
            reader: None,
        });
        let client = self.clients.len() - 1;
        self.launch(now + self.delay, Flight::Connect { client });
        client
    }

    /// The client's process is gone: its socket closes, and it does not come back.
    pub(super) fn quit(&mut self, now: Duration, client: usize) {
        self.clients[client].gone = true;
        self.break_socket(now, client);
        let state = &mut self.clients[client];
        state.events.clear();
        self.wakers.extend(state.reader.take());
    }

    /// Both ends of a client's socket find it closed. The client comes back.
    pub(super) fn break_socket(&mut self, now: Duration, client: usize) {
        let state = &self.clients[client];
        let socket = state.socket;
        if let Some((generation, connection)) = state.connection {
            self.launch(now + self.delay, Flight::Closed { generation, connection });
            self.launch(now, Flight::HangUp { client, socket });
        }
    }

    /// Sends a message for the mesh. The receiver learns what the server said to it.
    pub(super) fn send(
        &mut self,
        now: Duration,
        client: usize,
        to: &PeerId,
        message: SignalingMessage,
    ) -> Option<oneshot::Receiver<Result<(), SignalingError>>> {
        let state = &mut self.clients[client];
        if !state.registered {
            return None;
        }
        let id = state.next_id;
        state.next_id += 1;
        let text = encode(id, &state.record.peer_id, to, message);
        let (outcome, receiver) = oneshot::channel();
        state.pending.insert(id, outcome);
        let socket = state.socket;
        self.launch(now + self.delay, Flight::ToServer { client, socket, text });
        Some(receiver)
    }

    /// The client's next event; without one, keeps the waker. `None`: there will be none.
    pub(super) fn poll_event(&mut self, client: usize, waker: &Waker) -> std::task::Poll<Option<SignalingEvent>> {
        let state = &mut self.clients[client];
        match state.events.pop_front() {
            Some(event) => std::task::Poll::Ready(Some(event)),
            None if state.gone => std::task::Poll::Ready(None),
            None => {
                state.reader = Some(waker.clone());
                std::task::Poll::Pending
            }
        }
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let flight = self.flights.keys().next().map(|(at, _)| *at);
        [flight, self.server_timeout()].into_iter().flatten().min()
    }

    /// Does what is due at `now`, in the order in which it was due.
    pub(super) fn run(&mut self, now: Duration) {
        while let Some(at) = self.next_timeout().filter(|at| *at <= now) {
            if self.server_timeout().is_some_and(|due| due <= at) {
                let instant = self.epoch + at;
                if let Some(server) = &mut self.server {
                    server.handle_timeout(instant);
                }
            } else if let Some((_, flight)) = self.flights.pop_first() {
                self.land(at, flight);
            }
            self.drain(at);
        }
    }

    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    fn server_timeout(&self) -> Option<Duration> {
        Some(self.server.as_ref()?.next_timeout()?.saturating_duration_since(self.epoch))
    }

    fn launch(&mut self, at: Duration, flight: Flight) {
        self.launched += 1;
        self.flights.insert((at, self.launched), flight);
    }

    fn land(&mut self, at: Duration, flight: Flight) {
        let instant = self.epoch + at;
        match flight {
            Flight::Connect { client } => self.accept(at, client),
            Flight::ToServer { client, socket, text } => {
                let state = &self.clients[client];
                if let (true, Some((generation, connection)), Some(server)) =
                    (state.socket == socket, state.connection, &mut self.server)
                    && generation == self.generation
                {
                    server.text(instant, connection, &text);
                }
            }
            Flight::ToClient { client, socket, text } => {
                if self.clients[client].socket == socket {
                    self.read(at, client, &text);
                }
            }
            Flight::HangUp { client, socket } => {
                if self.clients[client].socket == socket {
                    self.hung_up(at, client);
                }
            }
            Flight::Closed { generation, connection } => {
                if let Some(server) = self.server.as_mut().filter(|_| generation == self.generation) {
                    server.closed(instant, connection);
                }
            }
            Flight::Pong { generation, connection } => {
                if let Some(server) = self.server.as_mut().filter(|_| generation == self.generation) {
                    server.pong(instant, connection);
                }
            }
        }
    }

    /// A new socket at the server, on which the client announces itself at once.
    fn accept(&mut self, at: Duration, client: usize) {
        let instant = self.epoch + at;
        let state = &mut self.clients[client];
        if state.gone || state.connection.is_some() {
            return;
        }
        let opened = self.server.as_mut().and_then(|server| server.open(instant).ok());
        let Some(connection) = opened else {
            return self.launch(at + RETRY, Flight::Connect { client });
        };
        state.socket += 1;
        state.connection = Some((self.generation, connection));
        let id = state.next_id;
        state.next_id += 1;
        state.announce_id = Some(id);
        let announce = Announce {
            record: state.record.clone(),
            room: RoomId::default(),
            token: None,
            session_key: state.session_key.clone(),
        };
        let text = request(Id::Number(id), method::ANNOUNCE, &announce);
        let socket = state.socket;
        // The client learns that it is connected, and its first text comes back: one round trip.
        self.launch(at + self.delay * 2, Flight::ToServer { client, socket, text });
    }

    /// Does what the server says.
    fn drain(&mut self, at: Duration) {
        while let Some(output) = self.server.as_mut().and_then(ServerState::poll_output) {
            match output {
                Output::Send { connection, text } => {
                    // The system's send buffer takes it at once.
                    if let Some(server) = &mut self.server {
                        server.sent(connection, text.len());
                    }
                    if let Some((client, socket)) = self.client_of(connection) {
                        self.launch(at + self.delay, Flight::ToClient { client, socket, text: text.to_string() });
                    }
                }
                Output::Ping { connection } => {
                    let generation = self.generation;
                    self.launch(at + self.delay * 2, Flight::Pong { generation, connection });
                }
                Output::Close { connection, .. } => {
                    if let Some((client, socket)) = self.client_of(connection) {
                        self.clients[client].connection = None;
                        self.launch(at + self.delay, Flight::HangUp { client, socket });
                    }
                }
                // A later kind of output is not for a driver that does not know it.
                _ => {}
            }
        }
    }

    fn client_of(&self, connection: ConnectionId) -> Option<(usize, u64)> {
        let client = self.clients.iter().position(|c| c.connection == Some((self.generation, connection)))?;
        Some((client, self.clients[client].socket))
    }

    fn hung_up(&mut self, at: Duration, client: usize) {
        let state = &mut self.clients[client];
        let was_registered = std::mem::take(&mut state.registered);
        state.connection = None;
        state.socket += 1;
        for (_, outcome) in std::mem::take(&mut state.pending) {
            // A caller that gave up does not want to know.
            let _ = outcome.send(Err(SignalingError::NotConnected));
        }
        if was_registered {
            self.tell(at, client, SignalingEvent::Connected(false));
        }
        if !self.clients[client].gone {
            self.launch(at + RETRY, Flight::Connect { client });
        }
    }

    fn read(&mut self, at: Duration, client: usize, text: &str) {
        let replies = Reply::parse(text).expect("the server to send JSON");
        for reply in replies {
            match reply {
                Reply::Response { id: Id::Number(id), outcome } if self.clients[client].announce_id == Some(id) => {
                    self.announced(at, client, outcome);
                }
                Reply::Response { id: Id::Number(id), outcome } => {
                    if let Some(waiting) = self.clients[client].pending.remove(&id) {
                        // A caller that gave up does not want to know.
                        let _ = waiting.send(outcome.map(drop).map_err(signaling_error));
                    }
                }
                Reply::Response { id, outcome } => panic!("nobody asked for {id:?}: {outcome:?}"),
                Reply::Notification { method, params } => {
                    let push = Push::from_notification(&method, &params).expect("the server to keep to the contract");
                    push.into_iter().for_each(|push| self.pushed(at, client, push));
                }
            }
        }
    }

    fn announced(&mut self, at: Duration, client: usize, outcome: Outcome) {
        let state = &mut self.clients[client];
        state.announce_id = None;
        let first = state.first.take();
        match outcome {
            Ok(result) => {
                let result = Announced::from_value(&result).expect("the server to keep to the contract");
                state.session_key = Some(result.session_key);
                state.registered = true;
                let present: BTreeSet<_> = result.peers.into_iter().map(|record| record.peer_id).collect();
                let before = std::mem::replace(&mut state.known, present.clone());
                self.tell(at, client, SignalingEvent::Connected(true));
                for peer in before.difference(&present) {
                    self.tell(at, client, SignalingEvent::PeerLeft { peer: peer.clone(), on_purpose: false });
                }
                for peer in present.difference(&before) {
                    self.tell(at, client, SignalingEvent::PeerAvailable { peer: peer.clone() });
                }
                if let Some(first) = first {
                    // Whoever asked to join may be gone.
                    let _ = first.send(Ok(()));
                }
            }
            Err(error) => match first {
                Some(first) => {
                    // Whoever asked to join may be gone.
                    let _ = first.send(Err(error));
                    self.quit(at, client);
                }
                None => self.break_socket(at, client),
            },
        }
    }

    fn pushed(&mut self, at: Duration, client: usize, push: Push) {
        let known = &mut self.clients[client].known;
        let message = |from, message| SignalingEvent::Message { from, message };
        let event = match push {
            Push::Announced(announced) => {
                let peer = announced.record.peer_id;
                known.insert(peer.clone());
                SignalingEvent::PeerAvailable { peer }
            }
            Push::Left(left) => {
                known.remove(&left.peer_id);
                SignalingEvent::PeerLeft { peer: left.peer_id, on_purpose: left.reason.is_on_purpose() }
            }
            Push::Offer(d) => message(d.from, SignalingMessage::Offer { sdp: d.sdp, request_id: d.request_id }),
            Push::Answer(d) => message(d.from, SignalingMessage::Answer { sdp: d.sdp, request_id: d.request_id }),
            Push::Candidate(c) => message(
                c.from,
                SignalingMessage::Candidate(IceCandidate {
                    candidate: c.candidate,
                    sdp_mid: c.sdp_mid,
                    sdp_m_line_index: c.sdp_m_line_index,
                    user_fragment: c.user_fragment,
                    request_id: c.request_id,
                }),
            ),
            Push::Disconnected(d) => {
                let reason = DisconnectReason::from_name(&d.reason);
                message(d.from, SignalingMessage::Disconnect { reason, request_id: d.request_id })
            }
            // A later push is not for a client that does not know it.
            _ => return,
        };
        self.tell(at, client, event);
    }

    fn tell(&mut self, at: Duration, client: usize, event: SignalingEvent) {
        let state = &mut self.clients[client];
        if state.gone {
            return;
        }
        if state.events.len() >= MAX_EVENTS {
            return self.break_socket(at, client);
        }
        state.events.push_back(event);
        self.wakers.extend(state.reader.take());
    }
}

fn encode(id: u64, from: &PeerId, to: &PeerId, message: SignalingMessage) -> String {
    let (from, to) = (from.clone(), to.clone());
    let id = Id::Number(id);
    let description = |sdp, request_id| Description {
        from: from.clone(),
        to: to.clone(),
        sdp,
        can_trickle_ice_candidates: true,
        request_id,
    };
    match message {
        SignalingMessage::Offer { sdp, request_id } => request(id, method::OFFER, &description(sdp, request_id)),
        SignalingMessage::Answer { sdp, request_id } => request(id, method::ANSWER, &description(sdp, request_id)),
        SignalingMessage::Candidate(c) => {
            let candidate = Candidate {
                from,
                to,
                candidate: c.candidate,
                sdp_mid: c.sdp_mid,
                sdp_m_line_index: c.sdp_m_line_index,
                user_fragment: c.user_fragment,
                request_id: c.request_id,
            };
            request(id, method::ICE_CANDIDATE, &candidate)
        }
        SignalingMessage::Disconnect { reason, request_id } => {
            let reason = reason.as_str().to_owned();
            request(id, method::DISCONNECT, &Disconnect { from, to, reason, details: None, request_id })
        }
        other => panic!("no wire form for {other:?}: teach the virtual signaler"),
    }
}

fn signaling_error(error: RpcError) -> SignalingError {
    let unknown = error.reason() == Some(reason::PEER_NOT_FOUND);
    let peer = error.data.get("peer_id").and_then(Value::as_str).and_then(|id| PeerId::new(id).ok());
    match peer.filter(|_| unknown) {
        Some(peer) => SignalingError::PeerNotFound(peer),
        None => SignalingError::Refused { code: error.code, message: error.message },
    }
}
