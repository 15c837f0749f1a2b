//! The check of what is known about the media on each edge: rates, channels, pixel formats and sizes.

use std::sync::Arc;

use crate::{
    manifest::{Edge, End, Manifest, ManifestError, ManifestProblem, MediaFormat},
    node::{AcceptedFormat, NodeRegistry, NodeType, Params, is_taken},
};

/// How many formats are followed along one edge. Pipelines have a few; what is beyond is treated as not known.
const MOST: usize = 32;

/// A pipeline as far as formats are concerned, kept for as long as it runs: what its nodes take and make changes with
/// their params.
#[derive(Debug)]
pub(crate) struct Flow {
    pub(crate) manifest: Manifest,
    pub(crate) registry: Arc<NodeRegistry>,
    /// The types of the manifest's nodes.
    pub(crate) types: Vec<Arc<NodeType>>,
    /// The edges, those that the manifest leaves unsaid included.
    pub(crate) edges: Vec<Edge>,
    /// In which data flows through the nodes.
    pub(crate) order: Vec<usize>,
}

impl Flow {
    /// Refuses an edge along which media is sure to come in a format that its node does not take, or that the manifest
    /// does not declare for its outputs. What is not known is not refused. `params` answers those of the manifest's nodes.
    pub(crate) fn check<'p>(&self, params: impl Fn(usize) -> &'p Params) -> Result<(), ManifestError> {
        let Self { manifest, registry, types, edges, order } = self;
        let mut into: Vec<Vec<&Edge>> = vec![Vec::new(); types.len()];
        for edge in edges {
            if let End::Node(to) = edge.to {
                into[to].push(edge);
            }
        }
        let mut made = Made { at_inputs: at_inputs(manifest), by_node: vec![Vec::new(); types.len()] };
        for index in order.iter().copied() {
            let (spec, node_type, params) = (&manifest.nodes[index], &types[index], params(index));
            let accepted = node_type.accepted_formats(params);
            let mut own = node_type.emitted_formats(params);
            for edge in &into[index] {
                for format in made.along(edge).filter(|format| node_type.accepted_kinds().contains(format.kind)) {
                    if !is_taken(&accepted, format) {
                        let of_kind = accepted.iter().filter(|accepted| accepted.kind() == format.kind);
                        let problem = ManifestProblem::WrongFormat {
                            id: spec.id.to_string(),
                            node_type: spec.node_type.clone(),
                            accepted: of_kind.cloned().collect(),
                            found: *format,
                            from: manifest.id_of(edge.from).to_owned(),
                            converters: registry.converters(*format, &accepted),
                        };
                        return Err(manifest.error(edge.place.or(spec.place), problem));
                    }
                    if let Some(becomes) = node_type.made_format(*format, params)
                        && own.len() < MOST
                        && !own.contains(&becomes)
                    {
                        own.push(becomes);
                    }
                }
            }
            made.by_node[index] = own;
        }
        edges.iter().try_for_each(|edge| self.check_output(edge, &made))
    }

    fn check_output(&self, edge: &Edge, made: &Made) -> Result<(), ManifestError> {
        let Self { manifest, registry, .. } = self;
        if !matches!(edge.to, End::Output(_)) {
            return Ok(());
        }
        let declared = &manifest.output_formats;
        let accepted: Vec<AcceptedFormat> = declared.iter().filter_map(MediaFormat::as_accepted).collect();
        let Some(format) = made.along(edge).find(|format| !is_taken(&accepted, format)) else { return Ok(()) };
        let place = match edge.from {
            End::Node(node) => manifest.nodes[node].place,
            _ => None,
        };
        let problem = ManifestProblem::WrongOutputFormat {
            output: manifest.id_of(edge.to).to_owned(),
            declared: declared.iter().filter(|declared| declared.kind == format.kind).copied().collect(),
            found: *format,
            from: manifest.id_of(edge.from).to_owned(),
            converters: registry.converters(*format, &accepted),
        };
        Err(manifest.error(edge.place.or(place), problem))
    }
}

/// What is sure about the media that comes at inputs. Formats are declared for all inputs together: where there are
/// several, which of them gets which is not known, and sure is only what the formats of a kind have in common.
fn at_inputs(manifest: &Manifest) -> Vec<MediaFormat> {
    if !manifest.has_several_inputs {
        return manifest.input_formats.clone();
    }
    let mut sure: Vec<MediaFormat> = Vec::new();
    for declared in &manifest.input_formats {
        match sure.iter_mut().find(|format| format.kind == declared.kind) {
            Some(format) => *format = format.in_common_with(declared),
            None => sure.push(*declared),
        }
    }
    sure
}

/// What is known of the media that nodes and inputs send.
struct Made {
    at_inputs: Vec<MediaFormat>,
    by_node: Vec<Vec<MediaFormat>>,
}

impl Made {
    /// What comes along `edge`.
    fn along(&self, edge: &Edge) -> impl Iterator<Item = &MediaFormat> {
        let sent = match edge.from {
            End::Node(from) => &self.by_node[from],
            End::Input(_) | End::Output(_) => &self.at_inputs,
        };
        let only = edge.only;
        sent.iter().filter(move |format| only.contains(format.kind))
    }
}
