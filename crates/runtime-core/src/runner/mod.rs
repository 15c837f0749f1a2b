//! Running pipelines in this process: one task per node, bounded queues between them.

mod control;
mod envelope;
mod in_flight;
mod instance;
mod metrics;
mod outlet;
mod session;
mod settings;
mod shared;
mod task;

use std::sync::Arc;

use async_trait::async_trait;

pub use control::SessionControl;
pub(crate) use envelope::{Envelope, Origin};
pub(crate) use instance::Instance;
pub use metrics::NodeMetrics;
pub(crate) use metrics::NodeStats;
pub(crate) use outlet::Outlet;
pub use session::{Session, SessionReceiver, SessionSender};

use crate::{
    error::RuntimeError,
    graph::{self, Graph},
    manifest::{Manifest, ManifestError},
    node::NodeRegistry,
    transport::{PipelineTransport, StreamSession, TransportData},
};

/// Runs pipelines in this process. Cloning counts a reference.
#[derive(Clone, Debug)]
pub struct PipelineRunner {
    registry: Arc<NodeRegistry>,
    output_queue: usize,
}

impl PipelineRunner {
    /// How many outputs of a session wait unread at most, unless [`PipelineRunner::with_output_queue`] says otherwise.
    pub const DEFAULT_OUTPUT_QUEUE: usize = 1_024;

    /// A runner that knows the node types of this crate.
    pub fn new() -> Self {
        Self::with_registry(NodeRegistry::with_builtin())
    }

    /// A runner that knows the node types of `registry`.
    pub fn with_registry(registry: impl Into<Arc<NodeRegistry>>) -> Self {
        Self { registry: registry.into(), output_queue: Self::DEFAULT_OUTPUT_QUEUE }
    }

    /// The same runner, with room for `outputs` unread outputs per session, at least one. A full queue holds the nodes
    /// up; nothing is dropped. An unread 720p picture takes 1.4 MB, unless its pixels are in use elsewhere too.
    #[must_use]
    pub fn with_output_queue(mut self, outputs: usize) -> Self {
        self.output_queue = outputs.clamp(1, 1 << 20);
        self
    }

    /// The node types that it knows.
    pub fn registry(&self) -> &NodeRegistry {
        &self.registry
    }

    /// Checks everything about `manifest` that can be known before it runs.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] with the place of the mistake.
    pub fn check(&self, manifest: &Manifest) -> Result<(), ManifestError> {
        Graph::compile(manifest, &self.registry).map(drop)
    }

    /// The edges of `manifest` as pairs of ids, to draw the graph: those of [`Manifest::edges`] and those to and from the ends
    /// that it leaves unsaid.
    ///
    /// # Errors
    ///
    /// As [`PipelineRunner::check`].
    pub fn connections(&self, manifest: &Manifest) -> Result<Vec<(String, String)>, ManifestError> {
        graph::connections(manifest, &self.registry)
    }

    /// Starts the pipeline for a stream of inputs. Nothing is shared with any other session.
    ///
    /// # Errors
    ///
    /// [`RuntimeError::Manifest`] if the manifest is refused, [`RuntimeError::NoRuntime`] outside of a tokio runtime.
    pub fn create_session(&self, manifest: &Manifest) -> Result<Session, RuntimeError> {
        let graph = Graph::compile(manifest, &self.registry)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| RuntimeError::NoRuntime)?;
        Ok(Session::start(manifest, graph, self.output_queue, &runtime))
    }

    /// Starts the pipeline in the place of a running session: nodes of the same id and type go on in the new one with
    /// what they know, with new params where the manifest gives them others; the rest is built anew. What the nodes that
    /// stay behind still keep comes out of the old session when it is [finished](SessionSender::finish).
    ///
    /// Nothing may be sent to the old session any more; for nothing to be lost, everything that was sent must have come
    /// out, as far as it does: [`SessionReceiver::recv_output`] has answered `None`. A [paused](SessionControl::pause) session goes
    /// on, so that it can be emptied; the new one is not paused.
    ///
    /// # Errors
    ///
    /// As [`PipelineRunner::create_session`]; the old session then goes on.
    pub async fn create_session_after(
        &self,
        manifest: &Manifest,
        before: &SessionControl,
    ) -> Result<Session, RuntimeError> {
        let mut graph = Graph::compile(manifest, &self.registry)?;
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| RuntimeError::NoRuntime)?;
        // A node that stands still would never be handed over.
        before.leave();
        for node in &mut graph.nodes {
            let Some(mut before) = before.hand_over(&node.spec.id, node.node_type.name()).await else { continue };
            if before.params == node.params || before.instance.set_params(&node.params) {
                node.instance = before.instance;
            }
        }
        Ok(Session::start(manifest, graph, self.output_queue, &runtime))
    }

    /// Runs `input` through the pipeline and answers its first output. The input is the only one: nodes that keep
    /// something for later give it away.
    ///
    /// # Errors
    ///
    /// As [`PipelineRunner::create_session`] and [`StreamSession::recv_output`], and [`RuntimeError::NoOutput`] if the
    /// pipeline makes nothing of this input.
    pub async fn execute(&self, manifest: &Manifest, input: TransportData) -> Result<TransportData, RuntimeError> {
        let mut session = self.create_session(manifest)?;
        session.send_input(input).await?;
        session.finish().await?;
        let output = session.recv_output().await?;
        output.ok_or_else(|| RuntimeError::NoOutput { node: session.control().where_data_ended() })
    }
}

impl Default for PipelineRunner {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl PipelineTransport for PipelineRunner {
    async fn execute(&self, manifest: Arc<Manifest>, input: TransportData) -> Result<TransportData, RuntimeError> {
        Self::execute(self, &manifest, input).await
    }

    async fn stream(&self, manifest: Arc<Manifest>) -> Result<Box<dyn StreamSession>, RuntimeError> {
        Ok(Box::new(self.create_session(&manifest)?))
    }
}
