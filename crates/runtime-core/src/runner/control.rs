use std::sync::{Arc, Weak};

use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};

use super::{
    NodeMetrics,
    envelope::{HandedOver, Message},
    metrics::NodeStats,
    settings::{Change, Settings, checked, merged},
    shared::{Phase, Shared},
};
use crate::{
    error::RuntimeError,
    node::{NodeType, Params},
};

/// A handle to a running session, for whoever watches and steers it. Cloning counts a reference; it does not keep the
/// session alive.
#[derive(Clone, Debug)]
pub struct SessionControl {
    nodes: Arc<[NodeHandle]>,
    settings: Arc<Settings>,
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
    /// Its place in the manifest.
    pub(crate) index: usize,
    /// Whether the node is fed by nothing but its own clock.
    pub(crate) is_source: bool,
}

impl SessionControl {
    pub(crate) fn new(nodes: Vec<NodeHandle>, settings: Arc<Settings>, shared: &Arc<Shared>) -> Self {
        Self { nodes: nodes.into(), settings, session: Arc::clone(&shared.id), shared: Arc::downgrade(shared) }
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
    /// nodes stand still. New params apply when it [goes on](Self::resume). A session in whose place
    /// [another](super::PipelineRunner::create_session_after) is put cannot be held any more.
    pub fn pause(&self) {
        self.set_paused(true);
    }

    /// Lets a paused session go on.
    pub fn resume(&self) {
        self.set_paused(false);
    }

    /// Whether the session is paused.
    pub fn is_paused(&self) -> bool {
        self.shared.upgrade().is_some_and(|shared| shared.is_paused())
    }

    fn set_paused(&self, paused: bool) {
        if let Some(shared) = self.shared.upgrade() {
            shared.set_paused(paused);
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
    /// Params that are not given take their defaults; to leave them as they are, use
    /// [`change_params`](Self::change_params).
    ///
    /// What the new params make of media, and what the node takes with them, must fit the nodes around it, as when the
    /// session was created. To change both ends of an edge at once, put another session in the place of this one:
    /// [`create_session_after`](super::PipelineRunner::create_session_after).
    ///
    /// A node that was told goes on with the new params even if this future is dropped.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::UnknownNode`]; [`RuntimeError::Manifest`] if the params are none of the node's type or a
    /// conversion would be missing, which it names; [`RuntimeError::NodeFailed`] if no node can be built of them, for
    /// example because two exclude each other; or that the session has ended. The node then goes on as it was.
    pub async fn reconfigure(&self, node: &str, params: Value) -> Result<(), RuntimeError> {
        let handle = self.handle(node)?;
        let params = match params {
            Value::Object(params) => params,
            _ => Map::new(),
        };
        let params = checked(&handle.id, &handle.node_type, params)?;
        self.tell(handle, Change::All(params)).await.map(drop)
    }

    /// Changes some params of a node and leaves the others as they are, as [`reconfigure`](Self::reconfigure) does;
    /// `null` takes one back to its default. Callers that change different params at once do not undo each other. A param
    /// that was there before and excludes one that is changed is taken back. Answers the params that the node works with
    /// from now on.
    ///
    /// ```
    /// # use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};
    /// # use serde_json::json;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let manifest = Manifest::builder().node("louder", "Gain", json!({ "db": 6 })).build()?;
    /// let session = PipelineRunner::new().create_session(&manifest)?;
    /// let changes = [("linear".to_owned(), json!(0.5))];
    /// let params = session.control().change_params("louder", changes.into_iter().collect()).await?;
    /// assert_eq!((params.number("linear"), params.number("db")), (Some(0.5), None));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// As [`reconfigure`](Self::reconfigure).
    pub async fn change_params(&self, node: &str, changes: Map<String, Value>) -> Result<Params, RuntimeError> {
        let handle = self.handle(node)?;
        // What is wrong whatever the others are is said at once, even if the node is busy or the session paused.
        checked(&handle.id, &handle.node_type, merged(&self.settings.params(handle.index), &changes))?;
        self.tell(handle, Change::Some(changes)).await
    }

    fn handle(&self, node: &str) -> Result<&NodeHandle, RuntimeError> {
        self.nodes.iter().find(|handle| &*handle.id == node).ok_or_else(|| {
            let known = self.nodes.iter().map(|handle| handle.id.to_string()).collect();
            RuntimeError::UnknownNode { node: node.to_owned(), known }
        })
    }

    /// Tells the node's task, and waits for its answer.
    async fn tell(&self, handle: &NodeHandle, change: Change) -> Result<Params, RuntimeError> {
        let closed = || RuntimeError::SessionClosed { session: Arc::clone(&self.session) };
        let (done, answer) = oneshot::channel();
        handle.inbox.send(Message::Configure { change, done }).await.map_err(|_| closed())?;
        answer.await.map_err(|_| closed())?
    }

    /// The params that a node works with, those by default included; `None` if there is no such node.
    pub fn params(&self, node: &str) -> Option<Params> {
        self.handle(node).ok().map(|handle| self.settings.params(handle.index))
    }

    /// The session is to be emptied for another one: it goes on, and cannot be paused any more.
    pub(crate) fn leave(&self) {
        if let Some(shared) = self.shared.upgrade() {
            shared.leave();
        }
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
