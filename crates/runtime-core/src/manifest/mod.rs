//! The description of a pipeline: its nodes, their params, and the edges between them.

mod build;
mod check;
mod error;
mod fields;
mod format;
mod lower;
mod one_output;
mod suggestion;
mod tree;

use std::{
    fmt,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

pub use build::ManifestBuilder;
pub(crate) use check::{Edge, End};

pub(crate) use error::one_of;
pub use error::{ManifestError, ManifestProblem, Place};
pub use format::MediaFormat;
pub use suggestion::Suggestion;

use crate::{data::KindSet, node::RawParams};

/// A pipeline's description, read from YAML or JSON or built in code.
///
/// Two spellings are read, and may be mixed. The short one:
///
/// ```
/// # use remotemedia_runtime_core::manifest::Manifest;
/// let manifest = Manifest::from_yaml(r#"
/// pipeline:
///   nodes:
///     - id: louder
///       type: Gain
///       params: { db: 6 }
///   graph:
///     - from: input
///       to: louder
///     - from: louder
///       to: output
/// "#)?;
/// assert_eq!(manifest.nodes().len(), 1);
/// # Ok::<(), remotemedia_runtime_core::manifest::ManifestError>(())
/// ```
///
/// and that of other RemoteMedia runtimes, with `version`, `metadata`, `nodes` (each with `id`, `node_type`, `params`)
/// and `connections` at the top. Nodes of the types `Input` and `Output` may stand for the ends in either; otherwise
/// `input` and `output` in edges are the ends. Without any edge from `input`, every node that has no edge into it is
/// fed from it; without any edge to `output`, every node that has no edge out of it feeds it.
///
/// What can be known without the node types is checked here: fields, ids, edges, circles. Types, params and what
/// reaches what are checked by [`PipelineRunner::check`](crate::runner::PipelineRunner::check), before anything runs.
#[derive(Clone, Debug)]
pub struct Manifest {
    pub(crate) file: Option<PathBuf>,
    pub(crate) name: Option<String>,
    pub(crate) description: Option<String>,
    pub(crate) version: Option<String>,
    pub(crate) shared: bool,
    pub(crate) input_formats: Vec<MediaFormat>,
    pub(crate) output_formats: Vec<MediaFormat>,
    /// Whether it was written with several inputs, among which it does not share out its formats. Of the one that is left
    /// when it is cut down no more is known than before.
    pub(crate) has_several_inputs: bool,
    pub(crate) inputs: Vec<Port>,
    pub(crate) outputs: Vec<Port>,
    pub(crate) nodes: Vec<NodeSpec>,
    pub(crate) edges: Vec<Edge>,
}

/// One end of a pipeline.
#[derive(Clone, Debug)]
pub(crate) struct Port {
    pub(crate) id: Arc<str>,
    pub(crate) place: Option<Place>,
}

/// A node of a [`Manifest`].
#[derive(Clone, Debug)]
pub struct NodeSpec {
    pub(crate) id: Arc<str>,
    pub(crate) node_type: String,
    pub(crate) params: RawParams,
    pub(crate) on_error: OnError,
    pub(crate) timeout: Duration,
    pub(crate) queue: usize,
    pub(crate) place: Option<Place>,
    pub(crate) type_place: Option<Place>,
}

/// What a session does when one of its nodes fails. The failure is reported by
/// [`recv_output`](crate::transport::StreamSession::recv_output) in every case, and the report may overtake data that
/// other nodes still work on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnError {
    /// `fail`: the session ends, and what other nodes still work on is lost.
    #[default]
    Fail,
    /// `skip`: what the node was working on is lost, the session lives.
    Skip,
    /// `bypass`: what the node was given goes on as it came, the session lives.
    Bypass,
    /// `restart`: what the node was working on is lost, the node is built anew from its params, the session lives.
    Restart,
}

impl OnError {
    pub(crate) const NAMES: [(&'static str, Self); 4] =
        [("fail", Self::Fail), ("skip", Self::Skip), ("bypass", Self::Bypass), ("restart", Self::Restart)];
}

impl fmt::Display for OnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::NAMES.iter().find(|(_, policy)| policy == self).map_or("fail", |(name, _)| name);
        f.write_str(name)
    }
}

impl Manifest {
    /// The longest text that is read, in bytes.
    pub const MAX_BYTES: u64 = 1 << 20;
    /// The most nodes a pipeline may have.
    pub const MAX_NODES: usize = 1_024;
    /// The most edges a pipeline may have.
    pub const MAX_EDGES: usize = 8_192;
    /// How long one call of a node may take when the manifest does not say.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
    /// How many pieces of data wait before a node when the manifest does not say.
    pub const DEFAULT_QUEUE: usize = 16;

    /// Reads a file: JSON if its name ends in `.json`, otherwise YAML, of which JSON is a part.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] with the file's name and the place of the mistake.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self, ManifestError> {
        let path = path.as_ref();
        let is_json = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let parse = if is_json { Self::from_json } else { Self::from_yaml };
        match read(path).and_then(|text| parse(&text)) {
            Ok(manifest) => Ok(Self { file: Some(path.to_owned()), ..manifest }),
            Err(error) => Err(ManifestError { file: Some(path.to_owned()), ..error }),
        }
    }

    /// Reads a YAML text.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] with the place of the mistake.
    pub fn from_yaml(text: &str) -> Result<Self, ManifestError> {
        check_length(text)?;
        lower::lower(&tree::parse_yaml(text)?)
    }

    /// Reads a JSON text.
    ///
    /// # Errors
    ///
    /// [`ManifestError`] with the place of the mistake.
    pub fn from_json(text: &str) -> Result<Self, ManifestError> {
        check_length(text)?;
        lower::lower(&tree::parse_json(text)?)
    }

    /// Begins a manifest made in code.
    pub fn builder() -> ManifestBuilder {
        ManifestBuilder::default()
    }

    /// The pipeline's name, if it has one.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What the pipeline is for, if it says.
    pub fn description(&self) -> Option<&str> {
        self.description.as_deref()
    }

    /// The version of the manifest's format, if it says.
    pub fn version(&self) -> Option<&str> {
        self.version.as_deref()
    }

    /// Whether the manifest says, with `shared: true` in its metadata, that it makes sense only with all peers in one session,
    /// as a conference does. Who runs the pipeline decides; `remotemedia serve` does as it says.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// What the pipeline takes, at whichever of its inputs. A session refuses everything else; empty if it takes whatever its
    /// nodes take.
    pub fn input_formats(&self) -> &[MediaFormat] {
        &self.input_formats
    }

    /// What the pipeline makes. A session reports everything else as a failure; empty if it may make anything.
    pub fn output_formats(&self) -> &[MediaFormat] {
        &self.output_formats
    }

    /// The nodes between the ends, in the order of the text.
    pub fn nodes(&self) -> &[NodeSpec] {
        &self.nodes
    }

    /// The edges as pairs of ids with the kinds of data that they let pass, in the order of the text.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str, KindSet)> {
        self.edges.iter().map(|edge| (self.id_of(edge.from), self.id_of(edge.to), edge.only))
    }

    /// The ids of the pipeline's inputs.
    pub fn inputs(&self) -> impl Iterator<Item = &str> {
        self.inputs.iter().map(|port| &*port.id)
    }

    /// The ids of the pipeline's outputs.
    pub fn outputs(&self) -> impl Iterator<Item = &str> {
        self.outputs.iter().map(|port| &*port.id)
    }

    pub(crate) fn id_of(&self, end: End) -> &str {
        match end {
            End::Input(index) => self.inputs.get(index).map_or("input", |port| &port.id),
            End::Output(index) => self.outputs.get(index).map_or("output", |port| &port.id),
            End::Node(index) => self.nodes.get(index).map_or("", |node| &node.id),
        }
    }

    pub(crate) fn error(&self, place: Option<Place>, problem: ManifestProblem) -> ManifestError {
        ManifestError { file: self.file.clone(), ..ManifestError::new(place, problem) }
    }
}

impl NodeSpec {
    /// The node's name in its pipeline.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name under which its type is registered.
    pub fn node_type(&self) -> &str {
        &self.node_type
    }

    /// The params as written, without defaults.
    pub fn params(&self) -> serde_json::Value {
        self.params.to_json()
    }

    /// What happens when the node fails.
    pub fn on_error(&self) -> OnError {
        self.on_error
    }

    /// How long one call of the node may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// How many pieces of data may wait before the node; whoever sends more waits.
    pub fn queue(&self) -> usize {
        self.queue
    }
}

fn read(path: &Path) -> Result<String, ManifestError> {
    let problem = |reason| ManifestError::new(None, ManifestProblem::Read { reason });
    let file = File::open(path).map_err(problem)?;
    let mut text = String::new();
    file.take(Manifest::MAX_BYTES + 1).read_to_string(&mut text).map_err(problem)?;
    Ok(text)
}

fn check_length(text: &str) -> Result<(), ManifestError> {
    if text.len() as u64 > Manifest::MAX_BYTES {
        return Err(ManifestError::new(None, ManifestProblem::TooLong { limit: Manifest::MAX_BYTES }));
    }
    Ok(())
}
