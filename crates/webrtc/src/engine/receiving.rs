//! The receiving side: an inbox and a playout for each connected peer, and for each named stream that it sends.

use std::{
    collections::{HashMap, VecDeque, hash_map::Entry},
    sync::{
        Arc, Weak,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_jitter::{PlayoutConfig, PlayoutStats};
use remotemedia_media::{MediaKind, PeerId, RtpTimestamp, StreamId};
use remotemedia_mesh::{IncomingTrack, Mesh};
use tokio::sync::{Notify, broadcast, mpsc, watch};

use super::{
    EngineShared,
    audio_sink::AudioSink,
    inbox::Inbox,
    origin::{Ended, Origin},
    video_sink,
};
use crate::{config::Settings, events::TransportEvent};

/// How many inboxes of peers that left are kept for readers that have not come to the end yet. A reader that never comes
/// back would keep its inbox for ever; the oldest goes first.
const MAX_LEFT: usize = 16;

/// How long the news of a connection may take from the mesh to here.
const NEWS: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Receiving {
    shared: Arc<EngineShared>,
    peers: Mutex<HashMap<PeerId, PeerReceiver>>,
    /// Told of each peer that is added.
    added: Notify,
    /// Inboxes of peers that left while somebody pulled: readers take what is in them, and see the end once.
    left: Mutex<VecDeque<(PeerId, Arc<Inbox>)>>,
    playout: watch::Sender<PlayoutConfig>,
    audio_enabled: bool,
    mesh: Mesh,
    events: broadcast::Sender<TransportEvent>,
    ended: mpsc::UnboundedSender<Ended>,
    streams_seen: AtomicU64,
}

#[derive(Debug)]
struct PeerReceiver {
    inbox: Arc<Inbox>,
    audio: Option<AudioSink>,
    named: HashMap<StreamId, NamedStream>,
}

/// What a peer sends under one name.
#[derive(Debug)]
struct NamedStream {
    inbox: Arc<Inbox>,
    audio: Option<(u64, AudioSink)>,
    video: Option<u64>,
}

impl Receiving {
    pub(super) fn new(
        shared: Arc<EngineShared>,
        mesh: Mesh,
        settings: &Settings,
        events: broadcast::Sender<TransportEvent>,
        ended: mpsc::UnboundedSender<Ended>,
    ) -> Self {
        Self {
            shared,
            peers: Mutex::new(HashMap::new()),
            added: Notify::new(),
            left: Mutex::new(VecDeque::new()),
            playout: watch::Sender::new(settings.playout),
            audio_enabled: settings.audio.is_some(),
            mesh,
            events,
            ended,
            streams_seen: AtomicU64::new(0),
        }
    }

    /// The inbox of a connected peer, or of one that left while somebody pulled from it, until that reader has seen the
    /// end.
    pub(super) fn inbox(&self, peer: &PeerId) -> Option<Arc<Inbox>> {
        self.live_inbox(peer).or_else(|| {
            let mut left = self.left.lock();
            left.retain(|(_, inbox)| !inbox.is_over());
            left.iter().find(|(id, _)| id == peer).map(|(_, inbox)| Arc::clone(inbox))
        })
    }

    /// The same, which waits for the inbox of a peer that the mesh lists already: the news of its connection is on the way.
    pub(super) async fn inbox_soon(&self, peer: &PeerId) -> Option<Arc<Inbox>> {
        let learning = async {
            loop {
                // Registered before the look, so that what is added in between is not missed.
                let added = self.added.notified();
                tokio::pin!(added);
                added.as_mut().enable();
                if let Some(inbox) = self.inbox(peer) {
                    return Some(inbox);
                }
                if !self.mesh.peers().iter().any(|connected| connected.peer == *peer) {
                    return None;
                }
                added.await;
            }
        };
        tokio::time::timeout(NEWS, learning).await.ok().flatten()
    }

    /// The inbox of a connected peer.
    pub(super) fn live_inbox(&self, peer: &PeerId) -> Option<Arc<Inbox>> {
        self.peers.lock().get(peer).map(|p| Arc::clone(&p.inbox))
    }

    /// As [`super::Engine::stream_inbox`].
    pub(super) fn stream_inbox(
        &self,
        peer: &PeerId,
        kind: MediaKind,
        stream: &StreamId,
    ) -> Option<Result<Arc<Inbox>, Vec<StreamId>>> {
        let peers = self.peers.lock();
        let receiver = peers.get(peer)?;
        let named = receiver.named.get(stream).filter(|named| named.has(kind));
        Some(named.map(|named| Arc::clone(&named.inbox)).ok_or_else(|| receiver.names(kind)))
    }

    /// The named streams that `peer` sends.
    pub(super) fn streams(&self, peer: &PeerId) -> Option<Vec<(MediaKind, StreamId)>> {
        let peers = self.peers.lock();
        let receiver = peers.get(peer)?;
        let of = |kind| receiver.names(kind).into_iter().map(move |name| (kind, name));
        Some(of(MediaKind::Audio).chain(of(MediaKind::Video)).collect())
    }

    pub(super) fn playout_stats(&self, peer: &PeerId) -> Option<PlayoutStats> {
        self.peers.lock().get(peer)?.audio.as_ref().map(AudioSink::stats)
    }

    pub(super) fn change_playout(&self, change: impl FnOnce(&mut PlayoutConfig)) {
        self.playout.send_modify(change);
    }

    pub(super) fn add_peer(&self, peer: &PeerId) {
        self.peers.lock().entry(peer.clone()).or_insert_with(|| {
            let inbox = Arc::new(Inbox::new());
            let audio = self.audio_enabled.then(|| self.play(self.origin(peer, None, MediaKind::Audio), &inbox));
            PeerReceiver { inbox, audio, named: HashMap::new() }
        });
        self.added.notify_waiters();
    }

    pub(super) fn remove_peer(&self, peer: &PeerId) {
        // Held to the end, so that a reader finds the inbox in one place or the other.
        let mut peers = self.peers.lock();
        if let Some(PeerReceiver { inbox, named, .. }) = peers.remove(peer) {
            for stream in named.values() {
                stream.inbox.close();
            }
            inbox.close();
            let mut left = self.left.lock();
            left.retain(|(id, inbox)| id != peer && !inbox.is_over());
            if !inbox.is_over() {
                left.push_back((peer.clone(), inbox));
            }
            if left.len() > MAX_LEFT {
                left.pop_front();
            }
        }
    }

    pub(super) fn clear(&self) {
        for (_, receiver) in self.peers.lock().drain() {
            for stream in receiver.named.values() {
                stream.inbox.close();
            }
            receiver.inbox.close();
        }
        self.left.lock().clear();
        self.shared.roster.clear();
    }

    /// Tells `peer` when its audio was played out up to `timestamp`.
    pub(super) fn tell_when_played(&self, peer: &PeerId, timestamp: RtpTimestamp) {
        if let Some(audio) = self.peers.lock().get(peer).and_then(|receiver| receiver.audio.as_ref()) {
            audio.tell_when_played(timestamp);
        }
    }

    /// A peer began to send: reads its track until it ends.
    pub(super) fn accept(&self, track: IncomingTrack) {
        let (peer, kind) = (track.peer().clone(), track.kind());
        // A track may come in before its peer is announced as ready.
        self.add_peer(&peer);
        let mut peers = self.peers.lock();
        let Some(receiver) = peers.get_mut(&peer) else { return };
        let executor = self.shared.executor.clone();
        let Some(name) = track.stream().cloned() else {
            match (kind, &receiver.audio) {
                (MediaKind::Audio, Some(audio)) => audio.attach(track),
                (MediaKind::Audio, None) => {}
                (MediaKind::Video, _) => {
                    let origin = self.origin(&peer, None, kind);
                    tokio::spawn(video_sink::run(track, origin, Arc::clone(&receiver.inbox), executor));
                }
            }
            return;
        };
        if kind == MediaKind::Audio && !self.audio_enabled {
            return;
        }
        let origin = self.origin(&peer, Some(name.clone()), kind);
        let PeerReceiver { inbox, named, .. } = receiver;
        let stream = match named.entry(name.clone()) {
            Entry::Vacant(place) => place.insert(NamedStream::new(inbox)),
            Entry::Occupied(entry) => {
                let stream = entry.into_mut();
                if stream.has(kind) {
                    // The end of the one before has not been noticed yet, and will be passed over when it is.
                    let ended = TransportEvent::StreamEnded { peer: peer.clone(), kind, stream: name.clone() };
                    let _ = self.events.send(ended);
                }
                // There may have been one of this kind, whose readers are not those of the new one.
                stream.inbox = Arc::new(stream.inbox.replaced(kind, inbox));
                stream
            }
        };
        match kind {
            MediaKind::Audio => {
                let number = origin.number;
                let sink = self.play(origin, &stream.inbox);
                sink.attach(track);
                stream.audio = Some((number, sink));
            }
            MediaKind::Video => {
                stream.video = Some(origin.number);
                tokio::spawn(video_sink::run(track, origin, Arc::clone(&stream.inbox), executor));
            }
        }
        // Nobody may be listening.
        let _ = self.events.send(TransportEvent::StreamAdded { peer, kind, stream: name });
    }

    fn play(&self, origin: Origin, inbox: &Arc<Inbox>) -> AudioSink {
        let (executor, mesh) = (self.shared.executor.clone(), self.mesh.clone());
        AudioSink::start(origin, Arc::clone(inbox), executor, self.playout.subscribe(), mesh)
    }

    fn origin(&self, peer: &PeerId, stream: Option<StreamId>, kind: MediaKind) -> Origin {
        let number = self.streams_seen.fetch_add(1, Ordering::Relaxed);
        Origin { peer: peer.clone(), stream, kind, ended: self.ended.clone(), number }
    }

    /// Forgets a named stream that has ended: whoever reads it sees the end.
    fn on_ended(&self, Ended { peer, stream, kind, number }: Ended) {
        let mut peers = self.peers.lock();
        let named = peers.get_mut(&peer).map(|receiver| &mut receiver.named);
        if let Some(named) = named
            && let Some(entry) = named.get_mut(&stream)
        {
            match kind {
                MediaKind::Audio if entry.audio.as_ref().is_some_and(|(n, _)| *n == number) => {
                    entry.audio = None;
                    entry.inbox.audio.close();
                }
                MediaKind::Video if entry.video == Some(number) => {
                    entry.video = None;
                    entry.inbox.video.close();
                }
                _ => return,
            }
            if entry.audio.is_none() && entry.video.is_none() {
                named.remove(&stream);
            }
            // Nobody may be listening.
            let _ = self.events.send(TransportEvent::StreamEnded { peer, kind, stream });
        }
    }
}

impl PeerReceiver {
    fn names(&self, kind: MediaKind) -> Vec<StreamId> {
        let mut names: Vec<StreamId> =
            self.named.iter().filter(|(_, stream)| stream.has(kind)).map(|(name, _)| name.clone()).collect();
        names.sort_unstable_by(|a, b| a.as_str().cmp(b.as_str()));
        names
    }
}

impl NamedStream {
    fn new(peer: &Inbox) -> Self {
        Self { inbox: Arc::new(Inbox::of_stream(peer)), audio: None, video: None }
    }

    fn has(&self, kind: MediaKind) -> bool {
        match kind {
            MediaKind::Audio => self.audio.is_some(),
            MediaKind::Video => self.video.is_some(),
        }
    }
}

/// Forgets named streams when they end.
pub(super) async fn follow_ends(mut ends: mpsc::UnboundedReceiver<Ended>, receiving: Weak<Receiving>) {
    while let Some(ended) = ends.recv().await {
        match receiving.upgrade() {
            Some(receiving) => receiving.on_ended(ended),
            None => return,
        }
    }
}
