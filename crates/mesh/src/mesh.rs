use std::{
    collections::{BTreeSet, HashMap, VecDeque, hash_map::Entry},
    sync::{
        Arc,
        atomic::{
            AtomicBool,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_media::{Codec, MediaKind, PeerId, RtpTimestamp, StreamId};
use remotemedia_rtp::OutgoingPacket;
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    BitrateBounds, ConnectionReport, DisconnectReason, Feedback, IceServer, IncomingTrack, MeshConfig, MeshError,
    MeshEvent, MeshEvents, Message, Network, PeerStatus, Signaler,
    connection::{self, Command, EarlyCandidates, Gone, OutMessage, PathState, Peer, PeerState, Start},
    feedback_queue::FeedbackQueue,
    inbox::{Inbox, MessageClaim},
    manager,
    outgoing::Pushed,
    stream_key::StreamKey,
    wire::MeshRuntime,
};

/// Connections to the peers of a room, and what flows over them.
///
/// A cheap handle: clones are the same mesh. Dropping the last one ends everything within a second; [`Mesh::shutdown`]
/// does so in order and waits for it.
#[derive(Clone)]
pub struct Mesh {
    shared: Arc<Shared>,
    // Only handles hold it: tasks must not keep the mesh alive.
    _guard: Arc<Guard>,
}

struct Guard(CancellationToken);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

impl std::fmt::Debug for Mesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let peers = self.shared.peers.lock().keys().cloned().collect::<Vec<_>>();
        f.debug_struct("Mesh").field("local_id", &self.shared.config.local_id).field("peers", &peers).finish()
    }
}

impl Mesh {
    /// A mesh over the system's sockets. Starts nothing.
    ///
    /// # Errors
    ///
    /// [`MeshError::InvalidConfig`].
    pub fn new(config: MeshConfig, signaler: Arc<dyn Signaler>) -> Result<Self, MeshError> {
        Self::build(config, signaler, None)
    }

    /// A mesh over an emulated network.
    ///
    /// # Errors
    ///
    /// [`MeshError::InvalidConfig`].
    pub fn with_network(
        config: MeshConfig,
        signaler: Arc<dyn Signaler>,
        network: Arc<dyn Network>,
    ) -> Result<Self, MeshError> {
        Self::build(config, signaler, Some(network))
    }

    fn build(
        config: MeshConfig,
        signaler: Arc<dyn Signaler>,
        network: Option<Arc<dyn Network>>,
    ) -> Result<Self, MeshError> {
        config.validate()?;
        let cancel = CancellationToken::new();
        let shared = Shared {
            bitrate: Mutex::new(config.bitrate),
            ice_servers: Mutex::new(config.ice_servers.clone()),
            config: Arc::new(config),
            signaler,
            runtime: MeshRuntime::new(network),
            cancel: cancel.clone(),
            tasks: TaskTracker::new(),
            started: AtomicBool::new(false),
            peers: Mutex::default(),
            available: Mutex::default(),
            reports: Mutex::default(),
            events: broadcast::Sender::new(MeshEvents::DEPTH),
            tracks: Lane::new(),
            feedback: FeedbackQueue::default(),
            inbox: Inbox::new(),
        };
        Ok(Self { shared: Arc::new(shared), _guard: Arc::new(Guard(cancel)) })
    }

    /// Listens to signaling from now on, and accepts the offers of up to `max_peers` peers. Idempotent.
    pub async fn start(&self) {
        if !self.shared.cancel.is_cancelled() && !self.shared.started.swap(true, SeqCst) {
            self.shared.tasks.spawn(manager::run(self.shared.clone()));
        }
    }

    /// Tells all peers, closes everything and waits for it, 2 s at most. Idempotent.
    pub async fn shutdown(&self) {
        self.shared.cancel.cancel();
        self.shared.tasks.close();
        if timeout(Duration::from_secs(2), self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not close in time");
            self.shared.runtime.abort();
        }
    }

    /// Connects to a peer, and returns when media and messages can flow. All callers for one peer share one attempt, also
    /// with an offer of that peer; when the last of them gives up waiting, so does the attempt.
    ///
    /// # Errors
    ///
    /// [`MeshError::ConnectFailed`] with a report, [`MeshError::TooManyPeers`], [`MeshError::OwnId`],
    /// [`MeshError::NotStarted`], [`MeshError::ShutDown`], [`MeshError::Disconnected`] if it was ended meanwhile.
    pub async fn connect(&self, peer: &PeerId) -> Result<(), MeshError> {
        self.shared.check_running()?;
        if *peer == self.shared.config.local_id {
            return Err(MeshError::OwnId(peer.clone()));
        }
        loop {
            let (connection, waiter) = self.shared.connection_to(peer)?;
            let mut state = connection.state.subscribe();
            let ending = matches!(*state.borrow(), PeerState::Closing | PeerState::Gone(_));
            let settled = state.wait_for(|s| matches!(s, PeerState::Connected | PeerState::Gone(_))).await;
            let settled = settled.map(|s| s.clone()).unwrap_or(PeerState::Gone(Gone::Ended));
            drop(waiter);
            if ending && !self.shared.cancel.is_cancelled() {
                // That was the connection before this one.
                continue;
            }
            return match settled {
                PeerState::Gone(Gone::Failed(report)) => {
                    let report = Box::new(ConnectionReport::clone(&report));
                    Err(MeshError::ConnectFailed { peer: peer.clone(), report })
                }
                PeerState::Gone(Gone::NotReachable) => {
                    let source = crate::SignalingError::PeerNotFound(peer.clone());
                    Err(MeshError::Signaling { peer: peer.clone(), source })
                }
                PeerState::Gone(Gone::Ended) if self.shared.cancel.is_cancelled() => Err(MeshError::ShutDown),
                PeerState::Gone(Gone::Ended) => Err(MeshError::Disconnected(peer.clone())),
                _ => Ok(()),
            };
        }
    }

    /// Ends the connection to a peer, or the attempt to make one. Nothing to do is a success.
    ///
    /// # Errors
    ///
    /// [`MeshError::NotStarted`], [`MeshError::ShutDown`].
    pub async fn disconnect(&self, peer: &PeerId) -> Result<(), MeshError> {
        self.shared.check_running()?;
        let connection = self.shared.peers.lock().get(peer).cloned();
        if let Some(connection) = connection {
            connection.command(Command::Disconnect(DisconnectReason::UserRequested));
            let mut state = connection.state.subscribe();
            // Fails only if the connection is gone already.
            let _ = state.wait_for(|s| matches!(s, PeerState::Gone(_))).await;
        }
        Ok(())
    }

    /// The connected peers.
    pub fn peers(&self) -> Vec<PeerStatus> {
        let peers: Vec<Arc<Peer>> = self.shared.peers.lock().values().cloned().collect();
        let mut list: Vec<_> = peers.iter().filter(|p| p.is_connected()).map(|p| p.status()).collect();
        list.sort_by(|a, b| a.peer.cmp(&b.peer));
        list
    }

    /// The peers that signaling announced, connected or not.
    pub fn available_peers(&self) -> Vec<PeerId> {
        self.shared.available.lock().iter().cloned().collect()
    }

    /// A new stream of what happens from now on.
    pub fn events(&self) -> MeshEvents {
        MeshEvents::new(self.shared.events.subscribe())
    }

    /// The next track that a peer sends; `None` once the mesh is shut down. Each track is handed out once. Cancel-safe.
    pub async fn next_track(&self) -> Option<IncomingTrack> {
        self.shared.tracks.next(&self.shared.cancel).await
    }

    /// The next thing that an engine that encodes must know; `None` once the mesh is shut down. Cancel-safe.
    pub async fn next_feedback(&self) -> Option<Feedback> {
        self.shared.feedback.next(&self.shared.cancel).await
    }

    /// Sends the packets of one video frame, or some of audio, to a peer. Never waits. Sequence numbers, SSRC, payload
    /// type and the offset of timestamps are written here, per peer.
    ///
    /// Video that waits while the connection takes nothing for more than 30 ms is dropped, and so is what follows up to the next
    /// keyframe, which [`Feedback::VideoGivenUp`] asks for.
    ///
    /// # Errors
    ///
    /// [`MeshError::NotConnected`], [`MeshError::CodecNotNegotiated`] with the codecs that the peer takes.
    pub fn send_media(
        &self,
        peer: &PeerId,
        codec: Codec,
        packets: &[OutgoingPacket],
        keyframe: bool,
    ) -> Result<(), MeshError> {
        self.send(peer, None, codec, packets, keyframe)
    }

    /// The same for a stream that was opened with [`Mesh::open_stream`] and is said to be ready by
    /// [`Feedback::StreamReady`].
    ///
    /// # Errors
    ///
    /// As [`Mesh::send_media`]; [`MeshError::CodecNotNegotiated`] with no codec if the stream is not ready.
    pub fn send_stream(
        &self,
        peer: &PeerId,
        stream: &StreamId,
        codec: Codec,
        packets: &[OutgoingPacket],
        keyframe: bool,
    ) -> Result<(), MeshError> {
        self.send(peer, Some(stream), codec, packets, keyframe)
    }

    /// Sends a peer one more stream of that kind, beside the main one: at most four of a kind. Returns at once; the connection
    /// is negotiated anew, and [`Feedback::StreamReady`] tells what came of it. A stream that is open stays as it is.
    ///
    /// # Errors
    ///
    /// [`MeshError::NotConnected`], [`MeshError::TooManyStreams`].
    pub fn open_stream(&self, peer: &PeerId, kind: MediaKind, stream: &StreamId) -> Result<(), MeshError> {
        let connection = self.connected(peer)?;
        let mut opened = connection.opened.lock();
        let key = StreamKey::named(kind, stream.clone());
        if opened.contains(&key) {
            return Ok(());
        }
        if opened.iter().filter(|other| other.kind == kind).count() >= MAX_NAMED_STREAMS {
            return Err(MeshError::TooManyStreams { peer: peer.clone(), kind, limit: MAX_NAMED_STREAMS });
        }
        if connection.try_command(Command::OpenStream(key.clone())) {
            opened.insert(key);
        }
        Ok(())
    }

    /// Sends a peer a stream no longer. One that is not open stays so.
    ///
    /// # Errors
    ///
    /// [`MeshError::NotConnected`].
    pub fn close_stream(&self, peer: &PeerId, kind: MediaKind, stream: &StreamId) -> Result<(), MeshError> {
        let connection = self.connected(peer)?;
        let key = StreamKey::named(kind, stream.clone());
        if connection.opened.lock().remove(&key) {
            connection.command(Command::CloseStream(key));
        }
        Ok(())
    }

    /// Whether a peer is sent that stream, or asked to take it: it was opened, and neither closed nor refused since.
    pub fn is_stream_open(&self, peer: &PeerId, kind: MediaKind, stream: &StreamId) -> bool {
        let key = StreamKey::named(kind, stream.clone());
        self.connected(peer).is_ok_and(|connection| connection.opened.lock().contains(&key))
    }

    fn connected(&self, peer: &PeerId) -> Result<Arc<Peer>, MeshError> {
        let connection = self.shared.peers.lock().get(peer).cloned();
        connection.filter(|c| c.is_connected()).ok_or_else(|| MeshError::NotConnected(peer.clone()))
    }

    fn send(
        &self,
        peer: &PeerId,
        stream: Option<&StreamId>,
        codec: Codec,
        packets: &[OutgoingPacket],
        keyframe: bool,
    ) -> Result<(), MeshError> {
        let connection = self.connected(peer)?;
        match connection.media.push(Instant::now(), stream, codec, packets, keyframe) {
            Pushed::Queued => Ok(()),
            Pushed::Switched => {
                let key = StreamKey { kind: codec.kind(), stream: stream.cloned() };
                connection.command(Command::UseCodec(key, codec));
                Ok(())
            }
            Pushed::AwaitingKeyframe => {
                self.shared.feedback(Feedback::VideoGivenUp { peer: peer.clone(), stream: stream.cloned() });
                Ok(())
            }
            Pushed::NotNegotiated(accepted) => {
                Err(MeshError::CodecNotNegotiated { peer: peer.clone(), codec, accepted })
            }
        }
    }

    /// Sends a message and returns when the channel has taken all of it. Waits while the peer does not read. Giving up
    /// waiting sends the message whole or not at all.
    ///
    /// # Errors
    ///
    /// [`MeshError::NotConnected`], [`MeshError::NoDataChannel`], [`MeshError::MessageTooLarge`] with the limit,
    /// [`MeshError::Disconnected`].
    pub async fn send_message(&self, peer: &PeerId, message: Message) -> Result<(), MeshError> {
        let connection = self.connected(peer)?;
        let mut paths = connection.path.subscribe();
        let opened = async {
            let path = paths.wait_for(|path| !matches!(path, PathState::Opening)).await;
            path.map_or(PathState::Missing, |path| path.clone())
        };
        let path = timeout(self.shared.config.connect_timeout, opened).await.unwrap_or(PathState::Missing);
        let PathState::Open(path) = path else {
            return Err(if connection.is_connected() {
                MeshError::NoDataChannel(peer.clone())
            } else {
                MeshError::Disconnected(peer.clone())
            });
        };
        let size = message.len();
        if size > path.limit {
            return Err(MeshError::MessageTooLarge { peer: peer.clone(), size, limit: path.limit });
        }
        let (done, outcome) = oneshot::channel();
        let disconnected = || MeshError::Disconnected(peer.clone());
        path.queue.send(OutMessage { message, done }).await.map_err(|_| disconnected())?;
        outcome.await.map_err(|_| disconnected())?.map_err(|_| disconnected())
    }

    /// The next message of any peer whose messages nobody has claimed; `None` once the mesh is shut down and all are read.
    /// Nothing is lost: as long as
    /// nobody reads, the peers' channels fill up and they have to wait. Cancel-safe.
    pub async fn recv_message(&self) -> Option<(PeerId, Message)> {
        self.shared.inbox.recv(&self.shared.cancel).await
    }

    /// Takes the messages of the peers that `wants` names away from [`Mesh::recv_message`], for as long as the claim is held.
    /// Of several claims that want a peer, each gets every message.
    pub fn claim_messages(&self, wants: impl Fn(&PeerId) -> bool + Send + Sync + 'static) -> MessageClaim {
        self.shared.inbox.claim(wants)
    }

    /// Looks for a new network path to a peer while media flows on over the old one.
    ///
    /// # Errors
    ///
    /// [`MeshError::NotConnected`].
    pub async fn restart_ice(&self, peer: &PeerId) -> Result<(), MeshError> {
        let connection = self.shared.peers.lock().get(peer).cloned();
        let connection = connection.ok_or_else(|| MeshError::NotConnected(peer.clone()))?;
        connection.command(Command::RestartIce);
        Ok(())
    }

    /// Asks a peer to say when our audio was played out up to `timestamp`, or as far as it ever will be: the answer is
    /// [`Feedback::Played`]. Answers whether the peer can be asked: only one of this library can, and it answers if somebody
    /// there listens.
    pub fn ask_played(&self, peer: &PeerId, timestamp: RtpTimestamp) -> bool {
        let connection = self.shared.peers.lock().get(peer).cloned();
        let connection = connection.filter(|connection| connection.has_control.load(Relaxed));
        if let Some(connection) = &connection {
            connection.command(Command::AskPlayed(timestamp));
        }
        connection.is_some()
    }

    /// Answers a [`Feedback::PlayoutAsked`].
    pub fn tell_played(&self, peer: &PeerId, timestamp: RtpTimestamp) {
        let connection = self.shared.peers.lock().get(peer).cloned();
        if let Some(connection) = connection {
            connection.command(Command::TellPlayed(timestamp));
        }
    }

    /// Keeps the bandwidth estimate of each connection within new bounds from now on. `start` holds for connections made
    /// later.
    ///
    /// # Errors
    ///
    /// [`MeshError::InvalidConfig`] if they are out of range or order.
    pub fn set_bitrate_bounds(&self, bounds: BitrateBounds) -> Result<(), MeshError> {
        bounds.validate()?;
        *self.shared.bitrate.lock() = bounds;
        let peers: Vec<Arc<Peer>> = self.shared.peers.lock().values().cloned().collect();
        for peer in peers {
            peer.command(Command::BoundsChanged);
        }
        Ok(())
    }

    /// The bytes that the system granted the receive buffer of the last socket; `None` before the first, or on an emulated
    /// network. 4 MB are asked for: with less, fast data channels and bursts of video lose packets. Linux caps it at
    /// `net.core.rmem_max`, and counts double.
    pub fn receive_buffer(&self) -> Option<usize> {
        self.shared.runtime.socket_buffers().map(|buffers| buffers.receive)
    }

    /// How far the last failed attempt to connect to a peer came; `None` if none failed, or if it was long ago: 256 reports
    /// are kept.
    pub fn report(&self, peer: &PeerId) -> Option<ConnectionReport> {
        self.shared.reports.lock().iter().rev().find(|(id, _)| id == peer).map(|(_, report)| report.clone())
    }
}

/// What handles and tasks of a mesh share. Holds no socket.
pub(crate) struct Shared {
    pub(crate) config: Arc<MeshConfig>,
    pub(crate) signaler: Arc<dyn Signaler>,
    pub(crate) runtime: MeshRuntime,
    pub(crate) cancel: CancellationToken,
    pub(crate) tasks: TaskTracker,
    started: AtomicBool,
    pub(crate) peers: Mutex<HashMap<PeerId, Arc<Peer>>>,
    pub(crate) available: Mutex<BTreeSet<PeerId>>,
    reports: Mutex<VecDeque<(PeerId, ConnectionReport)>>,
    pub(crate) bitrate: Mutex<BitrateBounds>,
    /// Those that the next connection asks.
    pub(crate) ice_servers: Mutex<Vec<IceServer>>,
    events: broadcast::Sender<MeshEvent>,
    tracks: Lane<IncomingTrack>,
    feedback: FeedbackQueue,
    pub(crate) inbox: Inbox,
}

/// Streams of a kind that a peer is sent, or that are taken from it, beside the main one.
pub(crate) const MAX_NAMED_STREAMS: usize = 4;

/// Reports of failed attempts that are kept.
const MAX_REPORTS: usize = 256;

impl Shared {
    fn check_running(&self) -> Result<(), MeshError> {
        if self.cancel.is_cancelled() {
            Err(MeshError::ShutDown)
        } else if self.started.load(SeqCst) {
            Ok(())
        } else {
            Err(MeshError::NotStarted)
        }
    }

    /// The connection to a peer, begun if there is none.
    fn connection_to(self: &Arc<Self>, id: &PeerId) -> Result<(Arc<Peer>, connection::Waiter), MeshError> {
        let mut peers = self.peers.lock();
        let full = peers.len() >= self.config.max_peers;
        let slot = match peers.entry(id.clone()) {
            Entry::Occupied(entry) => {
                let peer = entry.get().clone();
                return Ok((peer.clone(), peer.wait()));
            }
            Entry::Vacant(slot) => slot,
        };
        if full {
            return Err(MeshError::TooManyPeers { limit: self.config.max_peers });
        }
        let (peer, inputs) = Peer::new(id.clone(), EarlyCandidates::default(), Start::Offer);
        slot.insert(peer.clone());
        let waiter = peer.wait();
        connection::spawn(self, peer.clone(), inputs);
        Ok((peer, waiter))
    }

    pub(crate) fn remove(&self, peer: &Arc<Peer>) {
        let mut peers = self.peers.lock();
        if peers.get(&peer.id).is_some_and(|current| Arc::ptr_eq(current, peer)) {
            peers.remove(&peer.id);
        }
    }

    pub(crate) fn event(&self, event: MeshEvent) {
        // Without a listener there is nothing to tell.
        let _ = self.events.send(event);
    }

    pub(crate) fn feedback(&self, feedback: Feedback) {
        self.feedback.push(feedback);
    }

    pub(crate) fn track(&self, track: IncomingTrack) {
        self.tracks.push(track);
    }

    pub(crate) fn keep_report(&self, peer: PeerId, report: ConnectionReport) {
        let mut reports = self.reports.lock();
        reports.retain(|(id, _)| *id != peer);
        if reports.len() >= MAX_REPORTS {
            reports.pop_front();
        }
        reports.push_back((peer, report));
    }
}

/// A queue of tracks to the application: bounded, because nobody may take them.
struct Lane<T> {
    sender: mpsc::Sender<T>,
    receiver: tokio::sync::Mutex<mpsc::Receiver<T>>,
}

impl<T> Lane<T> {
    const DEPTH: usize = 1_024;

    fn new() -> Self {
        let (sender, receiver) = mpsc::channel(Self::DEPTH);
        Self { sender, receiver: tokio::sync::Mutex::new(receiver) }
    }

    fn push(&self, item: T) {
        if self.sender.try_send(item).is_err() {
            tracing::warn!("nobody takes the tracks of the mesh: one was dropped");
        }
    }

    async fn next(&self, cancel: &CancellationToken) -> Option<T> {
        let mut receiver = self.receiver.lock().await;
        tokio::select! {
            biased;
            item = receiver.recv() => item,
            () = cancel.cancelled() => None,
        }
    }
}
