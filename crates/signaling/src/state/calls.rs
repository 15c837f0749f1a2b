//! From frames to methods, and back to responses.

use std::time::{Duration, Instant};

use serde_json::{Map, Value, json};

use super::{ConnectionId, ServerState};
use crate::protocol::{
    Call, ErrorCode, Id, InvalidCall, LeftReason, Message, Params, PeerRecord, RoomId, RpcError, StateChanged, method,
    reason, response,
};
use remotemedia_media::PeerId;

/// How long a socket is left unread for each call above its rate: a flood is answered, at no more than this pace.
const PAUSE_PER_REFUSED_CALL: Duration = Duration::from_millis(1);
/// A call costs 1 of the rate limit, and each of these bytes in its frame 1 more.
const BYTES_PER_COST: usize = 64 * 1024;

impl ServerState {
    /// A text frame of `bytes` bytes arrived and was [parsed](crate::protocol::parse) already, so that a driver can do
    /// that outside its lock. Otherwise the same as [`text`](Self::text).
    pub fn message(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        parsed: Result<Message, RpcError>,
        bytes: usize,
    ) -> Duration {
        if !self.connections.contains_key(&connection) {
            return Duration::ZERO; // closed by the server, but the socket does not know yet
        }
        let surcharge = u32::try_from(bytes / BYTES_PER_COST).unwrap_or(u32::MAX);
        let (reply, refused) = match parsed {
            Err(error) => self.answer(now, connection, Err(InvalidCall { id: Id::Null, error }), surcharge),
            Ok(Message::Single(call)) => self.answer(now, connection, call, surcharge),
            Ok(Message::Batch(calls)) => self.answer_batch(now, connection, calls, surcharge),
        };
        if let Some(reply) = reply {
            self.send(connection, reply.into());
        }
        self.settle(now);
        PAUSE_PER_REFUSED_CALL * refused
    }

    fn answer_batch(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        calls: Vec<Result<Call, InvalidCall>>,
        mut surcharge: u32,
    ) -> (Option<String>, u32) {
        let mut replies = Vec::new();
        let mut refused = 0;
        for call in calls {
            let (reply, over) = self.answer(now, connection, call, std::mem::take(&mut surcharge));
            replies.extend(reply);
            refused += over;
        }
        ((!replies.is_empty()).then(|| format!("[{}]", replies.join(","))), refused)
    }

    /// The response, unless it was a notification; and 1 if the call was over the rate, else 0.
    fn answer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        call: Result<Call, InvalidCall>,
        surcharge: u32,
    ) -> (Option<String>, u32) {
        self.metrics.calls += 1;
        let within = match self.connections.get_mut(&connection) {
            Some(connection) => connection.bucket.take(now, 1 + surcharge),
            None => return (None, 0), // an earlier call of the batch closed it
        };
        let refused = u32::from(within.is_err());
        let (id, outcome) = match (call, within.map_err(RpcError::rate_limited)) {
            (Ok(call), Err(error)) => (call.id, Err(error)),
            (Ok(call), Ok(())) => {
                let outcome = self.dispatch(now, connection, &call);
                (call.id, outcome)
            }
            (Err(invalid), within) => (Some(invalid.id), Err(within.err().unwrap_or(invalid.error))),
        };
        let Some(id) = id else {
            self.metrics.notifications_ignored += u64::from(outcome.is_err());
            return (None, refused);
        };
        let outcome = outcome.map_err(|error| self.refuse(error));
        (Some(response(&id, outcome)), refused)
    }

    fn dispatch(&mut self, now: Instant, connection: ConnectionId, call: &Call) -> Result<Value, RpcError> {
        let params = &call.params;
        match call.method.as_str() {
            method::ANNOUNCE => self.announce(now, connection, params),
            method::PING => Ok(json!({})),
            method::LIST => self.list(connection),
            method::OFFER => self.offer(now, connection, params),
            method::ANSWER => self.answer_offer(now, connection, params),
            method::ICE_CANDIDATE => self.candidate(now, connection, params),
            method::STATE_CHANGED => self.state_changed(connection, params),
            method::DISCONNECT => self.disconnect(connection, params),
            method::LEAVE => self.leave(connection),
            other => Err(RpcError::method_not_found(other)),
        }
    }

    /// The registration of this socket.
    pub(super) fn registration(&self, connection: ConnectionId) -> Result<(RoomId, PeerId), RpcError> {
        self.connections.get(&connection).and_then(|connection| connection.registration.clone()).ok_or_else(|| {
            let message = "this socket is not registered: call peer.announce first";
            RpcError::with_reason(ErrorCode::NotAuthorized, reason::NOT_REGISTERED, message)
        })
    }

    fn list(&self, connection: ConnectionId) -> Result<Value, RpcError> {
        let (room, me) = self.registration(connection)?;
        let peers: Vec<PeerRecord> = self.rooms.get(&room).map(|room| room.records(&me)).unwrap_or_default();
        Ok(json!({ "peers": peers }))
    }

    fn leave(&mut self, connection: ConnectionId) -> Result<Value, RpcError> {
        let (room, me) = self.registration(connection)?;
        self.depart(&room, &me, LeftReason::Left);
        Ok(json!({ "status": "left" }))
    }

    fn state_changed(&mut self, connection: ConnectionId, params: &Params) -> Result<Value, RpcError> {
        let (_, me) = self.registration(connection)?;
        let report = StateChanged::from_params(params)?;
        check_from(&report.from, &me)?;
        self.metrics.count_connection_state(&report.connection_state);
        Ok(Value::Object(Map::new()))
    }
}

/// `from` must be the id registered on the socket.
pub(super) fn check_from(from: &PeerId, me: &PeerId) -> Result<(), RpcError> {
    if from == me {
        return Ok(());
    }
    let message = format!("\"from\" is {from}, but this socket is registered as {me}");
    Err(RpcError::with_reason(ErrorCode::NotAuthorized, reason::WRONG_FROM, message))
}
