//! From the tree of a text, in either spelling, to the one model.

use std::time::Duration;

use super::{
    Manifest, ManifestError, ManifestProblem, MediaFormat, NodeSpec, OnError, Place,
    check::{self, Draft, DraftEdge},
    fields::Fields,
    format,
    tree::{Tree, TreeValue, shorten},
};
use crate::{
    data::{DataKind, KindSet},
    node::RawParams,
};

const TOP: &[&str] = &["pipeline", "version", "metadata", "nodes", "connections", "graph"];
const PIPELINE: &[&str] = &["manifest", "metadata", "nodes", "graph", "connections"];
const DECLARATION: &[&str] = &["version", "name", "description", "inputs", "outputs"];
const METADATA: &[&str] = &["name", "description", "created_at", "shared"];
const NODE: &[&str] = &[
    "id",
    "type",
    "node_type",
    "executor",
    "params",
    "on_error",
    "timeout_ms",
    "queue",
    "is_streaming",
    "is_output_node",
];
const EDGE: &[&str] = &["from", "to", "only"];
const VERSIONS: [&str; 6] = ["0.1", "v0.1", "1", "v1", "1.0", "v1.0"];
const LONGEST_ID: usize = 128;

/// The manifest that `tree` describes.
pub(super) fn lower(tree: &Tree) -> Result<Manifest, ManifestError> {
    let top = Fields::of(tree, "the manifest", TOP)?;
    let mut draft = Draft { version: version(&top)?, ..Draft::default() };
    metadata(&mut draft, &top)?;
    let (nodes, edges, body_place) = match top.get("pipeline") {
        Some(pipeline) => {
            for other in ["nodes", "connections", "graph"] {
                if let Some(tree) = top.get(other) {
                    return Err(top.bad_value(tree, other, "a second pipeline", "the fields under \"pipeline\" alone"));
                }
            }
            let fields = Fields::of(pipeline, "the pipeline", PIPELINE)?;
            metadata(&mut draft, &fields)?;
            if let Some(manifest) = fields.get("manifest") {
                declaration(&mut draft, manifest)?;
            }
            let nodes = fields.list(fields.get("nodes"), "nodes")?;
            (nodes, fields.list(fields.either("graph", "connections")?, "graph")?, pipeline.place)
        }
        None => {
            let nodes = top.required(top.get("nodes"), "nodes", "a list of nodes")?;
            let nodes = top.list(Some(nodes), "nodes")?;
            (nodes, top.list(top.either("connections", "graph")?, "connections")?, tree.place)
        }
    };
    too_many(nodes, "nodes", Manifest::MAX_NODES)?;
    too_many(edges, "edges", Manifest::MAX_EDGES)?;
    for (index, tree) in nodes.iter().enumerate() {
        node(&mut draft, tree, index)?;
    }
    for (index, tree) in edges.iter().enumerate() {
        edge(&mut draft, tree, index)?;
    }
    draft.place = body_place;
    check::finish(draft)
}

fn too_many(items: &[Tree], what: &'static str, limit: usize) -> Result<(), ManifestError> {
    match items.get(limit) {
        Some(first_beyond) => Err(ManifestError::new(first_beyond.place, ManifestProblem::TooLarge { what, limit })),
        None => Ok(()),
    }
}

/// The version of the format, which may be written as a number.
fn version(fields: &Fields<'_>) -> Result<Option<String>, ManifestError> {
    let Some(tree) = fields.get("version") else { return Ok(None) };
    let version = match &tree.value {
        TreeValue::Number(number) => number.to_string(),
        _ => fields.text(tree, "version")?.to_owned(),
    };
    if VERSIONS.contains(&version.as_str()) {
        return Ok(Some(version));
    }
    Err(fields.bad_value(tree, "version", format!("{:?}", shorten(&version)), VERSIONS.join(", ")))
}

fn metadata(draft: &mut Draft, fields: &Fields<'_>) -> Result<(), ManifestError> {
    let Some(tree) = fields.get("metadata") else { return Ok(()) };
    let metadata = Fields::of(tree, "metadata", METADATA)?;
    // When the file was made concerns its author alone; it only has to be a text.
    metadata.optional_text("created_at")?;
    if let Some(shared) = metadata.optional_bool("shared")? {
        draft.shared = shared;
    }
    names(draft, &metadata)
}

fn declaration(draft: &mut Draft, tree: &Tree) -> Result<(), ManifestError> {
    let fields = Fields::of(tree, "the pipeline's manifest", DECLARATION)?;
    if let Some(version) = version(&fields)? {
        draft.version = Some(version);
    }
    names(draft, &fields)?;
    draft.input_formats = formats(&fields, "inputs")?;
    draft.output_formats = formats(&fields, "outputs")?;
    Ok(())
}

fn names(draft: &mut Draft, fields: &Fields<'_>) -> Result<(), ManifestError> {
    if let Some(name) = fields.optional_text("name")? {
        draft.name = Some(name.to_owned());
    }
    if let Some(description) = fields.optional_text("description")? {
        draft.description = Some(description.to_owned());
    }
    Ok(())
}

fn formats(fields: &Fields<'_>, field: &'static str) -> Result<Vec<MediaFormat>, ManifestError> {
    fields.list(fields.get(field), field)?.iter().map(|tree| format::lower(tree, field)).collect()
}

fn node(draft: &mut Draft, tree: &Tree, index: usize) -> Result<(), ManifestError> {
    // The messages call a node by its id as soon as it has one.
    let id = match &tree.value {
        TreeValue::Map(map) => map.iter().find_map(|(key, value)| match &value.value {
            TreeValue::Text(id) if key.name == "id" => Some(id.as_str()),
            _ => None,
        }),
        _ => None,
    };
    let at = match id {
        Some(id) => format!("node {:?}", shorten(id)),
        None => format!("node {} of the list", index + 1),
    };
    let fields = Fields::of(tree, at, NODE)?;
    let id_tree = fields.required(fields.get("id"), "id", "a text that no other node has")?;
    let id = self::id(&fields, id_tree)?;
    let type_tree = fields.either("type", "node_type")?;
    let type_tree = fields.required(type_tree, "type", "the name of a node type, such as \"Echo\"")?;
    let node_type = fields.text(type_tree, "type")?;
    if let Some(executor) = fields.get("executor") {
        let name = fields.text(executor, "executor")?;
        if name != "native" {
            let problem = ManifestProblem::UnsupportedExecutor { id: id.to_owned(), executor: shorten(name) };
            return Err(ManifestError::new(executor.place, problem));
        }
    }
    // Every node here streams; manifests written for other runtimes may say so.
    fields.optional_bool("is_streaming")?;
    let is_output = fields.optional_bool("is_output_node")?.unwrap_or(false);
    let timeout = fields.optional_number("timeout_ms", 1, 3_600_000)?;
    let queue = fields.optional_number("queue", 1, 4_096)?;
    let on_error = fields.optional_choice("on_error", &OnError::NAMES)?;
    let params = params(&fields)?;
    let end = match node_type {
        "Input" => Some(&mut draft.inputs),
        "Output" => Some(&mut draft.outputs),
        _ => None,
    };
    if let Some(ports) = end {
        if let Some((name, place)) = params.first() {
            let at = format!("node {id:?}: params");
            let allowed = "nothing: the ends of a pipeline have no params".to_owned();
            let value = format!("{:?}", shorten(name));
            let problem = ManifestProblem::BadValue { at, value, suggestion: super::Suggestion::default(), allowed };
            return Err(ManifestError::new(place, problem));
        }
        ports.push(super::Port { id: id.into(), place: id_tree.place });
        return Ok(());
    }
    if is_output {
        draft.edges.push(DraftEdge {
            from: id.to_owned(),
            to: "output".to_owned(),
            only: KindSet::ALL,
            place: tree.place,
        });
    }
    draft.nodes.push(NodeSpec {
        id: id.into(),
        node_type: node_type.to_owned(),
        params,
        on_error: on_error.unwrap_or_default(),
        timeout: timeout.map_or(Manifest::DEFAULT_TIMEOUT, Duration::from_millis),
        queue: queue.map_or(Manifest::DEFAULT_QUEUE, |queue| queue as usize),
        place: id_tree.place,
        type_place: type_tree.place,
    });
    Ok(())
}

fn id<'t>(fields: &Fields<'t>, tree: &'t Tree) -> Result<&'t str, ManifestError> {
    let id = fields.text(tree, "id")?;
    if is_id(id) {
        return Ok(id);
    }
    Err(fields.bad_value(tree, "id", format!("{:?}", shorten(id)), ID_RULE))
}

/// What an id looks like, in words.
pub(super) const ID_RULE: &str = "1 to 128 characters without control characters";

/// Whether `text` may be an id.
pub(super) fn is_id(text: &str) -> bool {
    (1..=LONGEST_ID).contains(&text.chars().count()) && !text.chars().any(char::is_control)
}

fn params(fields: &Fields<'_>) -> Result<RawParams, ManifestError> {
    let Some(tree) = fields.get("params") else { return Ok(RawParams::default()) };
    let TreeValue::Map(map) = &tree.value else {
        let problem = ManifestProblem::WrongType {
            at: fields.name_of("params"),
            expected: "a mapping of names to values",
            found: tree.describe(),
        };
        return Err(ManifestError::new(tree.place, problem));
    };
    let mut params = RawParams::default();
    for (key, value) in map {
        if let Some(first) = params.place_of(&key.name) {
            let first = first.map_or(0, |place: Place| place.line);
            let at = fields.name_of("params");
            let problem = ManifestProblem::DuplicateField { at, field: shorten(&key.name), first };
            return Err(ManifestError::new(key.place, problem));
        }
        params.push(key.name.clone(), value.to_json(), key.place);
    }
    Ok(params)
}

fn edge(draft: &mut Draft, tree: &Tree, index: usize) -> Result<(), ManifestError> {
    let fields = Fields::of(tree, format!("edge {} of the list", index + 1), EDGE)?;
    let from = fields.required(fields.get("from"), "from", "the id of a node, or \"input\"")?;
    let to = fields.required(fields.get("to"), "to", "the id of a node, or \"output\"")?;
    let only = match fields.get("only") {
        None => KindSet::ALL,
        Some(Tree { value: TreeValue::List(items), .. }) => {
            items.iter().map(|item| kind(&fields, item)).collect::<Result<KindSet, _>>()?
        }
        Some(item) => KindSet::of(&[kind(&fields, item)?]),
    };
    let (from, to) = (fields.text(from, "from")?.to_owned(), fields.text(to, "to")?.to_owned());
    draft.edges.push(DraftEdge { from, to, only, place: tree.place });
    Ok(())
}

fn kind(fields: &Fields<'_>, tree: &Tree) -> Result<DataKind, ManifestError> {
    let name = fields.text(tree, "only")?;
    name.parse().map_err(|_| {
        fields.bad_value(tree, "only", format!("{:?}", shorten(name)), DataKind::ALL.map(DataKind::name).join(", "))
    })
}
