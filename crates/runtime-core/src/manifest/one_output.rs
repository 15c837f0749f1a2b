use super::{Edge, End, Manifest};

impl Manifest {
    /// The same pipeline with no output but `output`, and without the nodes that work for the other outputs alone; `None` if it
    /// has no such output. Nodes whose work ends with them, since their type makes nothing, stay with what feeds them. One
    /// that passes on what it is given, as a `Recorder` does, stays if it stands on a way to `output`; on a way to no output at
    /// all it is a [`DeadEnd`](super::ManifestProblem::DeadEnd), here as in the whole pipeline.
    ///
    /// ```
    /// use remotemedia_runtime_core::manifest::Manifest;
    ///
    /// let tiers = Manifest::from_yaml("
    /// nodes:
    ///   - { id: full, type: Output }
    ///   - { id: mirrored, type: Output }
    ///   - { id: flip, type: VideoFlip }
    /// connections:
    ///   - { from: input, to: full }
    ///   - { from: input, to: flip }
    ///   - { from: flip, to: mirrored }
    /// ")?;
    /// let full = tiers.with_output("full").expect("it has one");
    /// assert!(full.outputs().eq(["full"]) && full.nodes().is_empty());
    /// # Ok::<(), remotemedia_runtime_core::manifest::ManifestError>(())
    /// ```
    #[must_use]
    pub fn with_output(&self, output: &str) -> Option<Self> {
        let chosen = self.outputs.iter().position(|port| &*port.id == output)?;
        let stays = self.leading_to(chosen);
        let kept_end = |end: End| match end {
            End::Input(_) => true,
            End::Node(index) => stays[index],
            End::Output(index) => index == chosen,
        };
        let kept: Vec<Edge> =
            self.edges.iter().copied().filter(|edge| kept_end(edge.from) && kept_end(edge.to)).collect();
        // An input that is written down must be used; the unwritten one need not be.
        let feeds = |index: usize| kept.iter().any(|edge| edge.from == End::Input(index));
        let inputs: Vec<bool> =
            self.inputs.iter().enumerate().map(|(index, port)| port.place.is_none() || feeds(index)).collect();
        let place_of = |flags: &[bool], index: usize| flags[..index].iter().filter(|flag| **flag).count();
        let moved = |end: End| match end {
            End::Input(index) => End::Input(place_of(&inputs, index)),
            End::Node(index) => End::Node(place_of(&stays, index)),
            End::Output(_) => End::Output(0),
        };
        Some(Self {
            inputs: pick(&self.inputs, |index| inputs[index]),
            outputs: pick(&self.outputs, |index| index == chosen),
            nodes: pick(&self.nodes, |index| stays[index]),
            edges: kept.iter().map(|edge| Edge { from: moved(edge.from), to: moved(edge.to), ..*edge }).collect(),
            ..self.clone()
        })
    }

    /// For each node whether something of it reaches the output `chosen`, or a node whose work ends there.
    fn leading_to(&self, chosen: usize) -> Vec<bool> {
        let has_targets = |index: usize| self.edges.iter().any(|edge| edge.from == End::Node(index));
        let mut stays: Vec<bool> = (0..self.nodes.len()).map(|index| !has_targets(index)).collect();
        loop {
            let mut has_changed = false;
            for edge in &self.edges {
                let End::Node(from) = edge.from else { continue };
                let leads = match edge.to {
                    End::Node(to) => stays[to],
                    End::Output(output) => output == chosen,
                    End::Input(_) => false,
                };
                if leads && !stays[from] {
                    stays[from] = true;
                    has_changed = true;
                }
            }
            if !has_changed {
                return stays;
            }
        }
    }
}

fn pick<T: Clone>(items: &[T], keep: impl Fn(usize) -> bool) -> Vec<T> {
    items.iter().enumerate().filter(|(index, _)| keep(*index)).map(|(_, item)| item.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        data::KindSet,
        manifest::ManifestProblem,
        node::{NodeRegistry, NodeType, Produces},
        runner::PipelineRunner,
    };

    fn edges(manifest: &Manifest) -> Vec<(&str, &str)> {
        manifest.edges().map(|(from, to, _)| (from, to)).collect()
    }

    const THREE: &str = "
nodes:
  - { id: mouth, type: Input }
  - { id: camera, type: Input }
  - { id: shared, type: Echo }
  - { id: left, type: Echo }
  - { id: right, type: Echo }
  - { id: diary, type: Diary }
  - { id: a, type: Output }
  - { id: b, type: Output }
connections:
  - { from: camera, to: shared }
  - { from: shared, to: left }
  - { from: shared, to: right }
  - { from: left, to: a }
  - { from: right, to: b }
  - { from: mouth, to: b }
  - { from: right, to: diary }
";

    /// A runner that knows a type that only takes.
    fn runner() -> PipelineRunner {
        let mut registry = NodeRegistry::with_builtin();
        registry.register(NodeType::from_fn("Diary", |_, _| Ok(())).produces(Produces::Kinds(KindSet::NONE)));
        PipelineRunner::with_registry(registry)
    }

    #[test]
    fn what_works_for_another_output_alone_is_left_out_and_what_only_takes_stays() {
        let (runner, manifest) = (runner(), Manifest::from_yaml(THREE).unwrap());
        runner.check(&manifest).unwrap();
        let a = manifest.with_output("a").unwrap();
        runner.check(&a).unwrap();
        let ids: Vec<&str> = a.nodes().iter().map(super::super::NodeSpec::id).collect();
        assert_eq!(ids, ["shared", "left", "right", "diary"], "the diary is kept, with what it needs");
        assert_eq!(
            edges(&a),
            [("camera", "shared"), ("shared", "left"), ("shared", "right"), ("left", "a"), ("right", "diary")]
        );
        assert!(a.outputs().eq(["a"]) && a.inputs().eq(["camera"]));
        let b = manifest.with_output("b").unwrap();
        runner.check(&b).unwrap();
        assert!(b.nodes().iter().all(|node| node.id() != "left") && b.inputs().eq(["mouth", "camera"]));
        assert!(manifest.with_output("c").is_none());
    }

    #[test]
    fn a_node_that_passes_on_what_it_is_given_needs_an_output_before_the_cut_and_after() {
        let dead_end = Manifest::from_yaml(&THREE.replace("Diary", "Echo")).unwrap();
        for manifest in [&dead_end, &dead_end.with_output("a").unwrap()] {
            let refusal = runner().check(manifest).unwrap_err();
            assert!(matches!(*refusal.problem, ManifestProblem::DeadEnd { .. }), "{refusal}");
        }
    }

    #[test]
    fn a_pipeline_with_one_output_stays_as_it_is() {
        let manifest = Manifest::from_yaml("nodes: [{ id: e, type: Echo }]").unwrap();
        let same = manifest.with_output("output").unwrap();
        assert!(same.inputs().eq(["input"]) && same.outputs().eq(["output"]) && same.nodes().len() == 1);
    }
}
