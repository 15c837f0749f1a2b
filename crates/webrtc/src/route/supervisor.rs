//! Who takes part in an attached pipeline.

use std::sync::{Arc, atomic::AtomicU64};

use parking_lot::Mutex;
use remotemedia_media::PeerId;
use remotemedia_mesh::MessageClaim;
use tokio::{
    sync::{broadcast, mpsc},
    task::JoinSet,
};

use super::{
    Route,
    attachment::{Handle, Membership, Parts, State},
    crowd::{Crowd, Member, Source},
    lanes::Lanes,
    outputs::Outputs,
    worker::{Running, Worker},
};
use crate::{
    engine::{Engine, Inbox},
    events::TransportEvent,
};

/// Gives each peer that connects a worker, or brings it to the one that all share.
pub(super) struct Supervisor {
    state: Arc<State>,
    route: Arc<Route>,
    parts: Parts,
    claim: Option<MessageClaim>,
    /// Each ends with the peer that it was for.
    workers: JoinSet<Option<(PeerId, Arc<Inbox>)>>,
    /// The way into a shared session.
    joining: Option<mpsc::UnboundedSender<Member>>,
    leaving: mpsc::UnboundedReceiver<(PeerId, Arc<Inbox>)>,
}

impl Supervisor {
    pub(super) fn new(state: Arc<State>, route: Route, parts: Parts, claim: Option<MessageClaim>) -> Self {
        let (left, leaving) = mpsc::unbounded_channel();
        let mut supervisor =
            Self { state, route: Arc::new(route), parts, claim, workers: JoinSet::new(), joining: None, leaving };
        if supervisor.route.shared
            && let Some(engine) = supervisor.parts.engine.upgrade()
        {
            let (joining, joins) = mpsc::unbounded_channel();
            let (handle, worker) = supervisor.worker(&engine, Source::Crowd(Crowd::new(joins, left)), None);
            supervisor.joining = Some(joining);
            supervisor.workers.spawn(async move {
                worker.run().await;
                None
            });
            // It is the only one who sets it.
            supervisor.state.shared.set(handle).ok();
        }
        supervisor
    }

    pub(super) async fn run(mut self, mut events: broadcast::Receiver<TransportEvent>) {
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
                Some((peer, inbox)) = self.leaving.recv() => self.ended(&peer, &inbox),
                Some(ended) = self.workers.join_next() => match ended {
                    Ok(Some((peer, inbox))) => self.ended(&peer, &inbox),
                    Ok(None) => {}
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
        if self.state.members.lock().get(peer).is_some_and(|known| Arc::ptr_eq(&known.inbox, &inbox)) {
            return;
        }
        let messages = self.claim.as_ref().map(|claim| claim.messages_of(peer));
        let lanes = Lanes::new(&inbox, messages);
        let queues = lanes.queues();
        let member = |worker| Membership { inbox: Arc::clone(&inbox), queues, worker };
        match (&self.joining, self.state.shared.get()) {
            (Some(joining), Some(shared)) => {
                self.state.members.lock().insert(peer.clone(), member(shared.clone()));
                // Without a worker the pipeline is being detached.
                joining.send(Member { peer: peer.clone(), inbox, lanes }).ok();
            }
            _ => {
                let source = Source::One { peer: peer.clone(), lanes };
                let (handle, worker) = self.worker(&engine, source, Some(peer.clone()));
                self.state.members.lock().insert(peer.clone(), member(handle));
                let peer = peer.clone();
                self.workers.spawn(async move {
                    worker.run().await;
                    Some((peer, inbox))
                });
            }
        }
    }

    fn worker(&self, engine: &Engine, source: Source, peer: Option<PeerId>) -> (Handle, Worker) {
        let (commands, incoming) = mpsc::channel(1);
        let manifest = Arc::clone(&self.state.manifest.lock());
        let running = Arc::new(Mutex::new(Running { manifest, control: None }));
        let outputs_dropped = Arc::new(AtomicU64::new(0));
        let outputs = Outputs::new(
            engine.sending.clone(),
            self.parts.mesh.clone(),
            Arc::clone(&self.route),
            peer,
            self.parts.events.clone(),
            Arc::clone(&outputs_dropped),
        );
        let worker = Worker {
            source,
            outputs,
            runner: self.parts.runner.clone(),
            policy: self.route.on_failure,
            commands: incoming,
            running: Arc::clone(&running),
            events: self.parts.events.clone(),
        };
        (Handle { commands, running, outputs_dropped }, worker)
    }

    fn ended(&mut self, peer: &PeerId, inbox: &Arc<Inbox>) {
        let mut members = self.state.members.lock();
        if members.get(peer).is_some_and(|known| Arc::ptr_eq(&known.inbox, inbox)) {
            members.remove(peer);
        }
    }

    /// Messages of a peer that never took part.
    fn forget_unread(&self, peer: &PeerId) {
        if let Some(claim) = self.claim.as_ref().filter(|_| !self.state.members.lock().contains_key(peer)) {
            claim.forget(peer);
        }
    }
}
