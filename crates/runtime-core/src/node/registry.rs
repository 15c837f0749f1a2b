use std::{collections::BTreeMap, sync::Arc};

use super::{AcceptedFormat, Change, Converter, Emitter, NodeResult, NodeType, is_taken};
use crate::{
    data::{KindSet, RuntimeData},
    manifest::{Manifest, ManifestError, ManifestProblem, MediaFormat, NodeSpec, Suggestion},
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

    /// Adds a type without params whose nodes call `function`: see [`NodeType::from_fn`]. The function must not block, since it
    /// holds a thread of the runtime: what computes for more than about 10 ms is for [`NodeType::heavy`], and what waits for
    /// something is for [`NodeType::asynchronous`].
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

    /// The nodes that make of `format` one of those that are `accepted`, in the order of the data; none if none do.
    pub(crate) fn converters(&self, format: MediaFormat, accepted: &[AcceptedFormat]) -> Vec<Converter> {
        let of_kind = accepted.iter().filter(|accepted| accepted.kind() == format.kind);
        let ways = of_kind.filter_map(|accepted| {
            let (mut format, mut way) = (format, Vec::new());
            for change in accepted.changes(&format) {
                let (converter, made) = self.converter(change, format)?;
                format = made;
                way.push(converter);
            }
            accepted.accepts(&format).then_some(way)
        });
        ways.min_by_key(Vec::len).unwrap_or_default()
    }

    /// The node that makes data of a kind that is `accepted` of data of a kind that is `found`; none if none does.
    pub(crate) fn kind_converters(&self, found: KindSet, accepted: KindSet) -> Vec<Converter> {
        let pairs = found.iter().flat_map(|from| accepted.iter().map(move |to| (from, to)));
        let converters = pairs.filter_map(|(from, to)| {
            let converted = self.converter(Change::Kind { from, to }, MediaFormat::any(from));
            converted.map(|(converter, _)| converter)
        });
        converters.take(1).collect()
    }

    /// The first type that makes `change`, with its params, and what it makes of `format`.
    fn converter(&self, change: Change, format: MediaFormat) -> Option<(Converter, MediaFormat)> {
        self.types.values().find_map(|node_type| {
            let given = node_type.conversions().iter().find_map(|conversion| conversion.params_for(change))?;
            let params = node_type
                .params_from(given.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect())
                .ok()?;
            // Not one that could not take it either, or that does not work with these params.
            if !is_taken(&node_type.accepted_formats(&params), &format) || node_type.build(&params).is_err() {
                return None;
            }
            let made = node_type.made_format(format, &params).unwrap_or(MediaFormat::any(format.kind));
            Some((Converter { node_type: node_type.name().to_owned(), params: given }, made))
        })
    }
}
