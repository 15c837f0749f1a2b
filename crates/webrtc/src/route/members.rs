//! Who takes part in an attached pipeline, and who is to.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, OnceLock, atomic::AtomicU64},
};

use parking_lot::Mutex;
use remotemedia_media::{AudioFrame, PeerId, VideoFrame};
use remotemedia_runtime_core::{RuntimeError, manifest::Manifest, runner::PipelineRunner};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Route,
    worker::{Replace, Running},
};
use crate::{
    engine::{FrameQueue, Inbox},
    error::{Result, WebRtcError},
};

#[derive(Debug)]
pub(super) struct State {
    pub(super) runner: PipelineRunner,
    pub(super) route: Route,
    pub(super) manifest: Mutex<Arc<Manifest>>,
    pub(super) members: Mutex<HashMap<PeerId, Membership>>,
    /// Peers that were added or removed against what the route says, until they leave.
    pub(super) exceptions: Mutex<BTreeSet<PeerId>>,
    /// What peers begin with, where that is not `manifest`.
    pub(super) first: Mutex<HashMap<PeerId, Arc<Manifest>>>,
    pub(super) added: mpsc::UnboundedSender<Added>,
    pub(super) stop: CancellationToken,
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
    /// Tells it to leave, though the peer stays.
    pub(super) leave: CancellationToken,
    /// Whether it has left.
    pub(super) left: CancellationToken,
}

/// Tells the supervisor that a peer was added; the answer comes when its media goes through the pipeline, or if it is no longer
/// wanted there.
#[derive(Debug)]
pub(super) struct Added {
    pub(super) peer: PeerId,
    /// It comes from another pipeline, or does not get there: if it has left, what was decided about it is to be forgotten.
    pub(super) moved: bool,
    pub(super) done: oneshot::Sender<()>,
}

/// The way to a worker.
#[derive(Clone, Debug)]
pub(super) struct Handle {
    pub(super) commands: mpsc::Sender<Replace>,
    pub(super) running: Arc<Mutex<Running>>,
    pub(super) inputs_refused: Arc<AtomicU64>,
    pub(super) outputs_dropped: Arc<AtomicU64>,
}

impl State {
    /// # Errors
    ///
    /// [`WebRtcError::PipelineEnded`].
    pub(super) fn check_runs(&self) -> Result<()> {
        if self.stop.is_cancelled() { Err(WebRtcError::PipelineEnded) } else { Ok(()) }
    }

    /// Nobody takes part any more.
    pub(super) fn end(&self) {
        self.stop.cancel();
        self.members.lock().drain().for_each(|(_, member)| member.left.cancel());
    }

    pub(super) fn check(&self, manifest: &Manifest) -> Result<()> {
        self.runner.check(manifest).map_err(RuntimeError::from)?;
        self.route.check(manifest)
    }

    /// Whether the media of `peer` goes through the pipeline while it is connected.
    pub(super) fn takes(&self, peer: &PeerId) -> bool {
        !self.stop.is_cancelled() && self.route.takes(peer) != self.exceptions.lock().contains(peer)
    }

    /// Has the supervisor take in a peer that is connected, if it is wanted.
    pub(super) async fn begin(&self, peer: PeerId) {
        self.add(peer, false).await;
    }

    async fn add(&self, peer: PeerId, moved: bool) {
        let (done, begun) = oneshot::channel();
        // Without a supervisor the transport has shut down, and there are no peers.
        if self.added.send(Added { peer, moved, done }).is_ok() {
            let _ = begun.await;
        }
    }

    /// Begins to move a member to `to`, where it is to begin with `manifest`; `None` if there is no such member or if it leaves
    /// already.
    pub(super) fn release(&self, peer: &PeerId, to: &Self, manifest: Option<Arc<Manifest>>) -> Option<Membership> {
        let members = self.members.lock();
        let member = members.get(peer).filter(|member| !member.leave.is_cancelled()).cloned()?;
        if let Some(manifest) = manifest {
            to.first.lock().insert(peer.clone(), manifest);
        }
        // There before it is gone from here, so that at any time one of the two wants its messages.
        to.set_taken(peer, true);
        self.set_taken(peer, false);
        member.leave.cancel();
        Some(member)
    }

    /// Moves a member that was released; `None` if it left meanwhile.
    pub(super) async fn hand_over(&self, member: Membership, peer: PeerId, to: &Self) -> Option<Result<()>> {
        self.until_left(member).await;
        to.add(peer.clone(), true).await;
        let there = to.members.lock().get(&peer).cloned();
        let Some(there) = there else {
            // What was decided about it here ends with it, too.
            self.add(peer, true).await;
            return None;
        };
        // It was there before, by its route, and did not begin with this.
        let unused = to.first.lock().remove(&peer);
        match unused {
            Some(manifest) => there.worker.replace(manifest).await,
            None => Some(Ok(())),
        }
    }

    /// Tells a member to leave, and waits until it has.
    pub(super) async fn until_left(&self, member: Membership) {
        member.leave.cancel();
        tokio::select! {
            () = member.left.cancelled() => {}
            () = self.stop.cancelled() => {}
        }
    }

    pub(super) fn set_taken(&self, peer: &PeerId, taken: bool) {
        let mut exceptions = self.exceptions.lock();
        if self.route.takes(peer) == taken {
            exceptions.remove(peer);
        } else {
            exceptions.insert(peer.clone());
        }
    }

    pub(super) fn member(&self, peer: &str) -> Option<Membership> {
        self.members.lock().get(&PeerId::new(peer).ok()?).cloned()
    }
}

impl Handle {
    /// `None` if the peer left meanwhile.
    pub(super) async fn replace(&self, manifest: Arc<Manifest>) -> Option<Result<()>> {
        let (done, answer) = oneshot::channel();
        self.commands.send(Replace { manifest, done }).await.ok()?;
        Some(answer.await.ok()?.map_err(WebRtcError::from))
    }
}
