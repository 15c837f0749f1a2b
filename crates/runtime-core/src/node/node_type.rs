use std::{fmt, sync::Arc};

use serde_json::{Map, Value};

use super::{
    AcceptedFormat, AsyncNode, Conversion, Emitter, Node, NodeResult, ParamProblem, ParamSpec, Params, RawParams,
};
use crate::{
    data::{KindSet, RuntimeData},
    manifest::MediaFormat,
};

/// A type of node: its name in manifests, what it can be told, what it takes and makes, and how to build one.
#[derive(Clone)]
pub struct NodeType {
    name: String,
    description: &'static str,
    params: Vec<ParamSpec>,
    accepts: KindSet,
    produces: Produces,
    works_unfed: bool,
    takes: Vec<Arc<Takes>>,
    makes: Option<Arc<Makes>>,
    emits: Option<Arc<Emits>>,
    conversions: Vec<Conversion>,
    create: Arc<Create>,
}

type Create = dyn Fn(&Params) -> Result<NodeInstance, ParamProblem> + Send + Sync;
type Takes = dyn Fn(&Params) -> Vec<AcceptedFormat> + Send + Sync;
type Makes = dyn Fn(MediaFormat, &Params) -> Option<MediaFormat> + Send + Sync;
type Emits = dyn Fn(&Params) -> Vec<MediaFormat> + Send + Sync;

/// The kinds of data that a node makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Produces {
    /// The kinds that it is given.
    SameAsInput,
    /// These kinds, whatever it is given; [`KindSet::NONE`] for a node that only takes.
    Kinds(KindSet),
}

/// A node that was built, with the way in which it runs.
pub struct NodeInstance(pub(crate) InstanceKind);

pub(crate) enum InstanceKind {
    Inline(Box<dyn Node>),
    Heavy(Box<dyn Node>),
    Async(Box<dyn AsyncNode>),
}

impl NodeType {
    /// A type whose nodes compute within the task of the session.
    pub fn new<N: Node>(
        name: impl Into<String>,
        create: impl Fn(&Params) -> Result<N, ParamProblem> + Send + Sync + 'static,
    ) -> Self {
        Self::with_create(name, move |params| Ok(NodeInstance(InstanceKind::Inline(Box::new(create(params)?)))))
    }

    /// A type whose nodes compute for long, each call on a thread for such work.
    pub fn heavy<N: Node>(
        name: impl Into<String>,
        create: impl Fn(&Params) -> Result<N, ParamProblem> + Send + Sync + 'static,
    ) -> Self {
        Self::with_create(name, move |params| Ok(NodeInstance(InstanceKind::Heavy(Box::new(create(params)?)))))
    }

    /// A type whose nodes wait.
    pub fn asynchronous<N: AsyncNode>(
        name: impl Into<String>,
        create: impl Fn(&Params) -> Result<N, ParamProblem> + Send + Sync + 'static,
    ) -> Self {
        Self::with_create(name, move |params| Ok(NodeInstance(InstanceKind::Async(Box::new(create(params)?)))))
    }

    /// A type without params whose nodes call a function. Every node has its own clone, and so its own state.
    pub fn from_fn<F>(name: impl Into<String>, function: F) -> Self
    where
        F: FnMut(RuntimeData, &mut Emitter<'_>) -> NodeResult + Clone + Send + Sync + 'static,
    {
        Self::new(name, move |_| Ok(FnNode(function.clone())))
    }

    fn with_create(
        name: impl Into<String>,
        create: impl Fn(&Params) -> Result<NodeInstance, ParamProblem> + Send + Sync + 'static,
    ) -> Self {
        Self {
            name: name.into(),
            description: "",
            params: Vec::new(),
            accepts: KindSet::ALL,
            produces: Produces::Kinds(KindSet::ALL),
            works_unfed: false,
            takes: Vec::new(),
            makes: None,
            emits: None,
            conversions: Vec::new(),
            create: Arc::new(create),
        }
    }

    /// The same type with a sentence that says what it does.
    #[must_use]
    pub fn describe(mut self, description: &'static str) -> Self {
        self.description = description;
        self
    }

    /// The same type with one more param.
    #[must_use]
    pub fn param(mut self, param: ParamSpec) -> Self {
        self.params.push(param);
        self
    }

    /// The same type, taking only these kinds of data; [`KindSet::NONE`] for one that works on its own clock alone.
    #[must_use]
    pub fn accepts(mut self, kinds: KindSet) -> Self {
        self.accepts = kinds;
        self
    }

    /// The same type, making only these kinds of data. A type that says nothing may make any.
    #[must_use]
    pub fn produces(mut self, produces: Produces) -> Self {
        self.produces = produces;
        self
    }

    /// The same type, of use without any input: for one that works on its own clock and can be commanded. Its nodes are
    /// fed only where a manifest says so.
    #[must_use]
    pub fn works_unfed(mut self) -> Self {
        self.works_unfed = true;
        self
    }

    /// The same type, taking only such media of that kind; called more than once, any of them. A manifest that sends it
    /// something else for certain is refused, with the nodes that would convert. What comes otherwise at run time fails
    /// the call before the node sees it. A type that says nothing about a kind takes whatever its node takes.
    #[must_use]
    pub fn takes(self, format: AcceptedFormat) -> Self {
        self.takes_as(move |_| vec![format.clone()])
    }

    /// As [`NodeType::takes`], where it depends on the params.
    #[must_use]
    pub fn takes_as(mut self, formats: impl Fn(&Params) -> Vec<AcceptedFormat> + Send + Sync + 'static) -> Self {
        self.takes.push(Arc::new(formats));
        self
    }

    /// The same type, whose nodes leave the format of media as it is: rate, channels, pixel format and size.
    #[must_use]
    pub fn keeps_format(self) -> Self {
        self.makes(|format, _| Some(format))
    }

    /// The same type, which makes of media of one format that of another, of the same kind or not; `None` if nothing comes
    /// out. It need not be right about what the node refuses. What a type that says nothing makes is not known, and never
    /// refused.
    #[must_use]
    pub fn makes(
        mut self,
        format: impl Fn(MediaFormat, &Params) -> Option<MediaFormat> + Send + Sync + 'static,
    ) -> Self {
        self.makes = Some(Arc::new(format));
        self
    }

    /// The same type, whose nodes make media of these formats by themselves.
    #[must_use]
    pub fn emits(mut self, formats: impl Fn(&Params) -> Vec<MediaFormat> + Send + Sync + 'static) -> Self {
        self.emits = Some(Arc::new(formats));
        self
    }

    /// The same type, which is there to convert: errors about formats name it as the node that is missing.
    #[must_use]
    pub fn converts(mut self, conversion: Conversion) -> Self {
        self.conversions.push(conversion);
        self
    }

    /// The name in manifests.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it does.
    pub fn description(&self) -> &str {
        self.description
    }

    /// What it can be told.
    pub fn params(&self) -> &[ParamSpec] {
        &self.params
    }

    /// The kinds of data that it takes.
    pub fn accepted_kinds(&self) -> KindSet {
        self.accepts
    }

    /// The kinds of data that it makes when it is given `input`.
    pub fn produced_kinds(&self, input: KindSet) -> KindSet {
        match self.produces {
            Produces::SameAsInput => input.intersection(self.accepts),
            Produces::Kinds(kinds) => kinds,
        }
    }

    /// The formats of media that its nodes take with `params`; of kinds that are not among them, any.
    pub fn accepted_formats(&self, params: &Params) -> Vec<AcceptedFormat> {
        self.takes.iter().flat_map(|takes| takes(params)).collect()
    }

    /// The format that its nodes make of media of the format `format`; `None` if that is not known, or nothing.
    pub fn made_format(&self, format: MediaFormat, params: &Params) -> Option<MediaFormat> {
        self.makes.as_ref().and_then(|makes| makes(format, params))
    }

    /// The formats of media that its nodes make by themselves, as far as that is known.
    pub fn emitted_formats(&self, params: &Params) -> Vec<MediaFormat> {
        self.emits.as_ref().map(|emits| emits(params)).unwrap_or_default()
    }

    /// What it is there to change.
    pub fn conversions(&self) -> &[Conversion] {
        &self.conversions
    }

    /// Params out of the fields of a JSON object, checked and with defaults filled in.
    ///
    /// # Errors
    ///
    /// [`ParamProblem`] if a param is unknown, missing or out of range.
    pub fn params_from(&self, values: Map<String, Value>) -> Result<Params, ParamProblem> {
        self.check_params(&RawParams::from_json(values))
    }

    /// Builds a node outside of any pipeline: for tests of nodes.
    ///
    /// # Errors
    ///
    /// [`ParamProblem`] if the node does not work with these params.
    pub fn build(&self, params: &Params) -> Result<NodeInstance, ParamProblem> {
        self.create(params)
    }

    /// Whether its nodes need no input: they take none, or work without.
    pub(crate) fn is_source(&self) -> bool {
        self.works_unfed || self.accepts.is_empty()
    }

    pub(crate) fn check_params(&self, raw: &RawParams) -> Result<Params, ParamProblem> {
        Params::check(&self.params, raw)
    }

    pub(crate) fn create(&self, params: &Params) -> Result<NodeInstance, ParamProblem> {
        (self.create)(params)
    }
}

impl fmt::Debug for NodeType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeType")
            .field("name", &self.name)
            .field("params", &self.params)
            .field("accepts", &self.accepts)
            .field("produces", &self.produces)
            .finish_non_exhaustive()
    }
}

impl NodeInstance {
    /// The node; `None` if it is an [`AsyncNode`].
    pub fn as_node(&mut self) -> Option<&mut dyn Node> {
        match &mut self.0 {
            InstanceKind::Inline(node) | InstanceKind::Heavy(node) => Some(&mut **node),
            InstanceKind::Async(_) => None,
        }
    }
}

impl fmt::Debug for NodeInstance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.0 {
            InstanceKind::Inline(_) => "NodeInstance::Inline",
            InstanceKind::Heavy(_) => "NodeInstance::Heavy",
            InstanceKind::Async(_) => "NodeInstance::Async",
        })
    }
}

struct FnNode<F>(F);

impl<F> Node for FnNode<F>
where
    F: FnMut(RuntimeData, &mut Emitter<'_>) -> NodeResult + Send + 'static,
{
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        (self.0)(input, out)
    }
}
