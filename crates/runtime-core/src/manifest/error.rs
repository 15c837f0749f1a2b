use std::{fmt, path::PathBuf};

use super::{MediaFormat, Suggestion};
use crate::{
    data::KindSet,
    node::{AcceptedFormat, Converter, ParamProblem},
};

/// Why a manifest is refused, and where the mistake is.
///
/// It prints as one line, `FILE:LINE:COLUMN: what is wrong; what is allowed`, with the parts that are known.
#[derive(Debug)]
pub struct ManifestError {
    /// The file, if the manifest came from one.
    pub file: Option<PathBuf>,
    /// The place in the text; `None` for a manifest made in code.
    pub place: Option<Place>,
    /// What is wrong. Boxed, so that results stay small.
    pub problem: Box<ManifestProblem>,
}

/// A place in a manifest's text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What is wrong with a manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestProblem {
    /// The file cannot be read.
    #[error("the manifest cannot be read: {reason}; check the path")]
    Read {
        /// Why.
        reason: std::io::Error,
    },
    /// The text is longer than a manifest may be.
    #[error("the manifest is too long: at most {limit} bytes are read")]
    TooLong {
        /// The longest that is read.
        limit: u64,
    },
    /// The text is no YAML, or no JSON.
    #[error("not valid {language}: {message}")]
    Syntax {
        /// `YAML` or `JSON`.
        language: &'static str,
        /// What the parser says.
        message: String,
    },
    /// A value has another type than belongs there.
    #[error("{at}: expected {expected}, found {found}")]
    WrongType {
        /// Which value.
        at: String,
        /// What belongs there.
        expected: &'static str,
        /// What stands there.
        found: String,
    },
    /// A field that does not exist.
    #[error("{at}: unknown field {field:?}{suggestion}; allowed here: {}", allowed.join(", "))]
    UnknownField {
        /// What the field was given to.
        at: String,
        /// The field.
        field: String,
        /// The nearest field that exists.
        suggestion: Suggestion,
        /// The fields that exist.
        allowed: Vec<&'static str>,
    },
    /// A field that must be there is not.
    #[error("{at}: the field {field:?} is missing; {expected} belongs there")]
    MissingField {
        /// What lacks the field.
        at: String,
        /// The field.
        field: &'static str,
        /// What belongs there.
        expected: &'static str,
    },
    /// A field stands twice.
    #[error("{at}: the field {field:?} stands twice, first on line {first}; keep one")]
    DuplicateField {
        /// What has the field twice.
        at: String,
        /// The field.
        field: String,
        /// The line of the first.
        first: u32,
    },
    /// Two spellings of the same field stand side by side.
    #[error("{at}: {first:?} and {second:?} are two spellings of the same field; keep one")]
    TwoSpellings {
        /// What has both.
        at: String,
        /// One spelling.
        first: &'static str,
        /// The other.
        second: &'static str,
    },
    /// A value is outside of what is allowed.
    #[error("{at}: {value} is not allowed{suggestion}; use {allowed}")]
    BadValue {
        /// Which value.
        at: String,
        /// The value.
        value: String,
        /// The nearest allowed one.
        suggestion: Suggestion,
        /// What is allowed.
        allowed: String,
    },
    /// There are no nodes, and nothing leads from the input to the output.
    #[error("the pipeline has no nodes; list at least one under \"nodes\"")]
    NoNodes,
    /// The pipeline is larger than a pipeline may be.
    #[error("the pipeline has more than {limit} {what}")]
    TooLarge {
        /// `nodes` or `edges`.
        what: &'static str,
        /// The most there may be.
        limit: usize,
    },
    /// Two nodes have the same id.
    #[error("node {id:?}: the id is already taken{}; ids are unique", on_line(*first))]
    DuplicateId {
        /// The id.
        id: String,
        /// The line of the first node with it.
        first: Option<u32>,
    },
    /// An edge names a node that does not exist.
    #[error("edge {from:?} -> {to:?}: no node is called {unknown:?}{suggestion}; known: {}", known.join(", "))]
    UnknownNode {
        /// Where the edge begins.
        from: String,
        /// Where it ends.
        to: String,
        /// Which of the two is unknown.
        unknown: String,
        /// The nearest that is known.
        suggestion: Suggestion,
        /// The ids that are known.
        known: Vec<String>,
    },
    /// An edge ends at an input or begins at an output.
    #[error("edge {from:?} -> {to:?}: data cannot flow {direction}; swap the ends")]
    BackwardEdge {
        /// Where the edge begins.
        from: String,
        /// Where it ends.
        to: String,
        /// `into an input` or `out of an output`.
        direction: &'static str,
    },
    /// The same edge stands twice.
    #[error("edge {from:?} -> {to:?} stands twice{}; keep one", first_on_line(*first))]
    DuplicateEdge {
        /// Where the edge begins.
        from: String,
        /// Where it ends.
        to: String,
        /// The line of the first.
        first: Option<u32>,
    },
    /// Edges form a circle.
    #[error("the edges form a circle: {}; remove one of them", path.join(" -> "))]
    Cycle {
        /// The ids along it; the first is also the last.
        path: Vec<String>,
    },
    /// Nothing ever reaches a node.
    #[error("node {id:?}: nothing reaches it; add an edge that ends there, or remove the node")]
    Unreachable {
        /// The node.
        id: String,
    },
    /// What a node makes goes nowhere.
    #[error("node {id:?}: what it makes reaches no output; add an edge from it to \"output\", or remove the node")]
    DeadEnd {
        /// The node.
        id: String,
    },
    /// An input leads nowhere, or an output gets nothing.
    #[error("{id:?} is not connected; add an edge {direction} it, or remove the node")]
    Unconnected {
        /// The input's or output's id.
        id: String,
        /// `from` or `to`.
        direction: &'static str,
    },
    /// A node asks for an executor that is not here.
    #[error("node {id:?}: the executor {executor:?} is not available; nodes run as \"native\" only")]
    UnsupportedExecutor {
        /// The node.
        id: String,
        /// The executor.
        executor: String,
    },
    /// No node type has the name.
    #[error("node {id:?}: no node type is called {node_type:?}{suggestion}; known: {}", known.join(", "))]
    UnknownType {
        /// The node.
        id: String,
        /// Its type.
        node_type: String,
        /// The nearest that is known.
        suggestion: Suggestion,
        /// The types that are known.
        known: Vec<String>,
    },
    /// The node type exists, but was not compiled in.
    #[error("node {id:?}: the type {node_type:?} is not built in; turn on the cargo feature {feature:?}")]
    FeatureOff {
        /// The node.
        id: String,
        /// Its type.
        node_type: String,
        /// The feature that brings it.
        feature: String,
    },
    /// A node's params are wrong.
    #[error("node {id:?} ({node_type}): {problem}")]
    Param {
        /// The node.
        id: String,
        /// Its type.
        node_type: String,
        /// What is wrong.
        problem: ParamProblem,
    },
    /// Kinds of data reach a node that does not take them.
    #[error("node {id:?} ({node_type}) takes {accepted}, but {found} reaches it from {from:?}{}", kind_hint(*usable, converters, from, id))]
    WrongKind {
        /// The node.
        id: String,
        /// Its type.
        node_type: String,
        /// The kinds it takes.
        accepted: KindSet,
        /// The kinds that reach it and that it does not take.
        found: KindSet,
        /// Where they come from.
        from: String,
        /// The kinds on the same edge that it does take.
        usable: KindSet,
        /// The nodes that would convert; none if none is known.
        converters: Vec<Converter>,
    },
    /// Media of a format that a node does not take is sure to reach it.
    #[error(
        "node {id:?} ({node_type}) takes {}, but {found} reaches it from {from:?}{}",
        one_of(accepted),
        hint(converters, from, id)
    )]
    WrongFormat {
        /// The node.
        id: String,
        /// Its type.
        node_type: String,
        /// The formats of that kind that it takes.
        accepted: Vec<AcceptedFormat>,
        /// The format that reaches it.
        found: MediaFormat,
        /// Where it comes from.
        from: String,
        /// The nodes that would convert it, in the order of the data; none if none are known.
        converters: Vec<Converter>,
    },
    /// Media of a format that the manifest does not declare is sure to come out.
    #[error(
        "the pipeline makes {}, but {found} reaches {output:?} from {from:?}{}",
        one_of(declared),
        hint(converters, from, output)
    )]
    WrongOutputFormat {
        /// The output.
        output: String,
        /// The formats of that kind that the manifest declares.
        declared: Vec<MediaFormat>,
        /// The format that reaches it.
        found: MediaFormat,
        /// Where it comes from.
        from: String,
        /// The nodes that would convert it, in the order of the data; none if none are known.
        converters: Vec<Converter>,
    },
}

impl ManifestError {
    pub(crate) fn new(place: Option<Place>, problem: ManifestProblem) -> Self {
        Self { file: None, place, problem: Box::new(problem) }
    }
}

impl fmt::Display for ManifestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.file, self.place) {
            (Some(file), Some(place)) => write!(f, "{}:{place}: ", file.display())?,
            (Some(file), None) => write!(f, "{}: ", file.display())?,
            (None, Some(place)) => write!(f, "{place}: ")?,
            (None, None) => {}
        }
        self.problem.fmt(f)
    }
}

impl std::error::Error for ManifestError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(&*self.problem)
    }
}

fn on_line(line: Option<u32>) -> String {
    line.map_or_else(String::new, |line| format!(" on line {line}"))
}

fn first_on_line(line: Option<u32>) -> String {
    line.map_or_else(String::new, |line| format!(", first on line {line}"))
}

fn kind_hint(usable: KindSet, converters: &[Converter], from: &str, to: &str) -> String {
    match usable.iter().next() {
        Some(kind) => format!("; put \"only: {kind}\" on that edge"),
        None if converters.is_empty() => "; put a node that converts between them".to_owned(),
        None => hint(converters, from, to),
    }
}

/// Which nodes would convert what goes `from` one `to` the other.
fn hint(converters: &[Converter], from: &str, to: &str) -> String {
    let nodes: Vec<String> = converters.iter().map(Converter::to_string).collect();
    match &nodes[..] {
        [] => "; no node that is known converts it".to_owned(),
        nodes => format!("; put {} between {from:?} and {to:?}", nodes.join(" and ")),
    }
}

pub(crate) fn one_of(formats: &[impl fmt::Display]) -> String {
    formats.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}
