//! The task of one node: it calls the node for one piece of data after the other.

use std::{sync::Arc, time::Duration};

use serde_json::{Map, Value};
use tokio::{
    sync::mpsc,
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use super::{
    Envelope, NodeStats, Origin, Outlet,
    envelope::{HandedOver, Message},
    instance::{Failure, Instance, Work},
    settings::{Change, Refusal, Settings, checked, loser, merged},
};
use crate::{
    data::RuntimeData,
    error::RuntimeError,
    manifest::{MediaFormat, OnError},
    node::{AcceptedFormat, NodeType, Params, is_taken},
};

pub(crate) struct NodeTask {
    pub(crate) node_type: Arc<NodeType>,
    /// Its place in the manifest.
    pub(crate) index: usize,
    /// Its params, and those of the others.
    pub(crate) settings: Arc<Settings>,
    /// The formats that the node takes with these params.
    pub(crate) accepted: Vec<AcceptedFormat>,
    pub(crate) instance: Instance,
    pub(crate) timeout: Duration,
    pub(crate) inbox: mpsc::Receiver<Message>,
    pub(crate) outlet: Outlet,
    /// How many announcements of the end are still to come, one along each edge.
    pub(crate) ends_to_come: usize,
    /// What the current call has made; kept for its capacity.
    pub(crate) emitted: Vec<Envelope>,
}

impl NodeTask {
    /// Works until the session ends.
    pub(crate) async fn run(mut self) {
        let mut clock = self.clock();
        while self.outlet.is_open() {
            let message = match &mut clock {
                None => self.inbox.recv().await,
                Some(ticks) => tokio::select! {
                    message = self.inbox.recv() => message,
                    _ = ticks.tick() => {
                        self.outlet.shared.going_on().await;
                        self.work(Work::Tick, Origin::default()).await;
                        continue;
                    }
                },
            };
            match message {
                None => return,
                Some(Message::Data(Envelope { data, origin, from })) => {
                    self.outlet.shared.going_on().await;
                    self.process(data, origin, from).await;
                }
                Some(Message::Finish(origin)) => {
                    self.ends_to_come = self.ends_to_come.saturating_sub(1);
                    if self.ends_to_come == 0 {
                        clock = None;
                        self.work(Work::Finish, origin.clone()).await;
                        self.outlet.finish(&origin).await;
                    }
                }
                Some(Message::HandOver { to }) => {
                    if self.instance.ready().await {
                        let instance = std::mem::replace(&mut self.instance, Instance::HandedOver);
                        match to.send(HandedOver { instance, params: self.settings.params(self.index) }) {
                            Ok(()) => clock = None,
                            // Whoever asked has stopped waiting: the node stays.
                            Err(HandedOver { instance, .. }) => self.instance = instance,
                        }
                    }
                }
                Some(Message::Configure { change, done }) => {
                    let result = self.configure(change).await;
                    if result.is_ok() {
                        clock = self.clock().filter(|_| self.ends_to_come > 0);
                    }
                    // Whoever asked may have stopped waiting.
                    done.send(result).ok();
                }
            }
        }
    }

    fn clock(&self) -> Option<Interval> {
        let period = self.instance.tick_every()?.max(Duration::from_millis(1));
        let mut ticks = interval_at(Instant::now() + period, period);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Some(ticks)
    }

    async fn process(&mut self, data: RuntimeData, origin: Origin, from: Option<Arc<str>>) {
        if let Some(error) = self.refusal(&data) {
            let bypassed = (self.outlet.policy == OnError::Bypass).then_some(data);
            self.fail(error, false, origin, bypassed).await;
            return;
        }
        self.work(Work::Process(data, from), origin).await;
    }

    async fn work(&mut self, work: Work, origin: Origin) {
        if !self.instance.ready().await && !self.rebuild(&origin).await {
            return;
        }
        let bypassed = match &work {
            Work::Process(data, _) if self.outlet.policy == OnError::Bypass => Some(data.clone()),
            _ => None,
        };
        let count: Option<fn(&NodeStats, Duration)> = match work {
            Work::Process(..) => Some(NodeStats::called),
            Work::Tick => Some(NodeStats::ticked),
            Work::Finish => None,
        };
        let started = Instant::now();
        let result = self.instance.call(work, &origin, &self.outlet, &mut self.emitted, self.timeout).await;
        if let Some(count) = count {
            count(&self.outlet.stats, started.elapsed().saturating_sub(self.outlet.waited()));
        }
        match result {
            Ok(()) => {
                // What was made carries the token on; the call itself is over.
                drop(origin);
                let mut emitted = std::mem::take(&mut self.emitted);
                for envelope in emitted.drain(..) {
                    self.outlet.send(envelope).await;
                }
                self.emitted = emitted;
            }
            Err(failure) => {
                self.emitted.clear();
                let must_rebuild = self.outlet.policy == OnError::Restart || matches!(failure, Failure::Panicked(_));
                let is_timeout = matches!(failure, Failure::TimedOut);
                let error = self.error(failure);
                self.fail(error, is_timeout, origin.clone(), bypassed).await;
                if must_rebuild && self.outlet.is_open() {
                    self.rebuild(&origin).await;
                }
            }
        }
    }

    /// Reports a failure as the node's policy says.
    async fn fail(&mut self, error: RuntimeError, is_timeout: bool, origin: Origin, bypassed: Option<RuntimeData>) {
        self.outlet.stats.failed(is_timeout);
        let is_fatal = self.outlet.policy == OnError::Fail;
        self.outlet.shared.report(&self.outlet.node, error, is_fatal, origin.token.clone()).await;
        if let Some(data) = bypassed {
            self.outlet.send(origin.derive(data)).await;
        }
    }

    /// Builds the node anew. Params that no longer work, for example because a file is gone, end the session.
    async fn rebuild(&mut self, origin: &Origin) -> bool {
        match self.node_type.create(&self.settings.params(self.index)) {
            Ok(instance) => {
                self.instance = instance.0.into();
                true
            }
            Err(problem) => {
                let error = self.error(Failure::Reported(problem.into()));
                self.outlet.shared.report(&self.outlet.node, error, true, origin.token.clone()).await;
                false
            }
        }
    }

    /// Changes the node's params, while no other node's change.
    async fn configure(&mut self, change: Change) -> Result<Params, RuntimeError> {
        let can_stay = self.instance.ready().await;
        let settings = Arc::clone(&self.settings);
        let _turn = settings.turn().await;
        let changed = match change {
            Change::All(params) => self.apply(&params, can_stay).map(|()| params),
            Change::Some(changes) => self.apply_some(&changes, can_stay),
        };
        changed.map_err(|refusal| match refusal {
            Refusal::Params(problem) => self.error(Failure::Reported(problem.into())),
            Refusal::Manifest(error) => error.into(),
        })
    }

    /// Changes some params. Of those that exclude each other the ones that were there before give way.
    fn apply_some(&mut self, changes: &Map<String, Value>, can_stay: bool) -> Result<Params, Refusal> {
        let mut values = merged(&self.settings.params(self.index), changes);
        loop {
            let params = checked(&self.outlet.node, &self.node_type, values.clone())?;
            let refusal = match self.apply(&params, can_stay) {
                Ok(()) => return Ok(params),
                Err(refusal) => refusal,
            };
            // One that comes back by default does not give way.
            if loser(&refusal, changes).is_none_or(|loser| values.remove(loser).is_none()) {
                return Err(refusal);
            }
        }
    }

    fn apply(&mut self, params: &Params, can_stay: bool) -> Result<(), Refusal> {
        if let Err(error) = self.settings.check(self.index, params) {
            // As before a pipeline runs, what is wrong with the params themselves comes first.
            self.node_type.create(params)?;
            return Err(error.into());
        }
        if !can_stay || !self.instance.set_params(params) {
            self.instance = self.node_type.create(params)?.0.into();
        }
        self.accepted = self.node_type.accepted_formats(params);
        self.settings.set(self.index, params.clone());
        Ok(())
    }

    fn error(&self, failure: Failure) -> RuntimeError {
        let (node, node_type) = (Arc::clone(&self.outlet.node), self.node_type.name().to_owned());
        match failure {
            Failure::Reported(source) => RuntimeError::NodeFailed { node, node_type, source },
            Failure::Panicked(message) => RuntimeError::NodePanicked { node, node_type, message },
            Failure::TimedOut => RuntimeError::NodeTimedOut { node, node_type, timeout: self.timeout },
        }
    }

    /// Why the node is not given `data`.
    fn refusal(&self, data: &RuntimeData) -> Option<RuntimeError> {
        let (node, node_type) = (&self.outlet.node, &self.node_type);
        if !node_type.accepted_kinds().contains(data.kind()) {
            let (node, accepted, found) = (Arc::clone(node), node_type.accepted_kinds(), data.kind());
            return Some(RuntimeError::KindNotAccepted {
                node,
                node_type: node_type.name().to_owned(),
                accepted,
                found,
            });
        }
        let found = MediaFormat::of(data);
        if is_taken(&self.accepted, &found) {
            return None;
        }
        let accepted = self.accepted.iter().filter(|accepted| accepted.kind() == found.kind).cloned().collect();
        let node = Arc::clone(node);
        Some(RuntimeError::FormatNotAccepted { node, node_type: node_type.name().to_owned(), accepted, found })
    }
}
