//! A seeded lossy network in memory, and pairs of peer connections over it in virtual time.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    io,
    net::SocketAddr,
    sync::{Arc, Weak},
    task::{Context, Poll, Waker},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::SmallRng};
use tokio::sync::{mpsc, watch};
use webrtc::{
    media_stream::track_remote::TrackRemote,
    peer_connection::{
        PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceGatheringState,
        RTCPeerConnectionState, SettingEngineBuilder,
    },
};

use super::{ConnectionRuntime, MeshRuntime};
use crate::{DatagramSocket, Network};

/// Delays every datagram by `delay`, loses a share of them, drops the tail of a queue where a rate is set.
#[derive(Debug)]
pub(crate) struct LossyNetwork {
    this: Weak<Self>,
    delay: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    random: SmallRng,
    loss: f64,
    /// Bits per second of each sender's way out; unlimited without.
    rate: Option<f64>,
    free_at: HashMap<SocketAddr, tokio::time::Instant>,
    sockets: HashMap<SocketAddr, Weak<LossySocket>>,
    dropped: u64,
}

#[derive(Debug)]
struct LossySocket {
    network: Arc<LossyNetwork>,
    /// Keeps the port taken.
    bound: std::net::UdpSocket,
    inbox: Mutex<Inbox>,
}

#[derive(Debug, Default)]
struct Inbox {
    datagrams: VecDeque<(Vec<u8>, SocketAddr)>,
    waker: Option<Waker>,
}

impl LossyNetwork {
    pub(crate) fn new(seed: u64, delay: Duration, loss: f64) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            this: this.clone(),
            delay,
            state: Mutex::new(State {
                random: SmallRng::seed_from_u64(seed),
                loss,
                rate: None,
                free_at: HashMap::new(),
                sockets: HashMap::new(),
                dropped: 0,
            }),
        })
    }

    pub(crate) fn set_loss(&self, loss: f64) {
        self.state.lock().loss = loss;
    }

    pub(crate) fn set_rate(&self, bits_per_second: Option<f64>) {
        self.state.lock().rate = bits_per_second;
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.state.lock().dropped
    }

    /// When a datagram of `len` bytes from `from` arrives; `None` if it does not.
    fn carry(&self, from: SocketAddr, len: usize) -> Option<tokio::time::Instant> {
        const QUEUE: Duration = Duration::from_millis(200);
        let now = tokio::time::Instant::now();
        let mut state = self.state.lock();
        // Drawn for every datagram, so that the knobs do not shift each other.
        let lost = state.random.random::<f64>() < state.loss;
        let mut sent = now;
        if let Some(rate) = state.rate {
            let free = state.free_at.entry(from).or_insert(now);
            let start = (*free).max(now);
            if start - now > QUEUE {
                state.dropped += 1;
                return None;
            }
            *free = start + Duration::from_secs_f64((len + 28) as f64 * 8.0 / rate);
            sent = *free;
        }
        if lost {
            state.dropped += 1;
            return None;
        }
        Some(sent + self.delay)
    }
}

impl Network for LossyNetwork {
    fn wrap(&self, bound: std::net::UdpSocket) -> io::Result<Arc<dyn DatagramSocket>> {
        let network = self.this.upgrade().ok_or(io::ErrorKind::BrokenPipe)?;
        let address = bound.local_addr()?;
        let socket = Arc::new(LossySocket { network, bound, inbox: Mutex::default() });
        self.state.lock().sockets.insert(address, Arc::downgrade(&socket));
        Ok(socket)
    }
}

impl DatagramSocket for LossySocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.bound.local_addr()
    }

    fn poll_send(&self, _: &mut Context<'_>, datagram: &[u8], to: SocketAddr) -> Poll<io::Result<()>> {
        let from = self.bound.local_addr()?;
        if let Some(arrival) = self.network.carry(from, datagram.len()) {
            let target = self.network.state.lock().sockets.get(&to).cloned();
            let datagram = datagram.to_vec();
            tokio::spawn(async move {
                tokio::time::sleep_until(arrival).await;
                let Some(target) = target.and_then(|t| t.upgrade()) else { return };
                let mut inbox = target.inbox.lock();
                inbox.datagrams.push_back((datagram, from));
                if let Some(waker) = inbox.waker.take() {
                    waker.wake();
                }
            });
        }
        Poll::Ready(Ok(()))
    }

    fn poll_recv(&self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        let mut inbox = self.inbox.lock();
        let Some((datagram, from)) = inbox.datagrams.pop_front() else {
            inbox.waker = Some(cx.waker().clone());
            return Poll::Pending;
        };
        let len = datagram.len().min(buffer.len());
        buffer[..len].copy_from_slice(&datagram[..len]);
        Poll::Ready(Ok((len, from)))
    }
}

/// One end of a pair.
pub(crate) struct Peer {
    pub(crate) connection: Arc<dyn PeerConnection>,
    pub(crate) runtime: Arc<ConnectionRuntime>,
    gathered: watch::Receiver<bool>,
    state: watch::Receiver<RTCPeerConnectionState>,
    tracks: Option<mpsc::UnboundedReceiver<Arc<dyn TrackRemote>>>,
}

struct Handler {
    gathered: watch::Sender<bool>,
    state: watch::Sender<RTCPeerConnectionState>,
    tracks: mpsc::UnboundedSender<Arc<dyn TrackRemote>>,
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.gathered.send_replace(true);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.tracks.send(track);
    }
}

/// As the mesh sets them.
pub(crate) fn settings() -> SettingEngineBuilder {
    SettingEngineBuilder::new()
        .with_ice_connection_attempts(Some(Duration::from_millis(20)), Some(70))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .with_multicast_dns_mode(rtc::ice::mdns::MulticastDnsMode::Disabled)
}

impl Peer {
    pub(crate) async fn new(
        mesh: &MeshRuntime,
        configure: impl FnOnce(PeerConnectionBuilder<&'static str>) -> PeerConnectionBuilder<&'static str>,
    ) -> Self {
        let (gathered_tx, gathered) = watch::channel(false);
        let (state_tx, state) = watch::channel(RTCPeerConnectionState::New);
        let (tracks_tx, tracks) = mpsc::unbounded_channel();
        let runtime = mesh.for_connection();
        let builder = PeerConnectionBuilder::new()
            .with_setting_engine(settings().build())
            .with_handler(Arc::new(Handler { gathered: gathered_tx, state: state_tx, tracks: tracks_tx }))
            .with_runtime(runtime.clone())
            .with_udp_addrs(vec!["127.0.0.1:0"]);
        let connection = Arc::new(Box::pin(configure(builder).build()).await.unwrap());
        Self { connection, runtime, gathered, state, tracks: Some(tracks) }
    }

    /// The tracks that the other end adds. To be taken once.
    pub(crate) fn tracks(&mut self) -> mpsc::UnboundedReceiver<Arc<dyn TrackRemote>> {
        self.tracks.take().unwrap()
    }

    pub(crate) async fn connected(&mut self) {
        self.state.wait_for(|s| *s == RTCPeerConnectionState::Connected).await.unwrap();
    }
}

/// Exchanges descriptions with all candidates in them, losing nothing and taking no time.
pub(crate) async fn negotiate(offerer: &mut Peer, answerer: &mut Peer) {
    let offer = offerer.connection.create_offer(None).await.unwrap();
    offerer.connection.set_local_description(offer).await.unwrap();
    offerer.gathered.wait_for(|done| *done).await.unwrap();
    let offer = offerer.connection.local_description().await.unwrap();
    answerer.connection.set_remote_description(offer).await.unwrap();
    let answer = answerer.connection.create_answer(None).await.unwrap();
    answerer.connection.set_local_description(answer).await.unwrap();
    answerer.gathered.wait_for(|done| *done).await.unwrap();
    let answer = answerer.connection.local_description().await.unwrap();
    offerer.connection.set_remote_description(answer).await.unwrap();
}

/// Runs a future on a paused clock, on a thread of its own: the library's selects draw from a per-thread generator.
pub(crate) fn in_virtual_time<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let future = async { tokio::time::timeout(Duration::from_secs(3_600), future).await.expect("an hour is enough") };
    std::thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap().block_on(future)
    })
    .join()
    .unwrap()
}
