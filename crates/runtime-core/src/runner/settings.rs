//! The params that the nodes of a session work with, and what may become of them while it runs.

use parking_lot::Mutex;
use serde_json::{Map, Value};
use tokio::sync::MutexGuard;

use crate::{
    formats::Flow,
    manifest::{ManifestError, ManifestProblem},
    node::{NodeType, ParamProblem, Params, RawParams},
};

/// The params of all nodes of a session. A node is known by its place in the manifest.
#[derive(Debug)]
pub(crate) struct Settings {
    flow: Flow,
    params: Mutex<Vec<Params>>,
    changing: tokio::sync::Mutex<()>,
}

/// New params for a node that runs.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// All of them.
    All(Params),
    /// Some of them; null takes one back to its default.
    Some(Map<String, Value>),
}

/// Why a node that runs does not get new params.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// The node cannot be built of them.
    Params(ParamProblem),
    /// They are none of its type, or wrong where the node stands.
    Manifest(ManifestError),
}

impl From<ParamProblem> for Refusal {
    fn from(problem: ParamProblem) -> Self {
        Self::Params(problem)
    }
}

impl From<ManifestError> for Refusal {
    fn from(error: ManifestError) -> Self {
        Self::Manifest(error)
    }
}

impl Settings {
    pub(crate) fn new(flow: Flow, params: Vec<Params>) -> Self {
        Self { flow, params: Mutex::new(params), changing: tokio::sync::Mutex::default() }
    }

    pub(crate) fn params(&self, node: usize) -> Params {
        self.params.lock()[node].clone()
    }

    /// Waits until no other node of the session changes. What is checked while the guard lives stays true until it is
    /// dropped.
    pub(crate) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// Refuses params with which media would come in a format that is not taken.
    pub(crate) fn check(&self, node: usize, params: &Params) -> Result<(), ManifestError> {
        // Node types have a say in it: it is not to be done under the lock.
        let all = self.params.lock().clone();
        self.flow.check(|index| if index == node { params } else { &all[index] })
    }

    pub(crate) fn set(&self, node: usize, params: Params) {
        self.params.lock()[node] = params;
    }
}

/// Params out of `values`, with the defaults of those that are missing or null.
pub(crate) fn checked(id: &str, node_type: &NodeType, values: Map<String, Value>) -> Result<Params, ManifestError> {
    node_type.check_params(&RawParams::from_json(values)).map_err(|problem| {
        let (id, node_type) = (id.to_owned(), node_type.name().to_owned());
        ManifestError::new(None, ManifestProblem::Param { id, node_type, problem })
    })
}

/// The values of `before` with those of `changes` in their places.
pub(crate) fn merged(before: &Params, changes: &Map<String, Value>) -> Map<String, Value> {
    let mut values = match before.to_json() {
        Value::Object(values) => values,
        _ => Map::new(),
    };
    values.extend(changes.iter().map(|(name, value)| (name.clone(), value.clone())));
    values
}

/// Of two params that exclude each other the one that was there before; `None` if it is something else that is wrong, or
/// both were changed.
pub(crate) fn loser(refusal: &Refusal, changes: &Map<String, Value>) -> Option<&'static str> {
    let Refusal::Params(ParamProblem::Exclusive { first, second }) = refusal else { return None };
    match (changes.contains_key(*first), changes.contains_key(*second)) {
        (true, false) => Some(second),
        (false, true) => Some(first),
        _ => None,
    }
}
