use crate::{
    data::RuntimeData,
    node::{Emitter, Node, NodeResult, NodeType, Produces},
};

/// `PassThrough`: hands everything on unchanged. Takes anything, has no params.
///
/// It gives an edge a name: a place to gather several branches, or to measure.
#[derive(Clone, Copy, Debug, Default)]
pub struct PassThrough;

impl PassThrough {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("PassThrough", |_| Ok(Self))
            .describe("Hands everything on unchanged.")
            .produces(Produces::SameAsInput)
            .keeps_format()
    }
}

impl Node for PassThrough {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        out.emit(input);
        Ok(())
    }
}
