//! Who takes part in an attached pipeline.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicU64},
};

use parking_lot::Mutex;
use remotemedia_media::PeerId;
use remotemedia_mesh::MessageClaim;
use tokio::{
    sync::{broadcast, mpsc},
    task::{self, JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use super::{
    FailurePolicy, Route,
    attachment::Parts,
    crowd::{Crowd, Member, Source},
    lanes::Lanes,
    members::{Added, Handle, Membership, State},
    outputs::Outputs,
    worker::{Herald, Refused, Running, Worker},
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
    workers: JoinSet<()>,
    /// Whom each of them is for; nobody, for the one that all share.
    owners: HashMap<task::Id, (PeerId, Arc<Inbox>)>,
    /// The way into a shared session.
    joining: Option<mpsc::UnboundedSender<Member>>,
    leaving: mpsc::UnboundedReceiver<(PeerId, Arc<Inbox>)>,
    /// Who were added while they were still leaving.
    returning: Vec<Added>,
}

impl Supervisor {
    pub(super) fn new(state: Arc<State>, route: Route, parts: Parts, claim: Option<MessageClaim>) -> Self {
        let (left, leaving) = mpsc::unbounded_channel();
        let mut supervisor = Self {
            state,
            route: Arc::new(route),
            parts,
            claim,
            workers: JoinSet::new(),
            owners: HashMap::new(),
            joining: None,
            leaving,
            returning: Vec::new(),
        };
        if supervisor.route.shared
            && let Some(engine) = supervisor.parts.engine.upgrade()
        {
            let (joining, joins) = mpsc::unbounded_channel();
            let (handle, worker) = supervisor.worker(&engine, Source::Crowd(Crowd::new(joins, left)), None);
            supervisor.joining = Some(joining);
            supervisor.workers.spawn(worker.run());
            // It is the only one who sets it.
            supervisor.state.shared.set(handle).ok();
        }
        supervisor
    }

    pub(super) async fn run(
        mut self,
        mut events: broadcast::Receiver<TransportEvent>,
        mut additions: mpsc::UnboundedReceiver<Added>,
    ) {
        self.begin_all();
        loop {
            tokio::select! {
                event = events.recv() => match event {
                    Ok(TransportEvent::PeerConnected { peer }) => self.begin(&peer),
                    Ok(TransportEvent::PeerDisconnected { peer, .. }) => self.forget(&peer),
                    Ok(_) => {}
                    Err(broadcast::error::RecvError::Lagged(_)) => self.catch_up(),
                    Err(broadcast::error::RecvError::Closed) => return,
                },
                Some(added) = additions.recv() => self.add(added),
                Some((peer, inbox)) = self.leaving.recv() => self.ended(&peer, &inbox),
                Some(ended) = self.workers.join_next_with_id() => self.stopped(ended),
            }
        }
    }

    /// Some news was missed: who left may have been among it.
    fn catch_up(&mut self) {
        let connected = self.parts.mesh.peers();
        let is_here = |peer: &PeerId| connected.iter().any(|status| status.peer == *peer);
        self.state.exceptions.lock().retain(is_here);
        self.state.first.lock().retain(|peer, _| is_here(peer));
        self.begin_all();
    }

    fn begin_all(&mut self) {
        for status in self.parts.mesh.peers() {
            self.begin(&status.peer);
        }
    }

    fn add(&mut self, added: Added) {
        self.begin(&added.peer);
        if added.moved && !self.parts.mesh.peers().iter().any(|status| status.peer == added.peer) {
            self.forget(&added.peer);
        }
        let members = self.state.members.lock();
        if members.get(&added.peer).is_some_and(|member| member.leave.is_cancelled()) {
            drop(members);
            self.returning.push(added);
        } else {
            // Whoever asked may have stopped waiting.
            added.done.send(()).ok();
        }
    }

    fn begin(&mut self, peer: &PeerId) {
        let Some(engine) = self.parts.engine.upgrade().filter(|_| self.state.takes(peer)) else { return };
        // It connects before its inbox is there, and is begun when that is.
        let Some(inbox) = engine.live_inbox(peer) else { return };
        if self.state.members.lock().get(peer).is_some_and(|known| Arc::ptr_eq(&known.inbox, &inbox)) {
            return;
        }
        let messages = self.claim.as_ref().map(|claim| claim.messages_of(peer));
        let (leave, left) = (CancellationToken::new(), CancellationToken::new());
        let lanes = Lanes::new(&inbox, messages, leave.clone());
        let still_to_leave = leave.clone();
        let queues = lanes.queues();
        let member = |worker| Membership { inbox: Arc::clone(&inbox), queues, worker, leave, left };
        match (&self.joining, self.state.shared.get()) {
            (Some(joining), Some(shared)) => {
                self.enter(peer, member(shared.clone()));
                // Without a worker the pipeline is being detached.
                joining.send(Member { peer: peer.clone(), inbox, lanes }).ok();
            }
            _ => {
                let source = Source::One { peer: peer.clone(), lanes };
                let (handle, worker) = self.worker(&engine, source, Some((peer.clone(), Arc::clone(&inbox))));
                self.enter(peer, member(handle));
                let task = self.workers.spawn(worker.run());
                self.owners.insert(task.id(), (peer.clone(), inbox));
            }
        }
        // It may have been removed before there was anybody to tell.
        if !self.state.takes(peer) {
            still_to_leave.cancel();
        }
    }

    fn enter(&self, peer: &PeerId, member: Membership) {
        if let Some(before) = self.state.members.lock().insert(peer.clone(), member) {
            before.left.cancel();
        }
    }

    fn worker(&self, engine: &Engine, source: Source, owner: Option<(PeerId, Arc<Inbox>)>) -> (Handle, Worker) {
        let (commands, incoming) = mpsc::channel(1);
        let peer = owner.as_ref().map(|(peer, _)| peer.clone());
        let herald = Herald { events: self.parts.events.clone(), peer: peer.clone(), ended: self.when_ended(owner) };
        let chosen = peer.as_ref().and_then(|peer| self.state.first.lock().remove(peer));
        let manifest = chosen.unwrap_or_else(|| Arc::clone(&self.state.manifest.lock()));
        let running = Arc::new(Mutex::new(Running { manifest, control: None }));
        let (inputs_refused, outputs_dropped) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
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
            herald,
            refused: Refused { count: Arc::clone(&inputs_refused), told: Mutex::default() },
        };
        (Handle { commands, running, inputs_refused, outputs_dropped }, worker)
    }

    /// Takes the owner of a session, or everybody, out of the pipeline if the policy is to leave it at a failure. They are out
    /// before anybody is told, who may want them in again.
    fn when_ended(&self, owner: Option<(PeerId, Arc<Inbox>)>) -> Box<dyn Fn() + Send + Sync> {
        let gives_up = self.route.on_failure == FailurePolicy::End;
        if !gives_up {
            return Box::new(|| ());
        }
        let state = Arc::clone(&self.state);
        let Some((peer, inbox)) = owner else { return Box::new(move || state.end()) };
        let mesh = self.parts.mesh.clone();
        Box::new(move || {
            let is_here = mesh.peers().iter().any(|status| status.peer == peer);
            let members = state.members.lock();
            let member = members.get(&peer).filter(|member| Arc::ptr_eq(&member.inbox, &inbox));
            // Whoever was taken out already may have been added again since.
            if let Some(member) = member.filter(|member| is_here && !member.leave.is_cancelled()) {
                state.set_taken(&peer, false);
                member.leave.cancel();
            }
        })
    }

    fn stopped(&mut self, worker: Result<(task::Id, ()), JoinError>) {
        let id = worker.map_or_else(
            |error| {
                tracing::error!(%error, "a route's worker went down");
                error.id()
            },
            |(id, ())| id,
        );
        match self.owners.remove(&id) {
            Some((peer, inbox)) => self.ended(&peer, &inbox),
            None => self.state.members.lock().values().for_each(|member| member.left.cancel()),
        }
    }

    fn ended(&mut self, peer: &PeerId, inbox: &Arc<Inbox>) {
        let mut members = self.state.members.lock();
        if members.get(peer).is_some_and(|known| Arc::ptr_eq(&known.inbox, inbox))
            && let Some(member) = members.remove(peer)
        {
            member.left.cancel();
        }
        drop(members);
        // It may be wanted again by now.
        self.begin(peer);
        let (back, still_waiting) =
            std::mem::take(&mut self.returning).into_iter().partition(|added| added.peer == *peer);
        self.returning = still_waiting;
        back.into_iter().for_each(|added: Added| self.add(added));
    }

    /// A peer is gone: what was decided about it, and messages of it if it never took part.
    fn forget(&self, peer: &PeerId) {
        self.state.exceptions.lock().remove(peer);
        self.state.first.lock().remove(peer);
        if let Some(claim) = self.claim.as_ref().filter(|_| !self.state.members.lock().contains_key(peer)) {
            claim.forget(peer);
        }
    }
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        self.state.end();
    }
}
