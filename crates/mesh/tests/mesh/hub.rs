//! An in-memory signaling server, and meshes on loopback sockets.

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
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// A room in memory.
#[derive(Clone, Default)]
pub(crate) struct Hub {
    pub(crate) members: Arc<Mutex<HashMap<PeerId, mpsc::UnboundedSender<SignalingEvent>>>>,
}

impl Hub {
    /// Registers `id`; everyone hears of each other.
    pub(crate) fn join(&self, id: &str) -> Arc<Member> {
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
}

/// A registration in a [`Hub`].
pub(crate) struct Member {
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

pub(crate) fn id(name: &str) -> PeerId {
    name.parse().unwrap()
}

/// A configuration for loopback.
pub(crate) fn config(name: &str) -> MeshConfig {
    // Silent unless RUST_LOG asks for something.
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    let _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().try_init();
    let mut config = MeshConfig::new(id(name));
    config.bind = vec!["127.0.0.1:0".parse().unwrap()];
    config
}

/// A started mesh with the default configuration on loopback.
pub(crate) async fn mesh(hub: &Hub, name: &str) -> Mesh {
    let mesh = Mesh::new(config(name), hub.join(name)).unwrap();
    mesh.start().await;
    mesh
}

/// Waits for something, but not for ever.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("timed out: {what}"),
    }
}

/// Waits until both meshes count the other as connected.
pub(crate) async fn connected(a: &Mesh, b: &Mesh) {
    soon("both sides connected", async {
        while a.peers().is_empty() || b.peers().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

/// The next event that satisfies `wanted`.
pub(crate) async fn event(events: &mut MeshEvents, wanted: impl Fn(&MeshEvent) -> bool) -> MeshEvent {
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
