use std::time::Duration;

use tokio::time::Instant;
use webrtc::peer_connection::{RTCIceConnectionState, RTCPeerConnectionState};

use super::{
    actor::{Actor, End},
    build::{PcEvent, What},
    is_polite,
    peer::{PathState, PeerState},
    timers::{RESTART_PATIENCE, STATUS_INTERVAL},
};
use crate::{ConnectionReport, ConnectionStage, DisconnectReason, Feedback, IceServerOutcome, MeshEvent};

/// Pause before the next try after one that failed at once.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long another path is looked for before the connection counts as over: a network that is back within a minute finds the
/// call where it was.
const SEARCH: Duration = Duration::from_secs(60);
/// How long an ICE restart on a path that works takes at most.
const RESTART_TIME: Duration = Duration::from_secs(1);
/// How long after connecting the channels may take to open.
const OPENING: Duration = Duration::from_secs(2);

/// What the peer connection reports: the stages that a connection goes through.
impl Actor {
    pub(super) async fn on_event(&mut self, event: PcEvent) -> Result<(), End> {
        if event.epoch != self.epoch {
            return Ok(());
        }
        match event.what {
            What::Candidate(candidate) => self.on_own_candidate(candidate),
            What::GatheringComplete => self.on_own_candidate(String::new()),
            What::NegotiationNeeded => {
                if self.link.as_ref().is_some_and(|l| l.connected) {
                    self.negotiate_soon();
                }
            }
            What::Ice(state) => self.on_ice_state(state),
            What::State(state) => return self.on_state(state).await,
            What::Track(track) => self.on_track(track).await,
            What::DataChannel(channel) => self.on_channel(channel).await,
        }
        Ok(())
    }

    fn on_ice_state(&mut self, state: RTCIceConnectionState) {
        match state {
            RTCIceConnectionState::Checking => self.report.reached(ConnectionStage::Checking),
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => {
                self.report.reached(ConnectionStage::Securing);
            }
            _ => {}
        }
    }

    async fn on_state(&mut self, state: RTCPeerConnectionState) -> Result<(), End> {
        let stood = self.link.as_ref().is_some_and(|l| l.connected);
        if let Some(link) = &mut self.link {
            link.up = state == RTCPeerConnectionState::Connected;
        }
        match state {
            RTCPeerConnectionState::Connected if stood => {
                (self.restart_at, self.down_at, self.deadline) = (None, None, None);
                self.set_reconnecting(false);
            }
            RTCPeerConnectionState::Connected => self.on_connected().await,
            RTCPeerConnectionState::Disconnected if stood => self.on_path_lost(),
            // An ICE restart, which takes a few round trips if there is a path.
            RTCPeerConnectionState::Connecting if stood => self.down_at = Some(Instant::now() + RESTART_TIME),
            RTCPeerConnectionState::Failed if stood => return Err(End::Failed),
            RTCPeerConnectionState::Failed => {
                self.report.note_error("the peer connection failed");
                // The side that offered tries again; the other one is offered something new.
                if self.link.as_ref().is_some_and(|l| l.offerer) {
                    self.attempt_due = Some(Instant::now() + RETRY_PAUSE);
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The path is gone: looks for another one.
    pub(super) fn on_path_lost(&mut self) {
        self.down_at = None;
        self.set_reconnecting(true);
        self.deadline.get_or_insert(Instant::now() + SEARCH.max(self.shared.config.ice_timeout));
        // Both sides see it: one restarts, the other only if that does not come.
        let patience = if is_polite(&self.shared, &self.peer) { RESTART_PATIENCE } else { Duration::ZERO };
        self.restart_at.get_or_insert(Instant::now() + patience);
    }

    async fn on_connected(&mut self) {
        let Some(link) = &mut self.link else { return };
        link.connected = true;
        let now = Instant::now();
        self.connected_at = Some(now);
        self.deadline = None;
        self.attempt_due = None;
        self.status_at = Some(now + STATUS_INTERVAL);
        // At the latest: the channels may never open.
        self.settle_at = Some(now + OPENING);
        self.report.reached(ConnectionStage::Connected);
        self.peer.snapshot.lock().metrics.connect_time = now - self.started;
        self.publish_media();
        self.peer.state.send_replace(PeerState::Connected);
        self.shared.event(MeshEvent::PeerConnected { peer: self.peer.id.clone() });
        self.tell_of_no_video();
        self.open_streams().await;
    }

    /// The connection that stood is over, but this actor goes on with another one.
    pub(super) fn connection_lost(&mut self) {
        self.withdraw_media();
        self.connected_at = None;
        self.started = Instant::now();
        self.deadline = Some(self.started + self.shared.config.connect_timeout);
        (self.restart_at, self.down_at, self.suspected) = (None, None, None);
        (self.heartbeat_at, self.status_at) = (None, None);
        self.forget_flow();
        self.report = ConnectionReport::default();
        self.peer.snapshot.lock().reconnecting = false;
        self.peer.path.send_replace(PathState::Opening);
        self.peer.state.send_replace(PeerState::Connecting);
        let reason = DisconnectReason::NetworkError;
        self.shared.event(MeshEvent::PeerDisconnected { peer: self.peer.id.clone(), reason });
    }

    pub(super) fn withdraw_media(&mut self) {
        self.peer.media.clear();
        self.peer.opened.lock().clear();
        self.published_streams.clear();
        self.streams_to_open.clear();
        if self.published.take().is_some() {
            self.shared.feedback(Feedback::MediaGone { peer: self.peer.id.clone() });
        }
    }

    /// Takes over what became of the STUN and TURN servers, and tells of those that failed, each once.
    pub(super) fn note_ice_servers(&mut self) {
        let Some(link) = &self.link else { return };
        for server in link.runtime.ice_servers() {
            let known = &mut self.report.ice_servers;
            let same = known.iter_mut().find(|k| (&k.server, k.role) == (&server.server, server.role));
            let before = match same {
                // Another try is on; what it will come to is not known yet.
                Some(before) if before.outcome.is_failure() && server.outcome == IceServerOutcome::NoAnswer => continue,
                Some(before) => Some(std::mem::replace(before, server.clone())),
                None => {
                    known.push(server.clone());
                    None
                }
            };
            if server.outcome.is_failure() && before.as_ref() != Some(&server) {
                self.shared.event(MeshEvent::IceServerFailed { peer: self.peer.id.clone(), server });
            }
        }
    }

    fn set_reconnecting(&mut self, reconnecting: bool) {
        let before = std::mem::replace(&mut self.peer.snapshot.lock().reconnecting, reconnecting);
        if before != reconnecting {
            let peer = self.peer.id.clone();
            let reconnected = MeshEvent::PeerReconnected { peer: peer.clone() };
            self.shared.event(if reconnecting { MeshEvent::PeerReconnecting { peer } } else { reconnected });
        }
    }
}
