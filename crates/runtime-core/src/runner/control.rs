use std::sync::{Arc, Weak};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::{
    NodeMetrics,
    envelope::{HandedOver, Message},
    metrics::NodeStats,
    shared::{Phase, Shared},
};
use crate::{
    error::RuntimeError,
    manifest::{ManifestError, ManifestProblem},
    node::{NodeType, RawParams},
};

/// A handle to a running session, for whoever watches and steers it. Cloning counts a reference; it does not keep the
/// session alive.
#[derive(Clone, Debug)]
pub struct SessionControl {
    nodes: Arc<[NodeHandle]>,
    session: Arc<str>,
    shared: Weak<Shared>,
}

#[derive(Debug)]
pub(crate) struct NodeHandle {
    pub(crate) id: Arc<str>,
    pub(crate) type_name: Arc<str>,
    pub(crate) node_type: Arc<NodeType>,
    pub(crate) inbox: mpsc::Sender<Message>,
    pub(crate) stats: Arc<NodeStats>,
    /// Whether the node is fed by nothing but its own clock.
    pub(crate) is_source: bool,
}

impl SessionControl {
    pub(crate) fn new(nodes: Vec<NodeHandle>, shared: &Arc<Shared>) -> Self {
        Self { nodes: nodes.into(), session: Arc::clone(&shared.id), shared: Arc::downgrade(shared) }
    }

    /// The session's id.
    pub fn session_id(&self) -> &str {
        &self.session
    }

    /// Whether the session accepts input.
    pub fn is_active(&self) -> bool {
        self.shared.upgrade().is_some_and(|shared| shared.phase() == Phase::Active)
    }

    /// Holds the session: its nodes take nothing more, whoever sends to it waits once its queues are full, and clocks of
    /// nodes stand still. New params apply when it [goes on](Self::resume).
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Lets a paused session go on.
    pub fn resume(&self) {
        self.set_paused(false);
    }

    /// Whether the session is paused.
    pub fn is_paused(&self) -> bool {
        self.shared.upgrade().is_some_and(|shared| *shared.paused.borrow())
    }

    fn set_paused(&self, paused: bool) {
        if let Some(shared) = self.shared.upgrade() {
            shared.paused.send_replace(paused);
        }
    }

    /// What each node has done so far, in the order in which data flows through them.
    pub fn metrics(&self) -> Vec<NodeMetrics> {
        let nodes = self.nodes.iter();
        nodes
            .map(|node| {
                let queued = node.inbox.max_capacity() - node.inbox.capacity();
                node.stats.snapshot(&node.id, &node.type_name, queued)
            })
            .collect()
    }

    /// Gives a node new params, between two pieces of data. A node that can keeps its state; another is built anew.
    /// Params that are not given take their defaults.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::UnknownNode`], [`RuntimeError::Manifest`] if the params are wrong, in which case the node goes
    /// on with the old ones, or that the session has ended.
    pub async fn reconfigure(&self, node: &str, params: Value) -> Result<(), RuntimeError> {
        let Some(handle) = self.nodes.iter().find(|handle| &*handle.id == node) else {
            let known = self.nodes.iter().map(|handle| handle.id.to_string()).collect();
            return Err(RuntimeError::UnknownNode { node: node.to_owned(), known });
        };
        let params = match params {
            Value::Object(params) => params,
            _ => Map::new(),
        };
        let params = handle.node_type.check_params(&RawParams::from_json(params)).map_err(|problem| {
            let (id, node_type) = (handle.id.to_string(), handle.type_name.to_string());
            ManifestError::new(None, ManifestProblem::Param { id, node_type, problem })
        })?;
        let closed = || RuntimeError::SessionClosed { session: Arc::clone(&self.session) };
        let (done, answer) = oneshot::channel();
        handle.inbox.send(Message::Configure { params, done }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// Takes a node of this type out of the session, with its state, to go on in another one; `None` if there is none.
    pub(crate) async fn hand_over(&self, node: &str, type_name: &str) -> Option<HandedOver> {
        let handle = self.nodes.iter().find(|handle| &*handle.id == node && &*handle.type_name == type_name)?;
        let (to, taken) = oneshot::channel();
        handle.inbox.send(Message::HandOver { to }).await.ok()?;
        taken.await.ok()
    }

    pub(crate) fn nodes(&self) -> &[NodeHandle] {
        &self.nodes
    }

    /// The node at which data ended that never came out.
    pub(crate) fn where_data_ended(&self) -> Arc<str> {
        let metrics = self.metrics();
        let called = || metrics.iter().rev().filter(|node| node.calls > 0);
        let silent = called().find(|node| node.emitted == 0);
        silent.or_else(|| called().next()).map_or_else(|| "input".into(), |node| Arc::clone(&node.id))
    }
}
