use std::{sync::Arc, time::Duration};

use crate::{
    data::{DataKind, KindSet},
    manifest::{ManifestError, MediaFormat, one_of},
    node::{AcceptedFormat, NodeError},
};

/// Why a pipeline does not run, or not any more.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RuntimeError {
    /// The manifest is refused.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// A node reported a failure.
    #[error("node {node:?} ({node_type}) failed: {source}")]
    NodeFailed {
        /// The node's id.
        node: Arc<str>,
        /// Its type.
        node_type: String,
        /// What it reported.
        source: NodeError,
    },
    /// A node panicked.
    #[error("node {node:?} ({node_type}) panicked: {message}")]
    NodePanicked {
        /// The node's id.
        node: Arc<str>,
        /// Its type.
        node_type: String,
        /// What the panic said.
        message: String,
    },
    /// A call of a node took longer than it may.
    #[error("node {node:?} ({node_type}) exceeded its time-out of {timeout:?}")]
    NodeTimedOut {
        /// The node's id.
        node: Arc<str>,
        /// Its type.
        node_type: String,
        /// The time-out.
        timeout: Duration,
    },
    /// A node was given data of a kind that it does not take.
    #[error("node {node:?} ({node_type}) takes {accepted}, but was given {found}")]
    KindNotAccepted {
        /// The node's id.
        node: Arc<str>,
        /// Its type.
        node_type: String,
        /// The kinds it takes.
        accepted: KindSet,
        /// The kind that came.
        found: DataKind,
    },
    /// A node was given media of a format that it does not take.
    #[error("node {node:?} ({node_type}) takes {}, but was given {found}", one_of(accepted))]
    FormatNotAccepted {
        /// The node's id.
        node: Arc<str>,
        /// Its type.
        node_type: String,
        /// The formats of that kind that it takes.
        accepted: Vec<AcceptedFormat>,
        /// The format that came.
        found: MediaFormat,
    },
    /// The pipeline made nothing of an input.
    #[error("the pipeline has no output for this input: node {node:?} emitted nothing")]
    NoOutput {
        /// The node at which the data ended.
        node: Arc<str>,
    },
    /// An input is none that the manifest declares.
    #[error("the pipeline takes {}, but was given {found}", one_of(declared))]
    UnexpectedInput {
        /// What the manifest declares.
        declared: Vec<MediaFormat>,
        /// What came.
        found: MediaFormat,
    },
    /// An output is none that the manifest declares.
    #[error("the pipeline makes {}, but node {node:?} emitted {found}", one_of(declared))]
    UnexpectedOutput {
        /// The node that made it.
        node: Arc<str>,
        /// What the manifest declares.
        declared: Vec<MediaFormat>,
        /// What came out.
        found: MediaFormat,
    },
    /// An input names a port that does not exist.
    #[error("the pipeline has no input {port:?}; it has {}", known.join(", "))]
    UnknownInput {
        /// The name.
        port: Arc<str>,
        /// The inputs that exist.
        known: Vec<String>,
    },
    /// A name that no node of the session has.
    #[error("the pipeline has no node {node:?}; it has {}", known.join(", "))]
    UnknownNode {
        /// The name.
        node: String,
        /// The nodes that exist.
        known: Vec<String>,
    },
    /// So many outputs wait unread that nothing moves any more.
    #[error("{waiting} outputs wait unread, and the pipeline stands still until they are received")]
    OutputsUnread {
        /// How many wait.
        waiting: usize,
    },
    /// The session ended because a node failed.
    #[error("the session ended when node {node:?} failed")]
    SessionFailed {
        /// The node's id.
        node: Arc<str>,
    },
    /// The session was closed, or its end of input was announced.
    #[error("session {session} is closed")]
    SessionClosed {
        /// The session's id.
        session: Arc<str>,
    },
    /// A session was created outside of a tokio runtime.
    #[error("a session needs a tokio runtime")]
    NoRuntime,
    /// A transport failed to reach the pipeline.
    #[error("the transport failed: {source}")]
    Transport {
        /// What it reported.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl RuntimeError {
    /// The failure of a transport that runs pipelines elsewhere, or carries their media.
    pub fn transport(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Transport { source: source.into() }
    }

    /// The id of the node that it is about.
    pub fn node(&self) -> Option<&str> {
        match self {
            Self::NodeFailed { node, .. }
            | Self::NodePanicked { node, .. }
            | Self::NodeTimedOut { node, .. }
            | Self::KindNotAccepted { node, .. }
            | Self::FormatNotAccepted { node, .. }
            | Self::NoOutput { node }
            | Self::UnexpectedOutput { node, .. }
            | Self::SessionFailed { node } => Some(node),
            Self::UnknownNode { node, .. } => Some(node),
            _ => None,
        }
    }

    /// What to do about it, where that is not plain from the message.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NodeFailed { .. } | Self::NodePanicked { .. } => {
                Some("to keep the session alive, set the node's on_error to skip, bypass or restart in the manifest")
            }
            Self::NodeTimedOut { .. } => Some("raise the node's timeout_ms in the manifest, or give it less to do"),
            Self::KindNotAccepted { .. } => {
                Some("let only fitting data pass with \"only: KIND\" on the edge that leads to the node")
            }
            Self::FormatNotAccepted { .. } => {
                Some("put a node that converts before it, or declare \"inputs\" so that the manifest is checked for it")
            }
            Self::NoOutput { .. } => Some("use a stream for pipelines that answer some inputs only"),
            Self::UnexpectedInput { .. } => Some("convert the data first, or change \"inputs\" in the manifest"),
            Self::UnexpectedOutput { .. } => {
                Some("put a node that converts before the output, or change \"outputs\" in the manifest")
            }
            Self::OutputsUnread { .. } => Some("call recv_output after each send_input, or split the session"),
            Self::SessionFailed { .. } | Self::SessionClosed { .. } => Some("create a new session"),
            Self::NoRuntime => Some("call it from within #[tokio::main] or Runtime::block_on"),
            _ => None,
        }
    }
}
