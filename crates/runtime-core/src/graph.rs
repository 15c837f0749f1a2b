//! A manifest joined with the node types it names: everything checked, ready to run.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    data::{DataKind, KindSet},
    formats::Flow,
    manifest::{Edge, End, Manifest, ManifestError, ManifestProblem, NodeSpec},
    node::{NodeInstance, NodeRegistry, NodeType, Params},
    runner::Instance,
};

/// A pipeline that may run.
#[derive(Debug)]
pub(crate) struct Graph {
    /// The nodes, none before those that feed it.
    pub(crate) nodes: Vec<GraphNode>,
    /// For each input of the manifest, where its data goes.
    pub(crate) inputs: Vec<Vec<Target>>,
    /// What its formats are checked by when params change.
    pub(crate) flow: Flow,
}

#[derive(Debug)]
pub(crate) struct GraphNode {
    /// Its place in the manifest.
    pub(crate) index: usize,
    pub(crate) spec: NodeSpec,
    pub(crate) node_type: Arc<NodeType>,
    pub(crate) params: Params,
    pub(crate) instance: Instance,
    pub(crate) targets: Vec<Target>,
    /// How many edges end here.
    pub(crate) fed_by: usize,
}

/// The far end of an edge.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) to: Destination,
    pub(crate) only: KindSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Destination {
    /// A node, by its index in [`Graph::nodes`].
    Node(usize),
    /// An output, by its index in the manifest.
    Output(usize),
}

impl Graph {
    /// Joins `manifest` with the types of `registry`.
    pub(crate) fn compile(manifest: &Manifest, registry: &Arc<NodeRegistry>) -> Result<Self, ManifestError> {
        let Checked { nodes, flow } = Checked::new(manifest, registry)?;
        Ok(Self::assemble(manifest, nodes, flow))
    }

    fn assemble(manifest: &Manifest, nodes: Vec<GraphNode>, flow: Flow) -> Self {
        let mut position = vec![0; nodes.len()];
        for (index, node) in flow.order.iter().enumerate() {
            position[*node] = index;
        }
        let mut unsorted: Vec<(usize, GraphNode)> =
            nodes.into_iter().map(|node| (position[node.index], node)).collect();
        unsorted.sort_by_key(|(position, _)| *position);
        let mut nodes: Vec<GraphNode> = unsorted.into_iter().map(|(_, node)| node).collect();
        let mut inputs = vec![Vec::new(); manifest.inputs.len()];
        for edge in &flow.edges {
            let to = match edge.to {
                End::Node(node) => Destination::Node(position[node]),
                End::Output(output) => Destination::Output(output),
                End::Input(_) => continue,
            };
            if let Destination::Node(node) = to {
                nodes[node].fed_by += 1;
            }
            let only = match to {
                Destination::Node(node) => passing(edge, &nodes[node]),
                Destination::Output(_) => edge.only,
            };
            let target = Target { to, only };
            match edge.from {
                End::Input(input) => inputs[input].push(target),
                End::Node(node) => nodes[position[node]].targets.push(target),
                End::Output(_) => {}
            }
        }
        Self { nodes, inputs, flow }
    }
}

/// What comes along `edge` to `node`. Control messages are news for whoever wants them: a node that takes none gets none,
/// while other data that it does not take is a mistake in the pipeline, and reported as one.
fn passing(edge: &Edge, node: &GraphNode) -> KindSet {
    let control = KindSet::of(&[DataKind::Control]);
    if node.node_type.accepted_kinds().contains(DataKind::Control) { edge.only } else { edge.only.difference(control) }
}

/// The edges of `manifest` as pairs of ids, those that it leaves unsaid included.
pub(crate) fn connections(
    manifest: &Manifest,
    registry: &Arc<NodeRegistry>,
) -> Result<Vec<(String, String)>, ManifestError> {
    let id = |end| manifest.id_of(end).to_owned();
    Ok(Checked::new(manifest, registry)?.flow.edges.iter().map(|edge| (id(edge.from), id(edge.to))).collect())
}

/// A manifest joined with its node types, everything about it checked.
struct Checked {
    nodes: Vec<GraphNode>,
    flow: Flow,
}

impl Checked {
    fn new(manifest: &Manifest, registry: &Arc<NodeRegistry>) -> Result<Self, ManifestError> {
        let build = |(index, spec): (usize, &NodeSpec)| {
            let node_type = registry.resolve(manifest, spec)?;
            let (params, NodeInstance(instance)) = build_node(manifest, spec, &node_type)?;
            let instance = instance.into();
            Ok(GraphNode { index, spec: spec.clone(), node_type, params, instance, targets: Vec::new(), fed_by: 0 })
        };
        let nodes = manifest.nodes.iter().enumerate().map(build).collect::<Result<Vec<_>, ManifestError>>()?;
        let edges = with_implied_ends(manifest, &nodes);
        check_connections(manifest, &nodes, &edges)?;
        let order = topological_order(nodes.len(), &edges);
        check_kinds(manifest, registry, &nodes, &edges, &order)?;
        let types = nodes.iter().map(|node| Arc::clone(&node.node_type)).collect();
        let flow = Flow { manifest: manifest.clone(), registry: Arc::clone(registry), types, edges, order };
        flow.check(|index| &nodes[index].params)?;
        Ok(Self { nodes, flow })
    }
}

/// Builds the node of `spec`, or says which of its params is wrong, and where.
fn build_node(
    manifest: &Manifest,
    spec: &NodeSpec,
    node_type: &NodeType,
) -> Result<(Params, NodeInstance), ManifestError> {
    let checked = node_type.check_params(&spec.params);
    // What one param alone cannot show, such as two that exclude each other, only the type itself knows.
    let built = checked.and_then(|params| node_type.create(&params).map(|instance| (params, instance)));
    built.map_err(|problem| {
        let place = spec.params.place_of(problem.param()).flatten().or(spec.place);
        let (id, node_type) = (spec.id.to_string(), node_type.name().to_owned());
        manifest.error(place, ManifestProblem::Param { id, node_type, problem })
    })
}

/// The manifest's edges and, where it names no edge at an end, those that are meant.
fn with_implied_ends(manifest: &Manifest, nodes: &[GraphNode]) -> Vec<Edge> {
    let mut edges = manifest.edges.clone();
    let mut fed = vec![false; nodes.len()];
    let mut feeds = vec![false; nodes.len()];
    for edge in &manifest.edges {
        if let End::Node(node) = edge.from {
            feeds[node] = true;
        }
        if let End::Node(node) = edge.to {
            fed[node] = true;
        }
    }
    let implied = |from, to| Edge { from, to, only: KindSet::ALL, place: None };
    let is_written = |port: &crate::manifest::Port| port.place.is_some();
    let named_inputs = manifest.edges.iter().any(|edge| matches!(edge.from, End::Input(_)));
    if !named_inputs && manifest.inputs.len() == 1 && !manifest.inputs.iter().any(is_written) {
        for (index, node) in nodes.iter().enumerate() {
            if !fed[index] && !node.node_type.is_source() {
                edges.push(implied(End::Input(0), End::Node(index)));
            }
        }
    }
    let named_outputs = manifest.edges.iter().any(|edge| matches!(edge.to, End::Output(_)));
    if !named_outputs && manifest.outputs.len() == 1 && !manifest.outputs.iter().any(is_written) {
        for (index, node) in nodes.iter().enumerate() {
            if !feeds[index] && !node.node_type.produced_kinds(KindSet::ALL).is_empty() {
                edges.push(implied(End::Node(index), End::Output(0)));
            }
        }
    }
    edges
}

/// Every node must be reached from an input or a source, and must reach an output or be one that only takes.
fn check_connections(manifest: &Manifest, nodes: &[GraphNode], edges: &[Edge]) -> Result<(), ManifestError> {
    let sources = nodes.iter().enumerate().filter(|(_, node)| node.node_type.is_source());
    let sources = sources.map(|(index, _)| End::Node(index));
    let inputs = (0..manifest.inputs.len()).map(End::Input);
    let reached = reach(manifest, sources.chain(inputs), edges.iter().map(|edge| (edge.from, edge.to)));

    let takers = nodes.iter().enumerate().filter(|(_, node)| node.node_type.produced_kinds(KindSet::ALL).is_empty());
    let takers = takers.map(|(index, _)| End::Node(index));
    let outputs = (0..manifest.outputs.len()).map(End::Output);
    let reaching = reach(manifest, takers.chain(outputs), edges.iter().map(|edge| (edge.to, edge.from)));

    for (index, node) in nodes.iter().enumerate() {
        let id = || node.spec.id.to_string();
        if !reached.nodes[index] {
            return Err(manifest.error(node.spec.place, ManifestProblem::Unreachable { id: id() }));
        }
        if !reaching.nodes[index] {
            return Err(manifest.error(node.spec.place, ManifestProblem::DeadEnd { id: id() }));
        }
    }
    // Ends that the manifest writes down itself must be used; `input` and `output` need not be.
    let unused_input = manifest
        .inputs
        .iter()
        .enumerate()
        .find(|(index, port)| port.place.is_some() && !edges.iter().any(|edge| edge.from == End::Input(*index)));
    let unused_output = manifest
        .outputs
        .iter()
        .enumerate()
        .find(|(index, port)| port.place.is_some() && !edges.iter().any(|edge| edge.to == End::Output(*index)));
    for (unused, direction) in [(unused_input, "from"), (unused_output, "to")] {
        if let Some((_, port)) = unused {
            let problem = ManifestProblem::Unconnected { id: port.id.to_string(), direction };
            return Err(manifest.error(port.place, problem));
        }
    }
    Ok(())
}

struct Reached {
    nodes: Vec<bool>,
}

/// Which nodes can be reached from `starts` along `edges`.
fn reach(manifest: &Manifest, starts: impl Iterator<Item = End>, edges: impl Iterator<Item = (End, End)>) -> Reached {
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); manifest.nodes.len()];
    let mut from_ports = Vec::new();
    for (from, to) in edges {
        if let End::Node(to) = to {
            match from {
                End::Node(from) => next[from].push(to),
                port => from_ports.push((port, to)),
            }
        }
    }
    let mut nodes = vec![false; manifest.nodes.len()];
    let mut queue = VecDeque::new();
    for start in starts {
        match start {
            End::Node(node) => queue.push_back(node),
            port => queue.extend(from_ports.iter().filter(|(from, _)| *from == port).map(|(_, to)| *to)),
        }
    }
    while let Some(node) = queue.pop_front() {
        if !std::mem::replace(&mut nodes[node], true) {
            queue.extend(&next[node]);
        }
    }
    Reached { nodes }
}

/// The nodes, each behind those that feed it, and otherwise in the order of the text. The manifest has no circle.
fn topological_order(count: usize, edges: &[Edge]) -> Vec<usize> {
    let mut waiting = vec![0; count];
    let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
    for edge in edges {
        if let (End::Node(from), End::Node(to)) = (edge.from, edge.to) {
            waiting[to] += 1;
            next[from].push(to);
        }
    }
    let mut ready: VecDeque<usize> = (0..count).filter(|node| waiting[*node] == 0).collect();
    let mut order = Vec::with_capacity(count);
    while let Some(node) = ready.pop_front() {
        order.push(node);
        for to in &next[node] {
            waiting[*to] -= 1;
            if waiting[*to] == 0 {
                ready.push_back(*to);
            }
        }
    }
    order
}

/// Refuses an edge on which only kinds of data can come that its node does not take. Where a manifest declares what it
/// takes, every kind that can come must be taken.
fn check_kinds(
    manifest: &Manifest,
    registry: &NodeRegistry,
    nodes: &[GraphNode],
    edges: &[Edge],
    order: &[usize],
) -> Result<(), ManifestError> {
    let declared: KindSet = manifest.input_formats.iter().map(|format| format.kind).collect();
    let is_declared = !declared.is_empty();
    let at_input = if is_declared { declared } else { KindSet::ALL };
    let mut into: Vec<Vec<&Edge>> = vec![Vec::new(); nodes.len()];
    for edge in edges {
        if let End::Node(to) = edge.to {
            into[to].push(edge);
        }
    }
    let mut produced = vec![KindSet::NONE; nodes.len()];
    for node in order.iter().copied() {
        let mut taken = KindSet::NONE;
        let accepted = nodes[node].node_type.accepted_kinds();
        for edge in &into[node] {
            let sent = match edge.from {
                End::Node(from) => produced[from],
                End::Input(_) | End::Output(_) => at_input,
            };
            let coming = sent.intersection(edge.only);
            let refused = coming.difference(accepted);
            // Who may send anything promises nothing: what it does send is then checked as it comes.
            let is_certain = coming != KindSet::ALL;
            let usable = coming.intersection(accepted);
            if is_certain && !refused.is_empty() && (usable.is_empty() || is_declared) {
                let problem = ManifestProblem::WrongKind {
                    id: nodes[node].spec.id.to_string(),
                    node_type: nodes[node].spec.node_type.clone(),
                    accepted,
                    found: refused,
                    from: manifest.id_of(edge.from).to_owned(),
                    usable,
                    converters: registry.kind_converters(refused, accepted),
                };
                return Err(manifest.error(edge.place.or(nodes[node].spec.place), problem));
            }
            taken = taken.union(usable);
        }
        produced[node] = nodes[node].node_type.produced_kinds(taken);
    }
    Ok(())
}
