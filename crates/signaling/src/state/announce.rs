//! Registering, updating a record, taking a registration over.

use std::{
    any::Any,
    fmt::Write,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Instant, SystemTime},
};

use rand::RngCore;
use serde_json::Value;
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use super::{
    ConnectionId, Output, ServerState, Timer, TokenRequest,
    rooms::{Member, Presence},
};
use crate::protocol::{
    Announce, Announced, CloseCode, ErrorCode, LeftReason, Params, PeerAnnounced, RpcError, method, notification,
    reason,
};

/// Who holds the id that a peer wants.
enum Holder {
    Nobody,
    /// The socket that asks.
    Itself,
    /// Another socket, which may be gone; the key that was shown is right.
    Predecessor(Presence),
    SomeoneElse,
}

impl ServerState {
    pub(super) fn announce(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        params: &Params,
    ) -> Result<Value, RpcError> {
        let announce = Announce::from_params(params)?;
        self.check_same_registration(connection, &announce)?;
        self.check_token(now, connection, &announce)?;
        match self.holder(connection, &announce) {
            Holder::SomeoneElse => return Err(RpcError::peer_exists(&announce.record.peer_id)),
            Holder::Nobody => self.register(now, connection, &announce)?,
            Holder::Itself => self.update(&announce),
            Holder::Predecessor(presence) => self.take_over(now, connection, &announce, presence),
        }
        Ok(self.registered(now, &announce))
    }

    fn check_same_registration(&self, connection: ConnectionId, announce: &Announce) -> Result<(), RpcError> {
        match self.registration(connection) {
            Ok((room, peer)) if room != announce.room || peer != announce.record.peer_id => {
                let message = format!(
                    "this socket is registered as {peer} in room {room}: call peer.leave first, or use another socket"
                );
                Err(RpcError::with_reason(ErrorCode::NotAuthorized, reason::ALREADY_REGISTERED, message))
            }
            _ => Ok(()),
        }
    }

    fn check_token(&mut self, now: Instant, connection: ConnectionId, announce: &Announce) -> Result<(), RpcError> {
        let Some(verifier) = self.config.token_verifier.clone() else { return Ok(()) };
        let request = TokenRequest {
            token: announce.token.as_deref(),
            peer: &announce.record.peer_id,
            room: &announce.room,
            now: self.wall_clock_at(now),
        };
        // The verifier is not this crate's code: its panic must cost neither the socket nor the rest of a batch. It
        // sees nothing of the machine, so that nothing here can be left half done.
        match catch_unwind(AssertUnwindSafe(|| verifier.verify(&request))) {
            Ok(verdict) => verdict.map_err(|refusal| {
                RpcError::with_reason(ErrorCode::NotAuthorized, refusal.reason(), refusal.to_string())
            }),
            Err(panic) => {
                self.outputs.push_back(Output::VerifierPanicked { connection, message: panic_text(&*panic) });
                // What the panic says is for the operator: it may repeat secrets.
                let message = "the server's token verifier panicked, so nobody was registered: try again, and if it \
                               stays so tell whoever runs the server, whose log says why";
                Err(RpcError::new(ErrorCode::Internal, message))
            }
        }
    }

    fn holder(&self, connection: ConnectionId, announce: &Announce) -> Holder {
        let room = self.rooms.get(&announce.room);
        let Some(member) = room.and_then(|room| room.members.get(&announce.record.peer_id)) else {
            return Holder::Nobody;
        };
        if member.connection() == Some(connection) {
            return Holder::Itself;
        }
        match &announce.session_key {
            Some(key) if same_key(key, &member.session_key) => Holder::Predecessor(member.presence),
            _ => Holder::SomeoneElse,
        }
    }

    fn register(&mut self, now: Instant, connection: ConnectionId, announce: &Announce) -> Result<(), RpcError> {
        let in_room = self.rooms.get(&announce.room).map_or(0, |room| room.members.len());
        if in_room >= self.config.max_peers_per_room {
            return Err(RpcError::full("room", self.config.max_peers_per_room));
        }
        if self.members >= self.config.max_peers {
            return Err(RpcError::full("server", self.config.max_peers));
        }
        let member = Member::new(announce.record.clone(), self.new_session_key(), connection);
        let room = self.rooms.entry(announce.room.clone()).or_default();
        room.members.insert(announce.record.peer_id.clone(), member);
        self.members += 1;
        self.metrics.registrations += 1;
        self.bind(connection, announce);
        self.tell_announced(now, announce, false);
        Ok(())
    }

    /// The same socket announces again: its record changes, and its key if it used it. Nobody is told, because
    /// `peer.announced` names each peer once.
    fn update(&mut self, announce: &Announce) {
        let fresh = self.new_session_key();
        let Some(member) = self.member_mut(announce) else { return };
        member.record = announce.record.clone();
        if announce.session_key.as_deref().is_some_and(|key| same_key(key, &member.session_key)) {
            member.session_key = fresh;
        }
    }

    fn take_over(&mut self, now: Instant, connection: ConnectionId, announce: &Announce, before: Presence) {
        let (room, peer) = (&announce.room, &announce.record.peer_id);
        match before {
            Presence::Reserved { until } => {
                self.timers.remove(&(until, Timer::Reservation(room.clone(), peer.clone())));
            }
            Presence::Online(old) => {
                // Unbound first, so that its closing does not count as the peer's.
                if let Some(old) = self.connections.get_mut(&old) {
                    old.registration = None;
                }
                self.tell_left(room, peer, LeftReason::Replaced);
                self.close(now, old, CloseCode::TakenOver, LeftReason::Replaced);
            }
        }
        let key = self.new_session_key();
        if let Some(member) = self.member_mut(announce) {
            member.record = announce.record.clone();
            member.session_key = key;
            member.presence = Presence::Online(connection);
        }
        self.metrics.takeovers += 1;
        self.bind(connection, announce);
        self.tell_announced(now, announce, true);
    }

    fn registered(&self, now: Instant, announce: &Announce) -> Value {
        let peer_id = announce.record.peer_id.clone();
        let room = self.rooms.get(&announce.room);
        let session_key = room.and_then(|room| room.members.get(&peer_id)).map(|member| member.session_key.clone());
        Announced {
            room: announce.room.clone(),
            server_time: rfc3339(self.wall_clock_at(now)),
            session_key: session_key.unwrap_or_default(),
            peers: room.map(|room| room.records(&peer_id)).unwrap_or_default(),
            ice_servers: self.config.ice_servers.clone(),
            peer_id,
        }
        .to_value()
    }

    fn tell_announced(&mut self, now: Instant, announce: &Announce, resumed: bool) {
        let announced_at = rfc3339(self.wall_clock_at(now));
        let push = PeerAnnounced { record: announce.record.clone(), announced_at, resumed };
        let text = notification(method::ANNOUNCED, &push).into();
        self.broadcast(&announce.room, &announce.record.peer_id, &text);
    }

    fn bind(&mut self, connection: ConnectionId, announce: &Announce) {
        if let Some(connection) = self.connections.get_mut(&connection) {
            connection.registration = Some((announce.room.clone(), announce.record.peer_id.clone()));
        }
    }

    fn member_mut(&mut self, announce: &Announce) -> Option<&mut Member> {
        self.rooms.get_mut(&announce.room)?.members.get_mut(&announce.record.peer_id)
    }

    fn new_session_key(&mut self) -> String {
        let mut bytes = [0; 16];
        self.rng.fill_bytes(&mut bytes);
        bytes.iter().fold(String::with_capacity(32), |mut key, byte| {
            // Writing to a string cannot fail.
            let _ = write!(key, "{byte:02x}");
            key
        })
    }

    fn wall_clock_at(&self, now: Instant) -> SystemTime {
        self.wall_clock.1 + now.saturating_duration_since(self.wall_clock.0)
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a value that is no text").to_owned()
}

/// Compares in a time that tells nothing about where the keys differ.
fn same_key(shown: &str, held: &str) -> bool {
    shown.len() == held.len() && shown.bytes().zip(held.bytes()).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
}

fn rfc3339(time: SystemTime) -> String {
    // Fails only beyond the year 9999.
    OffsetDateTime::from(time).format(&Rfc3339).unwrap_or_default()
}
