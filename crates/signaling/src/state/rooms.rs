use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use remotemedia_media::PeerId;

use super::ConnectionId;
use crate::protocol::PeerRecord;

/// The peers of a room, and the connections that they are negotiating or have negotiated.
#[derive(Default)]
pub(super) struct Room {
    /// In the order of their ids, which is the order of `peers` on the wire.
    pub(super) members: BTreeMap<PeerId, Member>,
    requests: HashMap<String, Request>,
}

pub(super) struct Member {
    pub(super) record: PeerRecord,
    pub(super) session_key: String,
    pub(super) presence: Presence,
    /// How many request ids it made that live.
    requests: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    Online(ConnectionId),
    Reserved { until: Instant },
}

/// A `request_id` in use.
struct Request {
    /// Who used it first, and with whom.
    pair: [PeerId; 2],
    /// Which of the two has offered with it.
    offered: [bool; 2],
    last_used: Instant,
}

/// What a `request_id` is to a pair.
pub(super) enum RequestUse {
    Unknown,
    /// It is theirs; whether `to` has offered to `from` with it.
    Theirs {
        offered_by_target: bool,
    },
    OtherPair,
}

/// Live request ids per peer. With 10 minutes of silence to forget one it is never reached by honest use.
pub(super) const MAX_REQUESTS_PER_PEER: usize = 1024;

impl Member {
    pub(super) fn new(record: PeerRecord, session_key: String, connection: ConnectionId) -> Self {
        Self { record, session_key, presence: Presence::Online(connection), requests: 0 }
    }

    pub(super) fn connection(&self) -> Option<ConnectionId> {
        match self.presence {
            Presence::Online(connection) => Some(connection),
            Presence::Reserved { .. } => None,
        }
    }

    pub(super) fn has_too_many_requests(&self) -> bool {
        self.requests >= MAX_REQUESTS_PER_PEER
    }
}

impl Room {
    /// The records of everyone there but `except`.
    pub(super) fn records(&self, except: &PeerId) -> Vec<PeerRecord> {
        let online = self.members.values().filter(|member| member.connection().is_some());
        online.filter(|member| member.record.peer_id != *except).map(|member| member.record.clone()).collect()
    }

    /// Looks a request id up, and keeps it alive if it is of this pair.
    pub(super) fn use_request(
        &mut self,
        now: Instant,
        lifetime: Duration,
        id: &str,
        from: &PeerId,
        to: &PeerId,
    ) -> RequestUse {
        let Some(request) = self.requests.get_mut(id) else { return RequestUse::Unknown };
        if now.saturating_duration_since(request.last_used) >= lifetime {
            self.end_request(id);
            return RequestUse::Unknown;
        }
        let offered_by_target = match &request.pair {
            [a, b] if a == from && b == to => request.offered[1],
            [a, b] if a == to && b == from => request.offered[0],
            _ => return RequestUse::OtherPair,
        };
        request.last_used = now;
        RequestUse::Theirs { offered_by_target }
    }

    /// `from` has offered to `to` with this id, which is unknown or of this pair.
    pub(super) fn offered(&mut self, now: Instant, id: &str, from: &PeerId, to: &PeerId) {
        if let Some(request) = self.requests.get_mut(id) {
            let side = usize::from(request.pair[0] != *from);
            request.offered[side] = true;
            return;
        }
        let pair = [from.clone(), to.clone()];
        self.requests.insert(id.to_owned(), Request { pair, offered: [true, false], last_used: now });
        if let Some(member) = self.members.get_mut(from) {
            member.requests += 1;
        }
    }

    /// The pair has ended the connection with this id, or all it had.
    pub(super) fn end_requests_of_pair(&mut self, id: Option<&str>, from: &PeerId, to: &PeerId) {
        let is_theirs = |request: &Request| request.pair.contains(from) && request.pair.contains(to);
        match id {
            Some(id) => {
                if self.requests.get(id).is_some_and(is_theirs) {
                    self.end_request(id);
                }
            }
            None => self.end_requests(is_theirs),
        }
    }

    /// Takes a member out, and what it was negotiating.
    pub(super) fn remove(&mut self, peer: &PeerId) -> Option<Member> {
        self.end_requests(|request| request.pair.contains(peer));
        self.members.remove(peer)
    }

    pub(super) fn expire_requests(&mut self, now: Instant, lifetime: Duration) {
        self.end_requests(|request| now.saturating_duration_since(request.last_used) >= lifetime);
    }

    pub(super) fn requests(&self) -> usize {
        self.requests.len()
    }

    fn end_requests(&mut self, ends: impl Fn(&Request) -> bool) {
        let ended: Vec<_> =
            self.requests.iter().filter(|(_, request)| ends(request)).map(|(id, _)| id.clone()).collect();
        for id in ended {
            self.end_request(&id);
        }
    }

    fn end_request(&mut self, id: &str) {
        let Some(request) = self.requests.remove(id) else { return };
        if let Some(member) = self.members.get_mut(&request.pair[0]) {
            member.requests = member.requests.saturating_sub(1);
        }
    }
}
