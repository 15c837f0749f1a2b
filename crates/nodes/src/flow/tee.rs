use remotemedia_runtime_core::{
    data::RuntimeData,
    node::{Emitter, Node, NodeResult, NodeType, Produces},
};

/// `Tee`: passes everything on, to each of its edges; a point at which a pipeline branches, with a name.
///
/// It has no params and changes nothing. Branches share samples and pixels until one of them writes.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tee;

impl Tee {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("Tee", |_| Ok(Self))
            .describe("Passes everything on to each edge.")
            .produces(Produces::SameAsInput)
            .keeps_format()
    }
}

impl Node for Tee {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        out.emit(input);
        Ok(())
    }
}
