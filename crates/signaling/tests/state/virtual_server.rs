//! A server without sockets: peers whose frames arrive at once, in virtual time.
use std::{
    collections::HashMap,
    time::{Duration, Instant, SystemTime},
};

use remotemedia_signaling::{
    protocol::CloseCode,
    state::{ConnectionId, Output, ServerState, StateConfig},
};
use serde_json::{Value, json};

pub(crate) struct VirtualServer {
    pub(crate) state: ServerState,
    pub(crate) now: Instant,
    /// Frames that arrived and were not looked at.
    inboxes: HashMap<ConnectionId, Vec<Value>>,
    pub(crate) closed: HashMap<ConnectionId, CloseCode>,
    /// What the operator was told of the token verifier.
    pub(crate) panics: Vec<(ConnectionId, String)>,
    pub(crate) answers_pings: HashMap<ConnectionId, bool>,
    /// Sockets that take nothing from their queue.
    pub(crate) stalled: Vec<ConnectionId>,
    next_id: u64,
}

impl VirtualServer {
    pub(crate) fn new(config: StateConfig) -> Self {
        let now = Instant::now();
        Self {
            state: ServerState::new(config, [1; 32], now, SystemTime::UNIX_EPOCH),
            now,
            inboxes: HashMap::new(),
            closed: HashMap::new(),
            panics: Vec::new(),
            answers_pings: HashMap::new(),
            stalled: Vec::new(),
            next_id: 0,
        }
    }

    pub(crate) fn connect(&mut self) -> ConnectionId {
        let id = self.state.open(self.now).expect("room for a socket");
        self.answers_pings.insert(id, true);
        id
    }

    pub(crate) fn hang_up(&mut self, connection: ConnectionId) {
        self.state.closed(self.now, connection);
        self.drain();
    }

    /// Lets time pass, doing on the way what is due.
    pub(crate) fn advance(&mut self, by: Duration) {
        let end = self.now + by;
        while let Some(at) = self.state.next_timeout().filter(|at| *at <= end) {
            self.now = at.max(self.now);
            self.state.handle_timeout(self.now);
            self.drain();
        }
        self.now = end;
    }

    pub(crate) fn text(&mut self, connection: ConnectionId, text: &str) {
        self.state.text(self.now, connection, text);
        self.drain();
    }

    pub(crate) fn notify(&mut self, connection: ConnectionId, method: &str, params: Value) {
        let text = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        self.text(connection, &text);
    }

    /// Calls, and answers the response; what else arrived meanwhile stays in the inbox.
    pub(crate) fn call(&mut self, connection: ConnectionId, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        self.text(connection, &json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string());
        let inbox = self.inboxes.entry(connection).or_default();
        let at = inbox.iter().position(|frame| frame["id"] == id).unwrap_or_else(|| panic!("no answer to {method}"));
        inbox.remove(at)
    }

    /// The result, which must be one.
    pub(crate) fn ok(&mut self, connection: ConnectionId, method: &str, params: Value) -> Value {
        let response = self.call(connection, method, params);
        assert!(response.get("error").is_none(), "{method}: {response}");
        response["result"].clone()
    }

    /// The error, which it must be.
    pub(crate) fn err(&mut self, connection: ConnectionId, method: &str, params: Value) -> Value {
        let response = self.call(connection, method, params);
        assert!(response.get("result").is_none(), "{method}: {response}");
        response["error"].clone()
    }

    /// A new socket, registered.
    pub(crate) fn join(&mut self, peer: &str) -> ConnectionId {
        let connection = self.connect();
        self.announce(connection, peer);
        connection
    }

    pub(crate) fn announce(&mut self, connection: ConnectionId, peer: &str) -> Value {
        self.ok(connection, "peer.announce", json!({"peer_id": peer, "capabilities": ["audio"]}))
    }

    /// Takes what arrived.
    pub(crate) fn inbox(&mut self, connection: ConnectionId) -> Vec<Value> {
        self.inboxes.remove(&connection).unwrap_or_default()
    }

    pub(crate) fn drain(&mut self) {
        while let Some(output) = self.state.poll_output() {
            match output {
                Output::Send { connection, text } => {
                    if !self.stalled.contains(&connection) {
                        self.state.sent(connection, text.len());
                    }
                    let frame = serde_json::from_str(&text).expect("the server sends JSON");
                    self.inboxes.entry(connection).or_default().push(frame);
                }
                Output::Ping { connection } => {
                    if self.answers_pings[&connection] {
                        self.state.pong(self.now, connection);
                    }
                }
                Output::Close { connection, code } => {
                    assert!(self.closed.insert(connection, code).is_none(), "closed twice");
                }
                Output::VerifierPanicked { connection, message } => self.panics.push((connection, message)),
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(crate) fn offer(from: &str, to: &str, request_id: &str) -> Value {
    json!({"from": from, "to": to, "sdp": "v=0\r\n", "can_trickle_ice_candidates": true, "request_id": request_id})
}

pub(crate) fn candidate(from: &str, to: &str, request_id: &str) -> Value {
    json!({"from": from, "to": to, "candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdp_mid": "0",
        "sdp_m_line_index": 0, "request_id": request_id})
}
