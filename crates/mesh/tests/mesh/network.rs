//! Ways to lose the network or signaling.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use remotemedia_mesh::{DatagramSocket, Mesh, MeshConfig, Network, SignalingEvent};
use remotemedia_netsim::filter::{Filter, FilteredSocket};

use crate::hub::Hub;

impl Hub {
    /// Removes `id`, with or without a farewell.
    pub(crate) fn leave(&self, id: &str, on_purpose: bool) {
        let mut members = self.members.lock().unwrap();
        members.remove(id);
        for others in members.values() {
            let _ = others.send(SignalingEvent::PeerLeft { peer: id.parse().unwrap(), on_purpose });
        }
    }
}

/// A started mesh whose sockets hang on `cable`.
pub(crate) async fn mesh_on(hub: &Hub, config: MeshConfig, cable: &Cable) -> Mesh {
    let member = hub.join(&config.local_id);
    let mesh = Mesh::with_network(config, member, Arc::new(cable.clone())).unwrap();
    mesh.start().await;
    mesh
}

/// Real sockets that can be cut off from the world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cable {
    cut: Arc<AtomicBool>,
}

impl Cable {
    pub(crate) fn cut(&self) {
        self.cut.store(true, SeqCst);
    }

    pub(crate) fn mend(&self) {
        self.cut.store(false, SeqCst);
    }
}

impl Network for Cable {
    fn wrap(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn DatagramSocket>> {
        Ok(Arc::new(FilteredSocket::new(socket, self.clone())?))
    }
}

impl Filter for Cable {
    fn lets_out(&self, _: SocketAddr) -> bool {
        !self.cut.load(SeqCst)
    }

    fn lets_in(&self, _: SocketAddr) -> bool {
        !self.cut.load(SeqCst)
    }
}
