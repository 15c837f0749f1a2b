//! Nodes: what they do, what they can be told, and the registry that knows them by name.

mod emitter;
mod format;
mod node_type;
mod params;
mod registry;

use std::{error::Error, time::Duration};

use async_trait::async_trait;

pub use emitter::{AsyncEmitter, Emitter};
pub use format::{AcceptedFormat, Allowed, Conversion, Converter};
pub(crate) use format::{Change, is_taken};
pub(crate) use node_type::InstanceKind;
pub use node_type::{NodeInstance, NodeType, Produces};
pub(crate) use params::RawParams;
pub use params::{ParamKind, ParamProblem, ParamSpec, Params};
pub use registry::NodeRegistry;

use crate::{data::RuntimeData, runner::Origin};

/// Why a node could not do its work. Any error converts, and so does a text.
pub type NodeError = Box<dyn Error + Send + Sync>;

/// What a node's call answers.
pub type NodeResult = Result<(), NodeError>;

/// One step of a pipeline that computes without waiting.
///
/// A session builds its own nodes and calls each from one task, one call at a time, in the order of the data. Calls
/// should take well under 10 ms; a node that computes longer is registered with [`NodeType::heavy`], one that waits for
/// something is an [`AsyncNode`].
///
/// Data that a call emits belongs to its input. Data that a node keeps belongs to nobody until a later call emits it.
pub trait Node: Send + 'static {
    /// Works on one piece of data.
    ///
    /// # Errors
    ///
    /// Whatever the node likes to report; the manifest's `on_error` decides what becomes of the session.
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult;

    /// Emits what is still kept: no further input comes.
    ///
    /// # Errors
    ///
    /// As [`Node::process`].
    fn finish(&mut self, _out: &mut Emitter<'_>) -> NodeResult {
        Ok(())
    }

    /// How often [`Node::tick`] is wanted; asked once, before the first call.
    fn tick_every(&self) -> Option<Duration> {
        None
    }

    /// Works on the node's own clock, without an input.
    ///
    /// # Errors
    ///
    /// As [`Node::process`].
    fn tick(&mut self, _out: &mut Emitter<'_>) -> NodeResult {
        Ok(())
    }

    /// Takes new params and keeps its state. `false`, the default, has the node built anew instead.
    fn set_params(&mut self, _params: &Params) -> bool {
        false
    }
}

/// One step of a pipeline that waits: for a server, a device, a timer.
///
/// As [`Node`] otherwise. A call that exceeds its time-out is dropped at the point where it waits.
#[async_trait]
pub trait AsyncNode: Send + 'static {
    /// Works on one piece of data.
    ///
    /// # Errors
    ///
    /// As [`Node::process`].
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult;

    /// Emits what is still kept: no further input comes.
    ///
    /// # Errors
    ///
    /// As [`Node::process`].
    async fn finish(&mut self, _out: &mut AsyncEmitter<'_>) -> NodeResult {
        Ok(())
    }

    /// How often [`AsyncNode::tick`] is wanted; asked once, before the first call.
    fn tick_every(&self) -> Option<Duration> {
        None
    }

    /// Works on the node's own clock, without an input.
    ///
    /// # Errors
    ///
    /// As [`Node::process`].
    async fn tick(&mut self, _out: &mut AsyncEmitter<'_>) -> NodeResult {
        Ok(())
    }

    /// Takes new params and keeps its state. `false`, the default, has the node built anew instead.
    fn set_params(&mut self, _params: &Params) -> bool {
        false
    }
}

/// Calls `node` once, outside of any pipeline, and answers what it emitted: for tests of nodes.
///
/// # Errors
///
/// What the node reports.
pub fn process_once(node: &mut dyn Node, input: impl Into<RuntimeData>) -> Result<Vec<RuntimeData>, NodeError> {
    emitted(|out| node.process(input.into(), out))
}

/// Tells `node` that no further input comes, outside of any pipeline, and answers what it emitted: for tests of nodes.
///
/// # Errors
///
/// What the node reports.
pub fn finish_once(node: &mut dyn Node) -> Result<Vec<RuntimeData>, NodeError> {
    emitted(|out| node.finish(out))
}

fn emitted(call: impl FnOnce(&mut Emitter<'_>) -> NodeResult) -> Result<Vec<RuntimeData>, NodeError> {
    let origin = Origin::default();
    let mut emitted = Vec::new();
    call(&mut Emitter::new(&origin, &mut emitted, None))?;
    Ok(emitted.into_iter().map(|envelope| envelope.data).collect())
}
