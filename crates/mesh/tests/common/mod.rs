//! An in-memory signaling server and helpers for meshes on loopback sockets.
#![allow(unreachable_pub)]

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use remotemedia_media::PeerId;
use remotemedia_mesh::{
    Mesh, MeshConfig, MeshEvent, MeshEvents, Signaler, SignalingError, SignalingEvent, SignalingMessage,
};
use tokio::sync::mpsc;

/// Everything in a test must happen within this time.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A room in memory.
#[derive(Clone, Default)]
pub struct Hub {
    members: Arc<Mutex<HashMap<PeerId, mpsc::UnboundedSender<SignalingEvent>>>>,
}

impl Hub {
    /// Registers `id`; everyone hears of each other.
    pub fn join(&self, id: &str) -> Arc<Member> {
        let id: PeerId = id.parse().unwrap();
        let (sender, events) = mpsc::unbounded_channel();
        let mut members = self.members.lock().unwrap();
        for (other, theirs) in members.iter() {
            let _ = theirs.send(SignalingEvent::PeerAvailable { peer: id.clone() });
            let _ = sender.send(SignalingEvent::PeerAvailable { peer: other.clone() });
        }
        members.insert(id.clone(), sender);
        Arc::new(Member { id, hub: self.clone(), events: tokio::sync::Mutex::new(events) })
    }

    /// Removes `id`, with or without a farewell.
    pub fn leave(&self, id: &str, on_purpose: bool) {
        let mut members = self.members.lock().unwrap();
        members.remove(id);
        for others in members.values() {
            let _ = others.send(SignalingEvent::PeerLeft { peer: id.parse().unwrap(), on_purpose });
        }
    }
}

/// A registration in a [`Hub`].
pub struct Member {
    id: PeerId,
    hub: Hub,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<SignalingEvent>>,
}

#[async_trait]
impl Signaler for Member {
    async fn send(&self, to: &PeerId, message: SignalingMessage) -> Result<(), SignalingError> {
        let members = self.hub.members.lock().unwrap();
        let other = members.get(to).ok_or_else(|| SignalingError::PeerNotFound(to.clone()))?;
        let _ = other.send(SignalingEvent::Message { from: self.id.clone(), message });
        Ok(())
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        self.events.lock().await.recv().await
    }
}

pub fn id(name: &str) -> PeerId {
    name.parse().unwrap()
}

/// A configuration for loopback.
pub fn config(name: &str) -> MeshConfig {
    let mut config = MeshConfig::new(id(name));
    config.bind = vec!["127.0.0.1:0".parse().unwrap()];
    config
}

/// A started mesh with the default configuration on loopback.
pub async fn mesh(hub: &Hub, name: &str) -> Mesh {
    mesh_with(hub, config(name)).await
}

pub async fn mesh_with(hub: &Hub, config: MeshConfig) -> Mesh {
    let member = hub.join(&config.local_id);
    let mesh = Mesh::new(config, member).unwrap();
    mesh.start().await;
    mesh
}

/// Waits for something, but not for ever.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

/// Waits until both meshes count the other as connected.
pub async fn connected(a: &Mesh, b: &Mesh) {
    soon("both sides connected", async {
        while a.peers().is_empty() || b.peers().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The next event that satisfies `wanted`.
pub async fn event(events: &mut MeshEvents, wanted: impl Fn(&MeshEvent) -> bool) -> MeshEvent {
    soon("an event", async {
        loop {
            let event = events.next().await.expect("the mesh is alive");
            if wanted(&event) {
                return event;
            }
        }
    })
    .await
}
