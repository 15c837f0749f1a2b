use std::collections::BTreeMap;

use crate::protocol::{CloseCode, LeftReason};

/// What a server did and holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// Sockets open now.
    pub connections: usize,
    /// Rooms with someone in them, or reserved for someone.
    pub rooms: usize,
    /// Peers registered now.
    pub peers: usize,
    /// Ids kept for peers whose socket is gone.
    pub reserved: usize,
    /// Sockets opened so far.
    pub connections_opened: u64,
    /// Sockets turned away because there were too many.
    pub connections_refused: u64,
    /// Registrations so far.
    pub registrations: u64,
    /// Registrations taken over with the session key.
    pub takeovers: u64,
    /// Calls that arrived, batches counted one by one.
    pub calls: u64,
    /// Messages handed on from peer to peer.
    pub forwarded: u64,
    /// Notifications that were not acted on: refused, rate limited or unknown. Nobody was told.
    pub notifications_ignored: u64,
    /// Errors answered, by code.
    pub errors: BTreeMap<i32, u64>,
    /// Sockets closed by the server, by close code.
    pub closes: BTreeMap<u16, u64>,
    /// Departures, by the reason's name on the wire.
    pub departures: BTreeMap<&'static str, u64>,
    /// `peer.state_changed` reports, by `connection_state`; names that browsers do not use count as `other`.
    pub connection_states: BTreeMap<&'static str, u64>,
}

impl Metrics {
    pub(super) fn count_close(&mut self, code: CloseCode) {
        *self.closes.entry(code.code()).or_default() += 1;
    }

    pub(super) fn count_left(&mut self, reason: LeftReason) {
        let name = match reason {
            LeftReason::Left => "left",
            LeftReason::ConnectionLost => "connection_lost",
            LeftReason::Timeout => "timeout",
            LeftReason::Replaced => "replaced",
            LeftReason::Kicked => "kicked",
        };
        *self.departures.entry(name).or_default() += 1;
    }

    pub(super) fn count_connection_state(&mut self, state: &str) {
        const STATES: [&str; 6] = ["new", "connecting", "connected", "disconnected", "failed", "closed"];
        let name = STATES.into_iter().find(|known| *known == state).unwrap_or("other");
        *self.connection_states.entry(name).or_default() += 1;
    }
}
