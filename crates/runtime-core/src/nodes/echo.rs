use crate::{
    data::RuntimeData,
    node::{Emitter, Node, NodeResult, NodeType, Produces},
};

/// `Echo`: answers every piece of data with itself. Takes anything, has no params.
///
/// On a transport that sends a pipeline's output back to where its input came from, a peer hears and sees itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Echo;

impl Echo {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("Echo", |_| Ok(Self))
            .describe("Answers every piece of data with itself.")
            .produces(Produces::SameAsInput)
            .keeps_format()
    }
}

impl Node for Echo {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        out.emit(input);
        Ok(())
    }
}
