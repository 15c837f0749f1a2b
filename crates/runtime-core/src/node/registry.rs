use std::{collections::BTreeMap, sync::Arc};

use super::{Emitter, NodeResult, NodeType};
use crate::{
    data::RuntimeData,
    manifest::{Manifest, ManifestError, ManifestProblem, NodeSpec, Suggestion},
    nodes,
};

/// The node types that manifests may name.
///
/// ```
/// use remotemedia_runtime_core::{data::RuntimeData, node::NodeRegistry};
///
/// let mut registry = NodeRegistry::with_builtin();
/// registry.register_fn("Shout", |input, out| {
///     match input {
///         RuntimeData::Text(text) => out.emit(text.to_uppercase()),
///         other => out.emit(other),
///     }
///     Ok(())
/// });
/// assert!(registry.get("Shout").is_some());
/// ```
#[derive(Clone, Debug, Default)]
pub struct NodeRegistry {
    types: BTreeMap<String, Arc<NodeType>>,
    switched_off: BTreeMap<String, String>,
}

impl NodeRegistry {
    /// A registry without any type.
    pub fn new() -> Self {
        Self::default()
    }

    /// A registry with the types of this crate: `Echo`, `Gain`, `PassThrough`, `VideoFlip`.
    pub fn with_builtin() -> Self {
        let mut registry = Self::new();
        for node_type in nodes::all() {
            registry.register(node_type);
        }
        registry
    }

    /// Adds a type. One of the same name is replaced.
    pub fn register(&mut self, node_type: NodeType) -> &mut Self {
        self.switched_off.remove(node_type.name());
        self.types.insert(node_type.name().to_owned(), Arc::new(node_type));
        self
    }

    /// Adds a type without params whose nodes call `function`: see [`NodeType::from_fn`].
    pub fn register_fn<F>(&mut self, name: impl Into<String>, function: F) -> &mut Self
    where
        F: FnMut(RuntimeData, &mut Emitter<'_>) -> NodeResult + Clone + Send + Sync + 'static,
    {
        self.register(NodeType::from_fn(name, function))
    }

    /// Says that a type exists, but needs a cargo feature that is off; manifests that name it are told so.
    pub fn switched_off(&mut self, name: impl Into<String>, feature: impl Into<String>) -> &mut Self {
        let name = name.into();
        if !self.types.contains_key(&name) {
            self.switched_off.insert(name, feature.into());
        }
        self
    }

    /// The type of the name `name`.
    pub fn get(&self, name: &str) -> Option<&Arc<NodeType>> {
        self.types.get(name)
    }

    /// Every type, by name.
    pub fn types(&self) -> impl Iterator<Item = &NodeType> {
        self.types.values().map(|node_type| &**node_type)
    }

    /// The type of a manifest's node.
    pub(crate) fn resolve(&self, manifest: &Manifest, node: &NodeSpec) -> Result<Arc<NodeType>, ManifestError> {
        let name = node.node_type.as_str();
        if let Some(node_type) = self.types.get(name) {
            return Ok(Arc::clone(node_type));
        }
        let (id, node_type) = (node.id.to_string(), name.chars().take(60).collect());
        let problem = match self.switched_off.get(name) {
            Some(feature) => ManifestProblem::FeatureOff { id, node_type, feature: feature.clone() },
            None => ManifestProblem::UnknownType {
                id,
                node_type,
                suggestion: Suggestion::for_name(name, self.types.keys().map(String::as_str)),
                known: self.types.keys().cloned().collect(),
            },
        };
        Err(manifest.error(node.type_place, problem))
    }
}
