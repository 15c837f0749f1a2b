use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use remotemedia_runtime_core::{
    manifest::{Manifest, NodeSpec},
    node::NodeRegistry,
    runner::PipelineRunner,
};
use serde::Serialize;
use serde_json::Value;

use super::tuning::{self, Knob};
use crate::failure::UsageError;

/// What the bot can do with a peer's media.
pub(super) struct Pipelines {
    all: Vec<Pipeline>,
    registry: Arc<NodeRegistry>,
}

/// A manifest under a name.
pub(super) struct Pipeline {
    /// One for each output, the first of them first. Of several outputs a peer gets one: they are the same media in another form,
    /// and a page has one picture for them.
    manifests: Vec<(String, Arc<Manifest>)>,
    first: Arc<Manifest>,
    pub(super) description: Description,
}

/// What the page shows of a pipeline.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Description {
    pub(super) name: String,
    title: String,
    description: String,
    /// Whether all who choose it are in one session.
    pub(super) shared: bool,
    inputs: Vec<String>,
    outputs: Vec<String>,
    nodes: Vec<Node>,
    connections: Vec<Connection>,
}

#[derive(Clone, Debug, Serialize)]
struct Node {
    id: String,
    #[serde(rename = "type")]
    node_type: String,
    /// What can be changed while it runs.
    params: Vec<Knob>,
}

#[derive(Clone, Debug, Serialize)]
struct Connection {
    from: String,
    to: String,
}

/// What every bot can do.
const ECHO: &str = "
metadata: { name: Echo, description: Sends everything back as it came. }
nodes: [{ id: echo, node_type: Echo }]
";

impl Pipelines {
    /// Reads and checks the manifests, and adds an echo to them.
    pub(super) fn load(files: &[PathBuf]) -> Result<Self> {
        // What the transport of the bot knows too.
        let registry = Arc::new(remotemedia_webrtc::nodes::registry());
        let mut all = Vec::new();
        for file in files {
            // Its message has the file's name and the line.
            let manifest = Manifest::from_file(file)?;
            all.push(Pipeline::new(name_of(file)?, manifest, &registry)?);
        }
        let echo = Pipeline::new("echo".to_owned(), Manifest::from_yaml(ECHO)?, &registry)?;
        if all.iter().all(|pipeline| pipeline.description.name != echo.description.name) {
            all.push(echo);
        }
        for (index, pipeline) in all.iter().enumerate() {
            let name = &pipeline.description.name;
            if all[..index].iter().any(|other| other.description.name == *name) {
                let text = format!("two manifests are called {name:?}: rename one of the files");
                return Err(UsageError(text).into());
            }
        }
        Ok(Self { all, registry })
    }

    /// What peers get until they choose.
    pub(super) fn default(&self) -> &Pipeline {
        &self.all[0]
    }

    pub(super) fn get(&self, name: &str) -> Option<&Pipeline> {
        self.iter().find(|pipeline| pipeline.description.name == name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Pipeline> {
        self.all.iter()
    }

    /// The pipeline that a manifest is one of, and the output that it leads to.
    pub(super) fn find(&self, manifest: &Arc<Manifest>) -> Option<(&Pipeline, &str)> {
        self.iter().find_map(|pipeline| {
            let known = pipeline.manifests.iter().find(|(_, known)| Arc::ptr_eq(known, manifest));
            known.map(|(output, _)| (pipeline, output.as_str()))
        })
    }

    /// The values that a node of that type has for what can be changed while it runs.
    pub(super) fn values(&self, node_type: &str, params: &Value) -> Value {
        self.registry.get(node_type).map_or(Value::Null, |node_type| tuning::values(node_type, params))
    }

    /// The types of the nodes.
    pub(super) fn registry(&self) -> &NodeRegistry {
        &self.registry
    }
}

impl Pipeline {
    fn new(name: String, manifest: Manifest, registry: &Arc<NodeRegistry>) -> Result<Self> {
        let node = |node: &NodeSpec| Node {
            id: node.id().to_owned(),
            node_type: node.node_type().to_owned(),
            params: knobs_of(registry, node.node_type()),
        };
        let nodes: Vec<Node> = manifest.nodes().iter().map(node).collect();
        let runner = PipelineRunner::with_registry(Arc::clone(registry));
        let edges = runner.connections(&manifest)?.into_iter();
        let connections = edges.map(|(from, to)| Connection { from, to }).collect();
        let outputs: Vec<String> = manifest.outputs().map(str::to_owned).collect();
        if manifest.is_shared() && outputs.len() > 1 {
            bail!(
                "{name}: a pipeline with `shared: true` has one output here, and this has {}; remove all but one, or `shared`",
                outputs.join(", ")
            );
        }
        let description = Description {
            title: manifest.name().unwrap_or(&name).to_owned(),
            description: manifest.description().unwrap_or_default().to_owned(),
            shared: manifest.is_shared(),
            inputs: manifest.inputs().map(str::to_owned).collect(),
            outputs: outputs.clone(),
            name,
            nodes,
            connections,
        };
        let mut manifests = Vec::new();
        for output in outputs {
            let Some(leads_there) = manifest.with_output(&output) else { continue };
            // What is left out may be missed: now, and not when somebody chooses it.
            runner.check(&leads_there).with_context(|| format!("{}, cut down to output {output}", description.name))?;
            manifests.push((output, Arc::new(leads_there)));
        }
        let first = manifests.first().map(|(_, first)| Arc::clone(first));
        Ok(Self { first: first.unwrap_or_else(|| Arc::new(manifest)), manifests, description })
    }

    /// What leads to the first output.
    pub(super) fn manifest(&self) -> &Arc<Manifest> {
        &self.first
    }

    /// What leads to that output; `None` if it has no such output.
    pub(super) fn manifest_to(&self, output: &str) -> Option<&Arc<Manifest>> {
        self.manifests.iter().find(|(id, _)| id == output).map(|(_, manifest)| manifest)
    }

    pub(super) fn outputs(&self) -> &[String] {
        &self.description.outputs
    }
}

fn knobs_of(registry: &NodeRegistry, node_type: &str) -> Vec<Knob> {
    registry.get(node_type).map_or_else(Vec::new, |node_type| tuning::knobs(node_type))
}

fn name_of(file: &Path) -> Result<String> {
    let stem = file.file_stem().and_then(|stem| stem.to_str());
    Ok(stem.with_context(|| format!("{} has no readable name", file.display()))?.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_manifest_there_is_an_echo_whose_graph_can_be_drawn() {
        let pipelines = Pipelines::load(&[]).unwrap();
        let echo = serde_json::to_value(&pipelines.default().description).unwrap();
        assert_eq!(echo["nodes"], serde_json::json!([{"id": "echo", "type": "Echo", "params": []}]));
        let edges = serde_json::json!([{"from": "input", "to": "echo"}, {"from": "echo", "to": "output"}]);
        assert_eq!(echo["connections"], edges);
        assert!(pipelines.get("echo").is_some() && pipelines.get("mirror").is_none());
    }

    fn example(name: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
    }

    #[test]
    fn of_several_outputs_a_peer_gets_one_with_the_nodes_that_lead_there() {
        let pipelines = Pipelines::load(&[example("broadcast_tiers.yaml")]).unwrap();
        let tiers = pipelines.default();
        assert_eq!(tiers.outputs(), ["full", "medium", "small"]);
        let nodes = |output: &str| {
            let manifest = tiers.manifest_to(output).unwrap();
            manifest.nodes().iter().map(|node| node.id().to_owned()).collect::<Vec<_>>()
        };
        assert!(tiers.manifest().outputs().eq(["full"]) && nodes("full").is_empty());
        assert_eq!(nodes("small"), ["scale_480"]);
        assert!(tiers.manifest_to("tiny").is_none());
        let (found, output) = pipelines.find(tiers.manifest_to("medium").unwrap()).unwrap();
        assert_eq!((found.description.name.as_str(), output), ("broadcast_tiers", "medium"));
    }

    #[test]
    fn a_manifest_says_itself_that_it_is_for_all_at_once() {
        let pipelines = Pipelines::load(&[example("conference.yaml"), example("simple_pipeline.yaml")]).unwrap();
        let shared: Vec<bool> = pipelines.iter().map(|pipeline| pipeline.description.shared).collect();
        assert_eq!(shared, [true, false, false]);
    }

    #[test]
    fn a_manifest_with_a_mistake_is_refused_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("typo.yaml");
        std::fs::write(&file, "pipeline:\n  nodes:\n    - { id: a, type: Gane }\n").unwrap();
        let error = format!("{:#}", Pipelines::load(std::slice::from_ref(&file)).err().unwrap());
        assert!(error.contains("typo.yaml") && error.contains("3:") && error.contains("Gain"), "{error}");
        std::fs::write(&file, "pipeline: { nodes: [{ id: a, type: Gain }] }").unwrap();
        let error = Pipelines::load(&[file.clone(), file]).err().unwrap().to_string();
        assert!(error.contains("\"typo\""), "{error}");
    }
}
