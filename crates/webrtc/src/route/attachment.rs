use std::{
    collections::HashMap,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering},
    },
};

use parking_lot::Mutex;
use remotemedia_media::{AudioFrame, PeerId, VideoFrame};
use remotemedia_mesh::Mesh;
use remotemedia_runtime_core::{
    RuntimeError,
    manifest::Manifest,
    runner::{NodeMetrics, PipelineRunner, SessionControl},
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Route,
    supervisor::Supervisor,
    worker::{Replace, Running},
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
    /// Audio frames and messages that came out of a shared session and found their peer more than 64 of them behind.
    pub outputs_dropped: u64,
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
pub(super) struct State {
    runner: PipelineRunner,
    route: Route,
    pub(super) manifest: Mutex<Arc<Manifest>>,
    pub(super) members: Mutex<HashMap<PeerId, Membership>>,
    /// The worker of a shared session.
    pub(super) shared: OnceLock<Handle>,
}

/// A peer whose media goes through the pipeline.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    /// Tells a peer that came back from the one before.
    pub(super) inbox: Arc<Inbox>,
    pub(super) queues: (Arc<FrameQueue<AudioFrame>>, Arc<FrameQueue<VideoFrame>>),
    pub(super) worker: Handle,
}

/// The way to a worker.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) commands: mpsc::Sender<Replace>,
    pub(super) running: Arc<Mutex<Running>>,
    pub(super) outputs_dropped: Arc<AtomicU64>,
}

impl Attachment {
    pub(crate) fn start(manifest: Arc<Manifest>, route: Route, parts: Parts) -> Result<Self> {
        let state = Arc::new(State {
            runner: parts.runner.clone(),
            route,
            manifest: Mutex::new(Arc::clone(&manifest)),
            members: Mutex::default(),
            shared: OnceLock::new(),
        });
        state.check(&manifest)?;
        let stop = parts.stop.child_token();
        // Subscribed and claimed before anything is awaited, so that nobody who connects now is missed.
        let events = parts.events.subscribe();
        let claim = state.route.messages.then(|| {
            let route = state.route.clone();
            parts.mesh.claim_messages(move |peer| route.takes(peer))
        });
        let supervisor = Supervisor::new(Arc::clone(&state), state.route.clone(), parts, claim);
        let task = tokio::spawn(stop.clone().run_until_cancelled_owned(supervisor.run(events)));
        Ok(Self { state, task, stop: stop.drop_guard() })
    }

    /// The peers whose media goes through the pipeline now.
    pub fn peers(&self) -> Vec<PeerId> {
        let mut peers: Vec<PeerId> = self.state.members.lock().keys().cloned().collect();
        peers.sort();
        peers
    }

    /// The session that one peer's media goes through, to read its metrics or to give its nodes new params; `None` if there
    /// is none at present.
    pub fn session(&self, peer: &str) -> Option<SessionControl> {
        self.state.member(peer)?.worker.running.lock().control.clone()
    }

    /// The session that all peers of a [shared](Route::shared) route share, whether there are any or not; `None` for other
    /// routes and while it has failed.
    pub fn shared_session(&self) -> Option<SessionControl> {
        self.state.shared.get()?.running.lock().control.clone()
    }

    /// The manifest that one peer's media goes through; `None` if there is no such peer at present.
    pub fn manifest(&self, peer: &str) -> Option<Arc<Manifest>> {
        Some(Arc::clone(&self.state.member(peer)?.worker.running.lock().manifest))
    }

    /// What the pipeline of one peer has done so far; `None` if that peer has none at present.
    pub fn metrics(&self, peer: &str) -> Option<RouteMetrics> {
        let Membership { queues, worker, .. } = self.state.member(peer)?;
        let nodes = worker.running.lock().control.as_ref().map(SessionControl::metrics).unwrap_or_default();
        Some(RouteMetrics {
            nodes,
            audio_frames_dropped: queues.0.dropped(),
            video_frames_dropped: queues.1.dropped(),
            outputs_dropped: worker.outputs_dropped.load(Ordering::Relaxed),
        })
    }

    /// Puts another pipeline in the place of this one, for the peers that are connected and those to come. What is inside
    /// the old one comes out before anything goes through the new one; nodes of the same id and type go on with what they
    /// know; sound goes on without a click.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Pipeline`] if the manifest is refused, [`WebRtcError::UnknownOutput`] if it lacks an output that the
    /// route names; the old pipeline then goes on.
    pub async fn replace(&self, manifest: Arc<Manifest>) -> Result<()> {
        self.state.check(&manifest)?;
        *self.state.manifest.lock() = Arc::clone(&manifest);
        let workers: Vec<Handle> = match self.state.shared.get() {
            Some(shared) => vec![shared.clone()],
            None => self.state.members.lock().values().map(|member| member.worker.clone()).collect(),
        };
        let results =
            futures_util::future::join_all(workers.iter().map(|worker| worker.replace(Arc::clone(&manifest)))).await;
        results.into_iter().try_for_each(|result| result.unwrap_or(Ok(())))
    }

    /// Puts another pipeline in the place of this one for one peer, until it leaves.
    ///
    /// # Errors
    ///
    /// As [`Attachment::replace`], [`WebRtcError::PeerNotFound`] if no media of that peer goes through the pipeline, and
    /// [`WebRtcError::SharedSession`] if the route is [shared](Route::shared).
    pub async fn replace_for(&self, peer: &str, manifest: Arc<Manifest>) -> Result<()> {
        self.state.check(&manifest)?;
        if self.state.route.shared {
            return Err(WebRtcError::SharedSession);
        }
        let not_found = || WebRtcError::PeerNotFound(peer.to_owned());
        let member = self.state.member(peer).ok_or_else(not_found)?;
        member.worker.replace(manifest).await.ok_or_else(not_found)?
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
        self.runner.check(manifest).map_err(RuntimeError::from)?;
        self.route.check(manifest)
    }

    fn member(&self, peer: &str) -> Option<Membership> {
        self.members.lock().get(&PeerId::new(peer).ok()?).cloned()
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
