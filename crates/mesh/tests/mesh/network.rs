//! Ways to lose the network or signaling.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use remotemedia_mesh::{DatagramSocket, Mesh, MeshConfig, Network, SignalingEvent};
use tokio::io::ReadBuf;

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
        socket.set_nonblocking(true)?;
        Ok(Arc::new(CableSocket { socket: tokio::net::UdpSocket::from_std(socket)?, cable: self.clone() }))
    }
}

#[derive(Debug)]
struct CableSocket {
    socket: tokio::net::UdpSocket,
    cable: Cable,
}

impl DatagramSocket for CableSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn poll_send(&self, cx: &mut Context<'_>, datagram: &[u8], to: SocketAddr) -> Poll<io::Result<()>> {
        if self.cable.cut.load(SeqCst) {
            return Poll::Ready(Ok(()));
        }
        self.socket.poll_send_to(cx, datagram, to).map_ok(|_| ())
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        loop {
            let mut read = ReadBuf::new(buffer);
            let from = std::task::ready!(self.socket.poll_recv_from(cx, &mut read))?;
            let size = read.filled().len();
            if !self.cable.cut.load(SeqCst) {
                return Poll::Ready(Ok((size, from)));
            }
        }
    }
}
