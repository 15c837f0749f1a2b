//! What a manifest must hold whatever its node types are: unique ids, known ends of edges, no circle.

use std::collections::{HashMap, HashSet};

use super::{Manifest, ManifestError, ManifestProblem, MediaFormat, NodeSpec, Place, Port, Suggestion, tree::shorten};
use crate::data::KindSet;

/// A manifest before its edges are resolved.
#[derive(Clone, Debug, Default)]
pub(super) struct Draft {
    pub(super) name: Option<String>,
    pub(super) description: Option<String>,
    pub(super) version: Option<String>,
    pub(super) shared: bool,
    pub(super) input_formats: Vec<MediaFormat>,
    pub(super) output_formats: Vec<MediaFormat>,
    pub(super) inputs: Vec<Port>,
    pub(super) outputs: Vec<Port>,
    pub(super) nodes: Vec<NodeSpec>,
    pub(super) edges: Vec<DraftEdge>,
    pub(super) place: Option<Place>,
}

/// An edge by the names of its ends.
#[derive(Clone, Debug)]
pub(super) struct DraftEdge {
    pub(super) from: String,
    pub(super) to: String,
    pub(super) only: KindSet,
    pub(super) place: Option<Place>,
}

/// An edge of a manifest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Edge {
    pub(crate) from: End,
    pub(crate) to: End,
    pub(crate) only: KindSet,
    pub(crate) place: Option<Place>,
}

/// One end of an edge, by its index in the manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum End {
    Input(usize),
    Node(usize),
    Output(usize),
}

/// The manifest that `draft` makes, or the first mistake in it.
pub(super) fn finish(mut draft: Draft) -> Result<Manifest, ManifestError> {
    let names = names(&mut draft)?;
    let edges = edges(&draft, &names)?;
    if draft.nodes.is_empty() && edges.is_empty() {
        return Err(ManifestError::new(draft.place, ManifestProblem::NoNodes));
    }
    let manifest = Manifest {
        file: None,
        name: draft.name,
        description: draft.description,
        version: draft.version,
        shared: draft.shared,
        input_formats: draft.input_formats,
        output_formats: draft.output_formats,
        has_several_inputs: draft.inputs.len() > 1,
        inputs: draft.inputs,
        outputs: draft.outputs,
        nodes: draft.nodes,
        edges,
    };
    circle(&manifest)?;
    Ok(manifest)
}

/// Every id with what it stands for. `input` and `output` are ends unless the manifest names its own.
fn names(draft: &mut Draft) -> Result<HashMap<String, End>, ManifestError> {
    let mut names: HashMap<String, (End, Option<Place>)> = HashMap::new();
    let inputs = draft.inputs.iter().enumerate().map(|(index, port)| (&port.id, port.place, End::Input(index)));
    let outputs = draft.outputs.iter().enumerate().map(|(index, port)| (&port.id, port.place, End::Output(index)));
    let nodes = draft.nodes.iter().enumerate().map(|(index, node)| (&node.id, node.place, End::Node(index)));
    let mut all: Vec<_> = inputs.chain(outputs).chain(nodes).collect();
    // In the order of the text, so that it is the second of two that is refused.
    all.sort_by_key(|(_, place, _)| *place);
    for (id, place, end) in all {
        if let Some((_, first)) = names.insert(id.to_string(), (end, place)) {
            let problem = ManifestProblem::DuplicateId { id: id.to_string(), first: first.map(|first| first.line) };
            return Err(ManifestError::new(place, problem));
        }
    }
    let mut names: HashMap<String, End> = names.into_iter().map(|(id, (end, _))| (id, end)).collect();
    if draft.inputs.is_empty() && !names.contains_key("input") {
        names.insert("input".to_owned(), End::Input(0));
        draft.inputs.push(Port { id: "input".into(), place: None });
    }
    if draft.outputs.is_empty() && !names.contains_key("output") {
        names.insert("output".to_owned(), End::Output(0));
        draft.outputs.push(Port { id: "output".into(), place: None });
    }
    Ok(names)
}

fn edges(draft: &Draft, names: &HashMap<String, End>) -> Result<Vec<Edge>, ManifestError> {
    let mut seen: HashMap<(End, End), Option<Place>> = HashMap::new();
    let mut edges = Vec::with_capacity(draft.edges.len());
    for edge in &draft.edges {
        let (from_name, to_name) = (shorten(&edge.from), shorten(&edge.to));
        let resolve = |name: &str| {
            names.get(name).copied().ok_or_else(|| {
                let mut known: Vec<String> = names.keys().cloned().collect();
                known.sort();
                let suggestion = Suggestion::for_name(name, known.iter().map(String::as_str));
                known.truncate(20);
                let problem = ManifestProblem::UnknownNode {
                    from: from_name.clone(),
                    to: to_name.clone(),
                    unknown: shorten(name),
                    suggestion,
                    known,
                };
                ManifestError::new(edge.place, problem)
            })
        };
        let (from, to) = (resolve(&edge.from)?, resolve(&edge.to)?);
        let direction = match (from, to) {
            (End::Output(_), _) => Some("out of an output"),
            (_, End::Input(_)) => Some("into an input"),
            _ => None,
        };
        if let Some(direction) = direction {
            let problem = ManifestProblem::BackwardEdge { from: from_name, to: to_name, direction };
            return Err(ManifestError::new(edge.place, problem));
        }
        if let Some(first) = seen.insert((from, to), edge.place) {
            let first = first.map(|place| place.line);
            let problem = ManifestProblem::DuplicateEdge { from: from_name, to: to_name, first };
            return Err(ManifestError::new(edge.place, problem));
        }
        edges.push(Edge { from, to, only: edge.only, place: edge.place });
    }
    Ok(edges)
}

/// Refuses a circle, with the ids along it.
fn circle(manifest: &Manifest) -> Result<(), ManifestError> {
    let mut into: Vec<Vec<(usize, Option<Place>)>> = vec![Vec::new(); manifest.nodes.len()];
    let mut out: Vec<Vec<usize>> = vec![Vec::new(); manifest.nodes.len()];
    for edge in &manifest.edges {
        if let (End::Node(from), End::Node(to)) = (edge.from, edge.to) {
            into[to].push((from, edge.place));
            out[from].push(to);
        }
    }
    // Nodes all of whose predecessors are done are taken away, until only those on or behind a circle are left.
    let mut waiting: Vec<usize> = into.iter().map(Vec::len).collect();
    let mut ready: Vec<usize> = (0..waiting.len()).filter(|node| waiting[*node] == 0).collect();
    while let Some(node) = ready.pop() {
        for next in &out[node] {
            waiting[*next] -= 1;
            if waiting[*next] == 0 {
                ready.push(*next);
            }
        }
    }
    let Some(start) = waiting.iter().position(|count| *count > 0) else { return Ok(()) };
    // Each node that is left has a predecessor that is left: walking backward must come around.
    let mut walked = vec![start];
    let mut visited = HashSet::from([start]);
    let mut node = start;
    loop {
        let Some((previous, place)) = into[node].iter().copied().find(|(from, _)| waiting[*from] > 0) else {
            return Ok(());
        };
        if !visited.insert(previous) {
            let from = walked.iter().position(|seen| *seen == previous).unwrap_or(0);
            let mut path: Vec<String> =
                walked[from..].iter().rev().map(|node| manifest.nodes[*node].id.to_string()).collect();
            path.insert(0, manifest.nodes[previous].id.to_string());
            return Err(ManifestError::new(place, ManifestProblem::Cycle { path }));
        }
        walked.push(previous);
        node = previous;
    }
}
