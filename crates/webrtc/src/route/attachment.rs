use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use remotemedia_media::{AudioFrame, PeerId, VideoFrame};
use remotemedia_mesh::{Mesh, MessageClaim};
use remotemedia_runtime_core::{
    RuntimeError,
    manifest::Manifest,
    runner::{NodeMetrics, PipelineRunner, SessionControl},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::{JoinHandle, JoinSet},
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Route,
    lanes::Lanes,
    outputs::Outputs,
    worker::{Replace, Running, Worker},
};
use crate::{
    engine::{Engine, FrameQueue, Inbox},
    error::{Result, WebRtcError},
    events::TransportEvent,
};

/// A pipeline that is attached to the media of peers. Dropping it detaches the pipeline; [`Attachment::keep`] leaves it
/// attached until the transport shuts down.
#[derive(Debug)]
#[must_use = "dropping it detaches the pipeline"]
pub struct Attachment {
    state: Arc<State>,
    task: JoinHandle<Option<()>>,
    stop: DropGuard,
}

/// What one peer's pipeline has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteMetrics {
    /// Each node of the pipeline, in the order in which data flows.
    pub nodes: Vec<NodeMetrics>,
    /// Audio frames of 20 ms that the pipeline did not take in time: the oldest of two seconds were dropped.
    pub audio_frames_dropped: u64,
    /// Pictures that the pipeline did not take in time: the oldest of eight were dropped.
    pub video_frames_dropped: u64,
}

/// What an attachment works with.
pub(crate) struct Parts {
    pub(crate) mesh: Mesh,
    pub(crate) engine: std::sync::Weak<Engine>,
    pub(crate) runner: PipelineRunner,
    pub(crate) events: broadcast::Sender<TransportEvent>,
    pub(crate) stop: CancellationToken,
}

#[derive(Debug)]
struct State {
    runner: PipelineRunner,
    manifest: Mutex<Arc<Manifest>>,
    workers: Mutex<HashMap<PeerId, Handle>>,
}

/// The way to one peer's worker.
#[derive(Clone, Debug)]
struct Handle {
    /// Tells a peer that came back from the one before.
    inbox: Arc<Inbox>,
    commands: mpsc::Sender<Replace>,
    running: Arc<Mutex<Running>>,
    queues: (Arc<FrameQueue<AudioFrame>>, Arc<FrameQueue<VideoFrame>>),
}

impl Attachment {
    pub(crate) fn start(manifest: Arc<Manifest>, route: Route, parts: Parts) -> Result<Self> {
        parts.runner.check(&manifest).map_err(RuntimeError::from)?;
        let state =
            Arc::new(State { runner: parts.runner.clone(), manifest: Mutex::new(manifest), workers: Mutex::default() });
        let stop = parts.stop.child_token();
        // Subscribed and claimed before anything is awaited, so that nobody who connects now is missed.
        let events = parts.events.subscribe();
        let claim = route.messages.then(|| {
            let route = route.clone();
            parts.mesh.claim_messages(move |peer| route.takes(peer))
        });
        let supervisor = Supervisor { state: Arc::clone(&state), route, parts, claim, workers: JoinSet::new() };
        let task = tokio::spawn(stop.clone().run_until_cancelled_owned(supervisor.run(events)));
        Ok(Self { state, task, stop: stop.drop_guard() })
    }

    /// The peers whose media goes through the pipeline now.
    pub fn peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<PeerId> = self.state.workers.lock().keys().cloned().collect();
        peers.sort();
        peers
    }

    /// The session of one peer, to read its metrics or to give its nodes new params; `None` if there is none at present.
    pub fn session(&self, peer: &str) -> Option<SessionControl> {
        self.state.worker(peer)?.running.lock().control.clone()
    }

    /// The manifest that one peer's media goes through; `None` if there is no such peer at present.
    pub fn manifest(&self, peer: &str) -> Option<Arc<Manifest>> {
        Some(Arc::clone(&self.state.worker(peer)?.running.lock().manifest))
    }

    /// What the pipeline of one peer has done so far; `None` if that peer has none at present.
    pub fn metrics(&self, peer: &str) -> Option<RouteMetrics> {
        let worker = self.state.worker(peer)?;
        let nodes = worker.running.lock().control.as_ref().map(SessionControl::metrics).unwrap_or_default();
        Some(RouteMetrics {
            nodes,
            audio_frames_dropped: worker.queues.0.dropped(),
            video_frames_dropped: worker.queues.1.dropped(),
        })
    }

    /// Puts another pipeline in the place of this one, for the peers that are connected and those to come. What is inside
    /// the old one comes out before anything goes through the new one.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Pipeline`] if the manifest is refused, in which case the old pipeline goes on.
    pub async fn replace(&self, manifest: Arc<Manifest>) -> Result<()> {
        self.state.check(&manifest)?;
        *self.state.manifest.lock() = Arc::clone(&manifest);
        let workers: Vec<Handle> = self.state.workers.lock().values().cloned().collect();
        let results =
            futures_util::future::join_all(workers.iter().map(|worker| worker.replace(Arc::clone(&manifest)))).await;
        results.into_iter().try_for_each(|result| result.unwrap_or(Ok(())))
    }

    /// Puts another pipeline in the place of this one for one peer, until it leaves.
    ///
    /// # Errors
    ///
    /// As [`Attachment::replace`], and [`WebRtcError::PeerNotFound`] if no media of that peer goes through the pipeline.
    pub async fn replace_for(&self, peer: &str, manifest: Arc<Manifest>) -> Result<()> {
        self.state.check(&manifest)?;
        let not_found = || WebRtcError::PeerNotFound(peer.to_owned());
        let worker = self.state.worker(peer).ok_or_else(not_found)?;
        worker.replace(manifest).await.ok_or_else(not_found)?
    }

    /// Leaves the pipeline attached until the transport shuts down.
    pub fn keep(self) {
        self.stop.disarm();
    }

    /// Detaches the pipeline and waits until everything of it has ended. What is inside is lost.
    pub async fn detach(self) {
        drop(self.stop);
        // It ends by being cancelled.
        let _ = self.task.await;
    }
}

impl State {
    fn check(&self, manifest: &Manifest) -> Result<()> {
        Ok(self.runner.check(manifest).map_err(RuntimeError::from)?)
    }

    fn worker(&self, peer: &str) -> Option<Handle> {
        self.workers.lock().get(&PeerId::new(peer).ok()?).cloned()
    }
}

impl Handle {
    /// `None` if the peer left meanwhile.
    async fn replace(&self, manifest: Arc<Manifest>) -> Option<Result<()>> {
        let (done, answer) = oneshot::channel();
        self.commands.send(Replace { manifest, done }).await.ok()?;
        Some(answer.await.ok()?.map_err(WebRtcError::from))
    }
}

/// Gives each peer that connects a worker.
struct Supervisor {
    state: Arc<State>,
    route: Route,
    parts: Parts,
    claim: Option<MessageClaim>,
    workers: JoinSet<(PeerId, Arc<Inbox>)>,
}

impl Supervisor {
    async fn run(mut self, mut events: broadcast::Receiver<TransportEvent>) {
        self.begin_all();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(TransportEvent::PeerConnected { peer }) => self.begin(&peer),
                    Ok(TransportEvent::PeerDisconnected { peer, .. }) => self.forget_unread(&peer),
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => self.begin_all(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                Some(ended) = self.workers.join_next() => match ended {
                    Ok((peer, inbox)) => self.ended(&peer, &inbox),
                    Err(error) => tracing::error!(%error, "a route's worker went down"),
                },
            }
        }
    }

    fn begin_all(&mut self) {
        for status in self.parts.mesh.peers() {
            self.begin(&status.peer);
        }
    }

    fn begin(&mut self, peer: &PeerId) {
        let Some(engine) = self.parts.engine.upgrade().filter(|_| self.route.takes(peer)) else { return };
        // It connects before its inbox is there, and is begun when that is.
        let Some(inbox) = engine.inbox(peer) else { return };
        let mut workers = self.state.workers.lock();
        if workers.get(peer).is_some_and(|known| Arc::ptr_eq(&known.inbox, &inbox)) {
            return;
        }
        let messages = self.claim.as_ref().map(|claim| claim.messages_of(peer));
        let lanes = Lanes::new(&inbox, messages);
        let (commands, incoming) = mpsc::channel(1);
        let manifest = Arc::clone(&self.state.manifest.lock());
        let running = Arc::new(Mutex::new(Running { manifest, control: None }));
        let queues = lanes.queues();
        workers.insert(
            peer.clone(),
            Handle { inbox: Arc::clone(&inbox), commands, running: Arc::clone(&running), queues },
        );
        drop(workers);
        let worker = Worker {
            peer: peer.clone(),
            lanes,
            outputs: Outputs::start(
                engine.sending.clone(),
                self.parts.mesh.clone(),
                self.route.to.clone(),
                peer.clone(),
            ),
            runner: self.parts.runner.clone(),
            policy: self.route.on_failure,
            commands: incoming,
            running,
            events: self.parts.events.clone(),
        };
        let peer = peer.clone();
        self.workers.spawn(async move {
            worker.run().await;
            (peer, inbox)
        });
    }

    fn ended(&mut self, peer: &PeerId, inbox: &Arc<Inbox>) {
        let mut workers = self.state.workers.lock();
        if workers.get(peer).is_some_and(|known| Arc::ptr_eq(&known.inbox, inbox)) {
            workers.remove(peer);
        }
    }

    /// Messages of a peer that never got a worker.
    fn forget_unread(&self, peer: &PeerId) {
        if let Some(claim) = self.claim.as_ref().filter(|_| !self.state.workers.lock().contains_key(peer)) {
            claim.forget(peer);
        }
    }
}
