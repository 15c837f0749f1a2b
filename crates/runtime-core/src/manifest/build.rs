use std::time::Duration;

use serde_json::Value;

use super::{
    Manifest, ManifestError, ManifestProblem, MediaFormat, NodeSpec, OnError, Suggestion,
    check::{self, Draft, DraftEdge},
    lower::{ID_RULE, is_id},
    tree::shorten,
};
use crate::{data::KindSet, node::RawParams};

/// Makes a [`Manifest`] in code.
///
/// ```
/// use remotemedia_runtime_core::manifest::Manifest;
/// use serde_json::json;
///
/// let manifest = Manifest::builder()
///     .node("louder", "Gain", json!({ "db": 6 }))
///     .edge("input", "louder")
///     .edge("louder", "output")
///     .build()?;
/// assert_eq!(manifest.nodes()[0].node_type(), "Gain");
/// # Ok::<(), remotemedia_runtime_core::manifest::ManifestError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct ManifestBuilder {
    draft: Draft,
    refused: Option<(String, String, &'static str)>,
}

impl ManifestBuilder {
    /// Adds a node. `params` is an object, or `null` for none.
    #[must_use]
    pub fn node(mut self, id: &str, node_type: &str, params: Value) -> Self {
        if !is_id(id) {
            self.refuse("node: id".to_owned(), format!("{:?}", shorten(id)), ID_RULE);
        }
        let mut raw = RawParams::default();
        match params {
            Value::Null => {}
            Value::Object(map) => map.into_iter().for_each(|(name, value)| raw.push(name, value, None)),
            other => self.refuse(format!("node {id:?}: params"), shorten(&other.to_string()), "an object"),
        }
        self.draft.nodes.push(NodeSpec {
            id: id.into(),
            node_type: node_type.to_owned(),
            params: raw,
            on_error: OnError::default(),
            timeout: Manifest::DEFAULT_TIMEOUT,
            queue: Manifest::DEFAULT_QUEUE,
            place: None,
            type_place: None,
        });
        self
    }

    /// Says that the pipeline makes sense only with all peers in one session.
    #[must_use]
    pub fn shared(mut self) -> Self {
        self.draft.shared = true;
        self
    }

    /// Says what happens when the node added last fails.
    #[must_use]
    pub fn on_error(mut self, policy: OnError) -> Self {
        if let Some(node) = self.draft.nodes.last_mut() {
            node.on_error = policy;
        }
        self
    }

    /// Says how long one call of the node added last may take.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        if let Some(node) = self.draft.nodes.last_mut() {
            node.timeout = timeout;
        }
        self
    }

    /// Says how many pieces of data may wait before the node added last, 1 to 4,096.
    #[must_use]
    pub fn queue(mut self, queue: usize) -> Self {
        if let Some(node) = self.draft.nodes.last_mut() {
            node.queue = queue.clamp(1, 4_096);
        }
        self
    }

    /// Adds an edge; `input` and `output` are the pipeline's ends.
    #[must_use]
    pub fn edge(self, from: &str, to: &str) -> Self {
        self.edge_only(from, to, KindSet::ALL)
    }

    /// Adds an edge that lets only some kinds of data pass.
    #[must_use]
    pub fn edge_only(mut self, from: &str, to: &str, only: KindSet) -> Self {
        self.draft.edges.push(DraftEdge { from: from.to_owned(), to: to.to_owned(), only, place: None });
        self
    }

    /// Adds an input with its own id; `input` is one only as long as there is none.
    #[must_use]
    pub fn input(mut self, id: &str) -> Self {
        self.draft.inputs.push(super::Port { id: id.into(), place: None });
        self
    }

    /// Adds an output with its own id; `output` is one only as long as there is none.
    #[must_use]
    pub fn output(mut self, id: &str) -> Self {
        self.draft.outputs.push(super::Port { id: id.into(), place: None });
        self
    }

    /// Adds a format that the pipeline takes.
    #[must_use]
    pub fn takes(mut self, format: MediaFormat) -> Self {
        self.draft.input_formats.push(format);
        self
    }

    /// Adds a format that the pipeline makes.
    #[must_use]
    pub fn makes(mut self, format: MediaFormat) -> Self {
        self.draft.output_formats.push(format);
        self
    }

    /// The manifest.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] if an id, params or an edge is wrong.
    pub fn build(self) -> Result<Manifest, ManifestError> {
        if let Some((at, value, allowed)) = self.refused {
            let suggestion = Suggestion::default();
            let problem = ManifestProblem::BadValue { at, value, suggestion, allowed: allowed.to_owned() };
            return Err(ManifestError::new(None, problem));
        }
        check::finish(self.draft)
    }

    fn refuse(&mut self, at: String, value: String, allowed: &'static str) {
        self.refused.get_or_insert((at, value, allowed));
    }
}
