//! Offers, answers, candidates and disconnects on their way from peer to peer.

use std::time::Instant;

use remotemedia_media::PeerId;
use serde::Serialize;
use serde_json::Value;

use super::{
    ConnectionId, ServerState,
    calls::check_from,
    rooms::{MAX_REQUESTS_PER_PEER, RequestUse},
};
use crate::protocol::{
    Candidate, Description, Disconnect, ErrorCode, InvalidField, Params, PeerDisconnected, RoomId, RpcError, forwarded,
    method, notification, reason,
};

impl ServerState {
    pub(super) fn offer(&mut self, now: Instant, connection: ConnectionId, params: &Params) -> Result<Value, RpcError> {
        let (room, me) = self.registration(connection)?;
        let offer = Description::from_params(params)?;
        check_ends(&offer.from, &offer.to, &me)?;
        offer.check_sdp(ErrorCode::Offer)?;
        let target = self.target(&room, &offer.to)?;
        match self.use_request(now, &room, &offer.request_id, &me, &offer.to) {
            RequestUse::OtherPair => return Err(request_id_in_use(ErrorCode::Offer)),
            RequestUse::Unknown => self.check_room_for_request(&room, &me)?,
            RequestUse::Theirs { .. } => {}
        }
        if let Some(room) = self.rooms.get_mut(&room) {
            room.offered(now, &offer.request_id, &me, &offer.to);
        }
        self.schedule_sweep(now);
        self.forward(target, method::OFFER, params);
        Ok(forwarded(Some(&offer.request_id)))
    }

    pub(super) fn answer_offer(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        params: &Params,
    ) -> Result<Value, RpcError> {
        let (room, me) = self.registration(connection)?;
        let answer = Description::from_params(params)?;
        check_ends(&answer.from, &answer.to, &me)?;
        answer.check_sdp(ErrorCode::Answer)?;
        let target = self.target(&room, &answer.to)?;
        match self.use_request(now, &room, &answer.request_id, &me, &answer.to) {
            RequestUse::Theirs { offered_by_target: true } => {}
            _ => {
                let message = format!("{} made no offer with this request_id: wait for the next one", answer.to);
                return Err(RpcError::with_reason(ErrorCode::Answer, reason::NO_SUCH_OFFER, message));
            }
        }
        self.forward(target, method::ANSWER, params);
        Ok(forwarded(Some(&answer.request_id)))
    }

    pub(super) fn candidate(
        &mut self,
        now: Instant,
        connection: ConnectionId,
        params: &Params,
    ) -> Result<Value, RpcError> {
        let (room, me) = self.registration(connection)?;
        let candidate = Candidate::from_params(params)?;
        check_ends(&candidate.from, &candidate.to, &me)?;
        candidate.check()?;
        let target = self.target(&room, &candidate.to)?;
        // An unknown id is forwarded: the server may have restarted since the offer.
        if let RequestUse::OtherPair = self.use_request(now, &room, &candidate.request_id, &me, &candidate.to) {
            return Err(request_id_in_use(ErrorCode::Candidate));
        }
        self.forward(target, method::ICE_CANDIDATE, params);
        Ok(forwarded(Some(&candidate.request_id)))
    }

    pub(super) fn disconnect(&mut self, connection: ConnectionId, params: &Params) -> Result<Value, RpcError> {
        let (room, me) = self.registration(connection)?;
        let disconnect = Disconnect::from_params(params)?;
        check_ends(&disconnect.from, &disconnect.to, &me)?;
        if let Some(room) = self.rooms.get_mut(&room) {
            room.end_requests_of_pair(disconnect.request_id.as_deref(), &me, &disconnect.to);
        }
        let target = self.target(&room, &disconnect.to)?;
        let push = PeerDisconnected { from: me, reason: disconnect.reason, request_id: disconnect.request_id };
        self.push(target, method::DISCONNECTED, &push);
        Ok(forwarded(None))
    }

    /// The socket of a peer in the same room.
    fn target(&self, room: &RoomId, to: &PeerId) -> Result<ConnectionId, RpcError> {
        self.rooms
            .get(room)
            .and_then(|room| room.members.get(to))
            .and_then(|member| member.connection())
            .ok_or_else(|| RpcError::peer_not_found(to))
    }

    fn use_request(&mut self, now: Instant, room: &RoomId, id: &str, from: &PeerId, to: &PeerId) -> RequestUse {
        let lifetime = self.config.request_id_lifetime;
        self.rooms.get_mut(room).map_or(RequestUse::Unknown, |room| room.use_request(now, lifetime, id, from, to))
    }

    fn check_room_for_request(&self, room: &RoomId, me: &PeerId) -> Result<(), RpcError> {
        let member = self.rooms.get(room).and_then(|room| room.members.get(me));
        if member.is_some_and(|member| member.has_too_many_requests()) {
            let message = format!(
                "{me} has {MAX_REQUESTS_PER_PEER} connections open: end some with peer.disconnect, or reuse request_id"
            );
            return Err(RpcError::with_reason(ErrorCode::Offer, reason::TOO_MANY_REQUEST_IDS, message));
        }
        Ok(())
    }

    /// Sends on what a peer sent, as it sent it: fields that this server does not know go along.
    fn forward(&mut self, target: ConnectionId, method: &str, params: &Params) {
        if let Params::Named(params) = params {
            self.push(target, method, params);
        }
    }

    fn push(&mut self, target: ConnectionId, method: &str, params: &impl Serialize) {
        self.metrics.forwarded += 1;
        self.send(target, notification(method, params).into());
    }
}

fn check_ends(from: &PeerId, to: &PeerId, me: &PeerId) -> Result<(), RpcError> {
    check_from(from, me)?;
    if to == me {
        return Err(InvalidField { field: "to", problem: "must be another peer" }.into());
    }
    Ok(())
}

fn request_id_in_use(code: ErrorCode) -> RpcError {
    let message = "another pair uses this request_id: make a random one";
    RpcError::with_reason(code, reason::REQUEST_ID_IN_USE, message)
}
