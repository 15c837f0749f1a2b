use std::sync::{Arc, OnceLock, atomic::Ordering};

use parking_lot::Mutex;
use remotemedia_media::PeerId;
use remotemedia_mesh::Mesh;
use remotemedia_runtime_core::{
    manifest::Manifest,
    runner::{NodeMetrics, PipelineRunner, SessionControl},
};
use tokio::{
    sync::{broadcast, mpsc},
    task::JoinHandle,
};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{
    Route,
    members::{Handle, Membership, State},
    supervisor::Supervisor,
};
use crate::{
    engine::Engine,
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
    /// Audio frames, pictures and messages that the pipeline was not given, because its manifest declares other `inputs`; of a
    /// shared session, those of all peers.
    pub inputs_refused: u64,
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

impl Attachment {
    pub(crate) fn start(manifest: Arc<Manifest>, route: Route, parts: Parts) -> Result<Self> {
        let stop = parts.stop.child_token();
        let (added, additions) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            runner: parts.runner.clone(),
            route,
            manifest: Mutex::new(Arc::clone(&manifest)),
            members: Mutex::default(),
            exceptions: Mutex::default(),
            first: Mutex::default(),
            added,
            stop: stop.clone(),
            shared: OnceLock::new(),
        });
        state.check(&manifest)?;
        // Subscribed and claimed before anything is awaited, so that nobody who connects now is missed.
        let events = parts.events.subscribe();
        let claim = state.route.messages.then(|| {
            let state = Arc::clone(&state);
            parts.mesh.claim_messages(move |peer| state.takes(peer))
        });
        let supervisor = Supervisor::new(Arc::clone(&state), state.route.clone(), parts, claim);
        let task = tokio::spawn(stop.clone().run_until_cancelled_owned(supervisor.run(events, additions)));
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
            inputs_refused: worker.inputs_refused.load(Ordering::Relaxed),
            outputs_dropped: worker.outputs_dropped.load(Ordering::Relaxed),
        })
    }

    /// Puts another pipeline in the place of this one, for the peers that are connected and those to come. What is inside
    /// the old one comes out before anything goes through the new one; nodes of the same id and type go on with what they
    /// know; sound goes on without a click. In the place of a [paused](SessionControl::pause) session comes one that is paused too.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Pipeline`] if the manifest is refused, [`WebRtcError::UnknownOutput`] if it lacks an output that the
    /// route names; the old pipeline then goes on, for peers to come as well. Should only the sessions of some peers refuse
    /// it, those of the others have been replaced: [`Attachment::manifest`] tells. [`WebRtcError::PipelineEnded`].
    pub async fn replace(&self, manifest: Arc<Manifest>) -> Result<()> {
        self.state.check_runs()?;
        self.state.check(&manifest)?;
        let before = std::mem::replace(&mut *self.state.manifest.lock(), Arc::clone(&manifest));
        let workers: Vec<Handle> = match self.state.shared.get() {
            Some(shared) => vec![shared.clone()],
            None => self.state.members.lock().values().map(|member| member.worker.clone()).collect(),
        };
        let results =
            futures_util::future::join_all(workers.iter().map(|worker| worker.replace(Arc::clone(&manifest)))).await;
        // A peer that left in the meantime needs no other pipeline; without the session that all share there is none.
        let gone = || if self.state.shared.get().is_some() { Err(WebRtcError::PipelineEnded) } else { Ok(()) };
        let result = results.into_iter().try_for_each(|result| result.unwrap_or_else(gone));
        if result.is_err() {
            let mut current = self.state.manifest.lock();
            if Arc::ptr_eq(&current, &manifest) {
                *current = before;
            }
        }
        result
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

    /// Takes the media of a peer into the pipeline, whatever the [`Route`] says of it, until it leaves. If it is connected, its
    /// media goes through the pipeline when this answers; otherwise from the moment it connects. With
    /// [`remove_peer`](Attachment::remove_peer) it moves peers from one attached pipeline to another.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`], [`WebRtcError::PipelineEnded`].
    pub async fn add_peer(&self, peer: &str) -> Result<()> {
        let peer = PeerId::new(peer)?;
        self.state.check_runs()?;
        self.state.set_taken(&peer, true);
        self.state.begin(peer).await;
        Ok(())
    }

    /// Takes the media of a peer out of the pipeline, whatever the [`Route`] says of it, until it leaves; the call goes on. What
    /// is inside a session of its own comes out first. A shared session is told as if the peer had left. A peer whose
    /// media does not go through the pipeline is no error.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`].
    pub async fn remove_peer(&self, peer: &str) -> Result<()> {
        let peer = PeerId::new(peer)?;
        self.state.set_taken(&peer, false);
        let member = self.state.members.lock().get(&peer).cloned();
        if let Some(member) = member {
            self.state.until_left(member).await;
        }
        Ok(())
    }

    /// Moves a peer from this pipeline to the one that is attached as `to`, until it leaves: what is inside comes out first, and no
    /// message gets lost, unless the pipeline takes longer than five seconds over those that wait. A shared session is told that the
    /// peer left, and what it still makes for it may come for a moment longer. There its media goes through `manifest`, or
    /// that of the attachment if that is `None`. Once begun a move is made, even if the answer is not awaited. If one of the two is
    /// detached meanwhile, the peer is in neither.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::PeerNotFound`] if no media of that peer goes through this pipeline, if it is being moved or removed already, or
    /// if it left meanwhile; as
    /// [`Attachment::replace`] for a manifest that is refused, and [`WebRtcError::SharedSession`] if one is given and the route
    /// of `to` is [shared](Route::shared), [`WebRtcError::PipelineEnded`] if that has ended. The peer then stays where it is.
    pub async fn move_peer(&self, peer: &str, to: &Self, manifest: Option<Arc<Manifest>>) -> Result<()> {
        to.state.check_runs()?;
        if let Some(manifest) = &manifest {
            to.state.check(manifest)?;
            if to.state.route.shared {
                return Err(WebRtcError::SharedSession);
            }
        }
        let not_found = || WebRtcError::PeerNotFound(peer.to_owned());
        let id = PeerId::new(peer)?;
        if Arc::ptr_eq(&self.state, &to.state) {
            return match manifest {
                Some(manifest) => self.replace_for(peer, manifest).await,
                None => self.state.member(peer).map(|_| ()).ok_or_else(not_found),
            };
        }
        let member = self.state.release(&id, &to.state, manifest).ok_or_else(not_found)?;
        let (from, to) = (Arc::clone(&self.state), Arc::clone(&to.state));
        // It is never aborted.
        let moved = tokio::spawn(async move { from.hand_over(member, id, &to).await }).await;
        moved.unwrap_or(None).ok_or_else(not_found)?
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
