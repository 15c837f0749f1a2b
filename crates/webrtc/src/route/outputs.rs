//! What comes out of a pipeline, on its way to peers.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_media::{AudioFrame, MediaKind, PeerId, VideoFrame};
use remotemedia_mesh::{Mesh, Message};
use remotemedia_runtime_core::{data::RuntimeData, transport::TransportData};
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::{Destination, Route, Target, splice::Splices};
use crate::{
    engine::{Audience, Sending},
    events::TransportEvent,
    message::DataChannelMessage,
};

/// Audio frames and messages that wait for their peers.
const QUEUE: usize = 64;

/// How long a message waits for a peer that does not read, unless only that peer's own session waits with it.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(5);

/// Sends each kind of data to each target on its own, so that audio that is ahead of real time holds up no picture, and
/// none of several peers the others. Dropping it ends it.
pub(super) struct Outputs {
    to: Receivers,
    route: Arc<Route>,
    /// Whose session it is, if it is one peer's.
    sender: Option<PeerId>,
    events: tokio::sync::broadcast::Sender<TransportEvent>,
    lanes: Mutex<HashMap<Target, Lane>>,
    splices: Mutex<Splices>,
    dropped: Arc<AtomicU64>,
}

#[derive(Clone)]
struct Receivers {
    sending: Sending,
    mesh: Mesh,
    /// Whether a message waits for its peer for as long as it takes.
    patient: bool,
}

/// The way to one target.
#[derive(Clone)]
struct Lane {
    audio: mpsc::Sender<Arc<AudioFrame>>,
    messages: mpsc::Sender<Message>,
    _tasks: Arc<JoinSet<()>>,
}

impl Outputs {
    pub(super) fn new(
        sending: Sending,
        mesh: Mesh,
        route: Arc<Route>,
        sender: Option<PeerId>,
        events: tokio::sync::broadcast::Sender<TransportEvent>,
        dropped: Arc<AtomicU64>,
    ) -> Self {
        let patient = sender.is_some() && route.to == Destination::Sender;
        let to = Receivers { sending, mesh, patient };
        Self { to, route, sender, events, lanes: Mutex::default(), splices: Mutex::default(), dropped }
    }

    /// Sends `output`. A session of one peer waits for room; in a shared one, what finds no room is dropped, since
    /// nobody is to wait for somebody else. What cannot be sent to anybody is left out.
    pub(super) async fn send(&self, output: TransportData) {
        let peer = self.sender.clone().or_else(|| PeerId::new(output.get_metadata("peer")?).ok());
        if let RuntimeData::Control(message) = output.data {
            // Nobody may be listening.
            self.events.send(TransportEvent::PipelineControl { peer, message }).ok();
            return;
        }
        let target = self.target(output.port.as_deref(), peer.as_ref());
        self.send_to(&target, output.data).await;
    }

    /// Sends what `peer` sent as it came to everybody who gets something from one of `outputs`, those of the pipeline. A shared
    /// session gives nobody back what they sent: a participant of a conference would hear themselves.
    pub(super) async fn bypass(&self, outputs: impl Iterator<Item = &str>, peer: &PeerId, data: RuntimeData) {
        let (mut all, mut peers) = (false, BTreeSet::new());
        for port in outputs {
            match self.target(Some(port), Some(peer)) {
                Target::All => all = true,
                Target::Peers(some) => peers.extend(some),
            }
        }
        let is_shared = self.sender.is_none();
        if is_shared && all {
            peers.extend(self.to.mesh.peers().into_iter().map(|status| status.peer));
        }
        if is_shared {
            peers.remove(peer);
        }
        let target = if all && !is_shared { Target::All } else { Target::Peers(peers) };
        self.send_to(&target, data).await;
    }

    async fn send_to(&self, target: &Target, data: RuntimeData) {
        match data {
            RuntimeData::Audio { frame } => {
                let frame = self.splices.lock().pass(target, frame);
                if let Some(lane) = self.lane(target) {
                    self.put(&lane.audio, frame).await;
                }
            }
            RuntimeData::Video { frame } => self.to.send_video(target, &frame),
            RuntimeData::Text(payload) => self.message(target, DataChannelMessage::Text { payload }.to_wire()).await,
            RuntimeData::Json(payload) => self.message(target, DataChannelMessage::Json { payload }.to_wire()).await,
            RuntimeData::Binary(bytes) => self.message(target, Message::Binary(bytes)).await,
            other => tracing::debug!(kind = %other.kind(), "a pipeline made something that no peer takes"),
        }
    }

    /// Another pipeline takes over: what it sends begins where the sound that was sent before left off.
    pub(super) fn splice(&self) {
        self.splices.lock().begin();
    }

    /// Waits until everything that was taken is on its way, at most for `patience`.
    pub(super) async fn flush(&self, patience: Duration) {
        let lanes: Vec<Lane> = self.lanes.lock().values().cloned().collect();
        let all = futures_util::future::join_all(lanes.iter().map(|lane| async {
            let _ = lane.audio.reserve_many(QUEUE).await;
            let _ = lane.messages.reserve_many(QUEUE).await;
        }));
        let _ = timeout(patience, all).await;
    }

    fn target(&self, port: Option<&str>, peer: Option<&PeerId>) -> Target {
        if let Some(target) = port.and_then(|port| self.route.outputs.get(port)) {
            return target.clone();
        }
        match (&self.route.to, peer) {
            (Destination::Target(target), _) => target.clone(),
            (Destination::Sender, Some(peer)) => Target::Peers([peer.clone()].into()),
            (Destination::Sender, None) => Target::All,
        }
    }

    async fn message(&self, target: &Target, message: Message) {
        if let Some(lane) = self.lane(target) {
            self.put(&lane.messages, message).await;
        }
    }

    async fn put<T>(&self, lane: &mpsc::Sender<T>, item: T) {
        // The task at the other end lives as long as the lane.
        if self.sender.is_some() {
            let _ = lane.send(item).await;
        } else if lane.try_send(item).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The way to `target`; `None` if there is nobody.
    fn lane(&self, target: &Target) -> Option<Lane> {
        let mut lanes = self.lanes.lock();
        if let Some(lane) = lanes.get(target) {
            return Some(lane.clone());
        }
        let connected = self.to.mesh.peers();
        let is_there = |target: &Target| match target {
            Target::All => true,
            Target::Peers(peers) => connected.iter().any(|status| peers.contains(&status.peer)),
        };
        lanes.retain(|target, _| is_there(target));
        is_there(target).then(|| lanes.entry(target.clone()).or_insert(self.to.open(target)).clone())
    }
}

impl Receivers {
    fn open(&self, target: &Target) -> Lane {
        let (audio, mut frames) = mpsc::channel(QUEUE);
        let (messages, mut texts) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        let (to, of) = (self.clone(), target.clone());
        tasks.spawn(async move {
            while let Some(frame) = frames.recv().await {
                to.send_audio(&of, frame).await;
            }
        });
        let (to, of) = (self.clone(), target.clone());
        tasks.spawn(async move {
            while let Some(message) = texts.recv().await {
                to.send_message(&of, message).await;
            }
        });
        Lane { audio, messages, _tasks: Arc::new(tasks) }
    }

    /// Who gets media of `kind` now.
    fn audiences(&self, target: &Target, kind: MediaKind) -> Vec<Audience> {
        let takes = |peer: &&PeerId| {
            self.sending.peer(peer).is_some_and(|media| match kind {
                MediaKind::Audio => media.audio,
                MediaKind::Video => !media.video.is_empty(),
            })
        };
        match target {
            Target::All => vec![Audience::All],
            Target::Peers(peers) => peers.iter().filter(takes).map(|peer| Audience::Peer(peer.clone())).collect(),
        }
    }

    fn send_video(&self, target: &Target, frame: &Arc<VideoFrame>) {
        for audience in self.audiences(target, MediaKind::Video) {
            self.sending.send_video(audience, Arc::clone(frame));
        }
    }

    async fn send_audio(&self, target: &Target, frame: Arc<AudioFrame>) {
        let audiences = self.audiences(target, MediaKind::Audio);
        let sends = audiences.into_iter().map(|audience| self.sending.send_audio(audience, Arc::clone(&frame)));
        futures_util::future::join_all(sends).await;
    }

    async fn send_message(&self, target: &Target, message: Message) {
        let peers: Vec<PeerId> = match target {
            Target::All => self.mesh.peers().into_iter().map(|status| status.peer).collect(),
            Target::Peers(peers) => peers.iter().cloned().collect(),
        };
        let message = &message;
        let sends = peers.iter().map(|peer| async move {
            let sent = self.mesh.send_message(peer, message.clone());
            let sent = if self.patient { Ok(sent.await) } else { timeout(MESSAGE_PATIENCE, sent).await };
            match sent {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a message was not sent"),
                Err(_) => tracing::warn!(%peer, "a message was not sent: the peer does not read"),
            }
        });
        futures_util::future::join_all(sends).await;
    }
}
