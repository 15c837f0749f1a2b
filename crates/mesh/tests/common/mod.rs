//! An in-memory signaling server and helpers for meshes on loopback sockets.
// Each test binary uses a part of it.
#![allow(unreachable_pub, dead_code)]

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use remotemedia_media::{Codec, MediaKind, PeerId, RtpTimestamp};
use remotemedia_mesh::{
    DatagramSocket, IncomingTrack, Mesh, MeshConfig, MeshEvent, MeshEvents, Network, Signaler, SignalingError,
    SignalingEvent, SignalingMessage, TrackItem,
};
use remotemedia_rtp::OutgoingPacket;
use tokio::{io::ReadBuf, sync::mpsc};

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

/// A started mesh whose sockets hang on `cable`.
pub async fn mesh_on(hub: &Hub, config: MeshConfig, cable: &Cable) -> Mesh {
    let member = hub.join(&config.local_id);
    let mesh = Mesh::with_network(config, member, Arc::new(cable.clone())).unwrap();
    mesh.start().await;
    mesh
}

/// Sends a video frame of one packet every 10 ms, for ever.
pub async fn send_video(mesh: &Mesh, to: &str) {
    for number in 0u32.. {
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        let packet = OutgoingPacket { timestamp: RtpTimestamp(number * 900), marker: true, payload };
        // Fails while the peer is not connected, which some tests bring about.
        let _ = mesh.send_media(&id(to), Codec::Vp8, &[packet], true);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// The numbers of `count` packets that [`send_video`] sent, from a fresh track.
pub async fn video_numbers(track: &mut IncomingTrack, count: usize) -> Vec<u32> {
    let mut numbers = Vec::new();
    while numbers.len() < count {
        match soon("a packet", track.recv()).await.expect("the track lives") {
            TrackItem::Packet { packet, .. } => {
                numbers.push(u32::from_be_bytes(packet.payload[..].try_into().unwrap()));
            }
            _ => continue,
        }
    }
    numbers
}

/// The next video track.
pub async fn video_track(mesh: &Mesh) -> IncomingTrack {
    soon("a video track", async {
        loop {
            let track = mesh.next_track().await.unwrap();
            if track.kind() == MediaKind::Video {
                return track;
            }
        }
    })
    .await
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

/// Real sockets that can be cut off from the world.
#[derive(Clone, Debug, Default)]
pub struct Cable {
    cut: Arc<AtomicBool>,
}

impl Cable {
    pub fn cut(&self) {
        self.cut.store(true, SeqCst);
    }

    pub fn mend(&self) {
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
