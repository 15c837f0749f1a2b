//! Whatever peers do, in whatever order: what each is told stays true.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::prelude::*;
use remotemedia_signaling::state::{ConnectionId, RateLimit, StateConfig};
use serde_json::{Value, json};

use crate::virtual_server::{VirtualServer, candidate, offer};

const PEERS: [&str; 4] = ["a", "b", "c", "d"];
const ROOMS: [&str; 2] = ["default", "attic"];

#[derive(Clone, Debug)]
enum Step {
    Connect,
    Announce { socket: usize, peer: usize, room: usize, key: Key },
    Leave { socket: usize },
    HangUp { socket: usize },
    Send { socket: usize, method: usize, to: usize, request: usize },
    Pass { seconds: u64 },
    Deafen { socket: usize },
    Stall { socket: usize },
    Text { socket: usize, text: String },
    Kick { peer: usize },
}

#[derive(Clone, Copy, Debug)]
enum Key {
    None,
    Wrong,
    Last,
}

fn step() -> impl Strategy<Value = Step> {
    let (socket, peer, room) = (0..8usize, 0..PEERS.len(), 0..ROOMS.len());
    let key = prop_oneof![Just(Key::None), Just(Key::Wrong), Just(Key::Last), Just(Key::Last)];
    let announce = (socket.clone(), peer.clone(), room, key).prop_map(|(socket, peer, room, key)| Step::Announce {
        socket,
        peer,
        room,
        key,
    });
    let send = (socket.clone(), 0..4usize, peer.clone(), 0..3usize)
        .prop_map(|(socket, method, to, request)| Step::Send { socket, method, to, request });
    prop_oneof![
        3 => Just(Step::Connect),
        6 => announce,
        2 => socket.clone().prop_map(|socket| Step::Leave { socket }),
        2 => socket.clone().prop_map(|socket| Step::HangUp { socket }),
        6 => send,
        2 => (1..90u64).prop_map(|seconds| Step::Pass { seconds }),
        1 => socket.clone().prop_map(|socket| Step::Deafen { socket }),
        1 => socket.clone().prop_map(|socket| Step::Stall { socket }),
        1 => (socket, ".{0,40}").prop_map(|(socket, text)| Step::Text { socket, text }),
        1 => peer.prop_map(|peer| Step::Kick { peer }),
    ]
}

/// A socket as its owner sees it.
struct Peer {
    connection: ConnectionId,
    me: Option<(usize, usize)>,
    /// Who is in the room, by what this socket was told.
    roster: BTreeSet<String>,
}

struct World {
    server: VirtualServer,
    sockets: Vec<Peer>,
    /// The last key of each (peer, room).
    keys: BTreeMap<(usize, usize), String>,
}

impl World {
    fn new() -> Self {
        // Rate limits have tests of their own; here they would only hide things.
        let rate_limit = RateLimit { per_second: 1e6, burst: 100_000 };
        let server = VirtualServer::new(StateConfig { rate_limit, max_peers_per_room: 3, ..StateConfig::default() });
        Self { server, sockets: Vec::new(), keys: BTreeMap::new() }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Connect => {
                if self.sockets.len() < 8 {
                    let connection = self.server.connect();
                    self.sockets.push(Peer { connection, me: None, roster: BTreeSet::new() });
                }
            }
            Step::Announce { socket, peer, room, key } => self.announce(socket, peer, room, key),
            Step::Leave { socket } => {
                let Some(at) = self.index(socket) else { return };
                let response = self.server.call(self.sockets[at].connection, "peer.leave", json!({}));
                assert_eq!(response.get("result").is_some(), self.sockets[at].me.is_some(), "{response}");
                self.sockets[at].me = None;
                self.sockets[at].roster.clear();
            }
            Step::HangUp { socket } => {
                let Some(at) = self.index(socket) else { return };
                let peer = self.sockets.remove(at);
                self.server.hang_up(peer.connection);
            }
            Step::Send { socket, method, to, request } => self.send(socket, method, to, request),
            Step::Pass { seconds } => self.server.advance(Duration::from_secs(seconds)),
            Step::Deafen { socket } => {
                if let Some(at) = self.index(socket) {
                    self.server.answers_pings.insert(self.sockets[at].connection, false);
                }
            }
            Step::Stall { socket } => {
                if let Some(at) = self.index(socket) {
                    self.server.stalled.push(self.sockets[at].connection);
                }
            }
            Step::Text { socket, text } => {
                if let Some(at) = self.index(socket) {
                    self.server.text(self.sockets[at].connection, &text);
                }
            }
            Step::Kick { peer } => {
                self.server.state.kick(self.server.now, &"default".parse().unwrap(), &PEERS[peer].parse().unwrap());
                self.server.drain();
            }
        }
        self.listen();
        self.check();
    }

    fn index(&self, socket: usize) -> Option<usize> {
        (!self.sockets.is_empty()).then(|| socket % self.sockets.len())
    }

    fn announce(&mut self, socket: usize, peer: usize, room: usize, key: Key) {
        let Some(at) = self.index(socket) else { return };
        let mut params = json!({"peer_id": PEERS[peer], "capabilities": ["audio"], "room": ROOMS[room]});
        match key {
            Key::None => {}
            Key::Wrong => params["session_key"] = json!("00000000000000000000000000000000"),
            Key::Last => params["session_key"] = json!(self.keys.get(&(peer, room))),
        }
        let response = self.server.call(self.sockets[at].connection, "peer.announce", params);
        let Some(result) = response.get("result") else { return };
        assert!(self.sockets[at].me.is_none_or(|me| me == (peer, room)), "one socket, one id");
        self.keys.insert((peer, room), result["session_key"].as_str().unwrap().to_owned());
        let was_registered = self.sockets[at].me.is_some();
        let connection = self.sockets[at].connection;
        self.listen();
        // A takeover has closed another socket, and those behind it have moved up.
        let at = self.sockets.iter().position(|peer| peer.connection == connection).expect("it was answered");
        let listed: BTreeSet<_> = ids(&result["peers"]);
        if was_registered {
            assert_eq!(self.sockets[at].roster, listed, "an update names the peers that were named before");
        }
        self.sockets[at].me = Some((peer, room));
        self.sockets[at].roster = listed;
    }

    fn send(&mut self, socket: usize, method: usize, to: usize, request: usize) {
        let Some(at) = self.index(socket) else { return };
        let from = self.sockets[at].me.map_or("stranger", |(peer, _)| PEERS[peer]);
        let (to, request) = (PEERS[to], format!("r{request}"));
        let connection = self.sockets[at].connection;
        let response = match method {
            0 => self.server.call(connection, "peer.offer", offer(from, to, &request)),
            1 => self.server.call(connection, "peer.answer", offer(from, to, &request)),
            2 => self.server.call(connection, "peer.ice_candidate", candidate(from, to, &request)),
            _ => {
                let params = json!({"from": from, "to": to, "reason": "error", "request_id": request});
                self.server.call(connection, "peer.disconnect", params)
            }
        };
        if response.get("result").is_some() {
            assert!(self.sockets[at].roster.contains(to), "forwarded to a peer that the sender was not told of");
        }
    }

    /// Reads what each socket was told, and forgets the sockets that were closed.
    fn listen(&mut self) {
        let closed = &self.server.closed;
        self.sockets.retain(|peer| !closed.contains_key(&peer.connection));
        for at in 0..self.sockets.len() {
            for frame in self.server.inbox(self.sockets[at].connection) {
                self.sockets[at].hear(&frame);
            }
        }
    }

    fn check(&mut self) {
        let mut registered = 0;
        for at in 0..self.sockets.len() {
            let peer = &self.sockets[at];
            if peer.me.is_none() {
                continue;
            }
            registered += 1;
            if self.server.stalled.contains(&peer.connection) {
                continue; // asking would fill its queue
            }
            let listed = self.server.ok(peer.connection, "peer.list", json!({}));
            assert_eq!(self.sockets[at].roster, ids(&listed["peers"]), "what was told and what is there");
        }
        assert_eq!(self.server.state.metrics().peers, registered);
        assert_eq!(self.server.state.connections(), self.sockets.len());
    }
}

impl Peer {
    fn hear(&mut self, frame: &Value) {
        let Some(method) = frame["method"].as_str() else { return };
        let params = &frame["params"];
        assert!(self.me.is_some(), "a push to a socket that is not registered: {frame}");
        let text = |field: &str| params[field].as_str().unwrap().to_owned();
        match method {
            "peer.announced" => assert!(self.roster.insert(text("peer_id")), "named twice: {frame}"),
            "peer.left" => assert!(self.roster.remove(&text("peer_id")), "left without having been there: {frame}"),
            _ => assert!(self.roster.contains(&text("from")), "from a peer that was never named: {frame}"),
        }
    }
}

fn ids(peers: &Value) -> BTreeSet<String> {
    peers.as_array().unwrap().iter().map(|peer| peer["peer_id"].as_str().unwrap().to_owned()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn everyone_is_told_the_truth_and_nothing_stays_behind(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        for step in steps {
            world.step(step);
        }
        for peer in std::mem::take(&mut world.sockets) {
            world.server.hang_up(peer.connection);
        }
        world.server.advance(Duration::from_secs(700));
        let metrics = world.server.state.metrics();
        prop_assert_eq!((metrics.connections, metrics.rooms, metrics.peers, metrics.reserved), (0, 0, 0, 0));
        prop_assert_eq!(world.server.state.next_timeout(), None);
    }

    #[test]
    fn no_text_disturbs_the_machine(texts in prop::collection::vec(".{0,200}|\\[?\\{\"jsonrpc\":\"2.0\",\"id\":[0-9a\"]{1,4},\"method\":\"peer\\.(announce|offer|list)\",\"params\":.{0,60}\\}\\]?", 1..40)) {
        let mut server = VirtualServer::new(StateConfig::default());
        let alice = server.join("alice");
        for text in texts {
            server.text(alice, &text);
        }
        server.ok(alice, "peer.ping", json!({}));
    }
}
