use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
};

use remotemedia_media::PeerId;
use tokio::time::Instant;

use crate::{
    DisconnectReason, IceServer, MeshEvent, SignalingEvent, SignalingMessage,
    connection::{self, Command, EarlyCandidates, Peer, Start},
    mesh::Shared,
};

/// Peers that candidates are kept for before their offer has come.
const MAX_STRANGERS: usize = 256;

/// Hands what signaling reports to the connections, until the mesh ends.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut manager = Manager { shared: shared.clone(), strangers: HashMap::new() };
    let cancel = shared.cancel.clone();
    loop {
        tokio::select! {
            biased;
            () = cancel.cancelled() => return,
            event = shared.signaler.next_event() => match event {
                Some(event) => manager.on_event(event),
                None => {
                    // Signaling ended for good. What is connected stays so.
                    shared.event(MeshEvent::Signaling { connected: false });
                    return;
                }
            },
        }
    }
}

struct Manager {
    shared: Arc<Shared>,
    /// Candidates of peers whose offer has not come yet.
    strangers: HashMap<PeerId, EarlyCandidates>,
}

impl Manager {
    fn on_event(&mut self, event: SignalingEvent) {
        match event {
            SignalingEvent::PeerAvailable { peer } => {
                if let Some(connection) = self.connection(&peer) {
                    connection.command(Command::PeerBack);
                }
                if self.shared.available.lock().insert(peer.clone()) {
                    self.shared.event(MeshEvent::PeerAvailable { peer });
                }
            }
            SignalingEvent::PeerLeft { peer, on_purpose } => {
                self.strangers.remove(&peer);
                if self.shared.available.lock().remove(&peer) {
                    self.shared.event(MeshEvent::PeerLeft { peer: peer.clone() });
                }
                if let Some(connection) = self.connection(&peer) {
                    connection.command(Command::PeerLeft { on_purpose });
                }
            }
            SignalingEvent::IceServers(servers) => *self.shared.ice_servers.lock() = usable(servers),
            SignalingEvent::Connected(connected) => self.shared.event(MeshEvent::Signaling { connected }),
            SignalingEvent::Message { from, message } => self.on_message(from, message),
        }
    }

    fn connection(&self, peer: &PeerId) -> Option<Arc<Peer>> {
        self.shared.peers.lock().get(peer).cloned()
    }

    fn on_message(&mut self, from: PeerId, message: SignalingMessage) {
        if from == self.shared.config.local_id {
            return;
        }
        if let Some(connection) = self.connection(&from) {
            connection.command(Command::Signal(message));
            return;
        }
        match message {
            SignalingMessage::Offer { sdp, request_id } => self.accept(from, sdp, request_id),
            SignalingMessage::Candidate(candidate) => {
                let now = Instant::now();
                self.strangers.retain(|_, early| !early.is_empty(now));
                if self.strangers.len() < MAX_STRANGERS || self.strangers.contains_key(&from) {
                    self.strangers.entry(from).or_default().push(now, candidate);
                }
            }
            SignalingMessage::Answer { .. } | SignalingMessage::Disconnect { .. } => {}
        }
    }

    fn accept(&mut self, from: PeerId, sdp: String, request_id: String) {
        let early = self.strangers.remove(&from).unwrap_or_default();
        let mut peers = self.shared.peers.lock();
        let full = peers.len() >= self.shared.config.max_peers;
        match peers.entry(from.clone()) {
            Entry::Occupied(entry) => {
                entry.get().command(Command::Signal(SignalingMessage::Offer { sdp, request_id }));
            }
            Entry::Vacant(_) if full => {
                drop(peers);
                tracing::info!(peer = %from, limit = self.shared.config.max_peers, "turned away an offer: max_peers");
                let signaler = self.shared.signaler.clone();
                let reason = DisconnectReason::Busy;
                let refusal = SignalingMessage::Disconnect { reason, request_id: Some(request_id) };
                self.shared.tasks.spawn(async move {
                    // If this does not get through either, the peer's attempt runs into its own deadline.
                    let _ = signaler.send(&from, refusal).await;
                });
            }
            Entry::Vacant(slot) => {
                let (peer, inputs) = Peer::new(from, early, Start::Answer { sdp, request_id });
                slot.insert(peer.clone());
                connection::spawn(&self.shared, peer, inputs);
            }
        }
    }
}

/// One server that the stack cannot make anything of would keep it from asking the others.
fn usable(servers: Vec<IceServer>) -> Vec<IceServer> {
    let is_usable = |server: &IceServer| match server.validate() {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!(%error, "an ICE server that signaling names is left out");
            false
        }
    };
    servers.into_iter().filter(is_usable).collect()
}
