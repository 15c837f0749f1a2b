use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, bail};
use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};
use serde::Serialize;

/// What the bot can do with a peer's media.
pub(super) struct Pipelines(Vec<Pipeline>);

/// A manifest under a name.
pub(super) struct Pipeline {
    pub(super) manifest: Arc<Manifest>,
    pub(super) description: Description,
}

/// What the page shows of a pipeline.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Description {
    pub(super) name: String,
    title: String,
    description: String,
    nodes: Vec<Node>,
    connections: Vec<Connection>,
}

#[derive(Clone, Debug, Serialize)]
struct Node {
    id: String,
    #[serde(rename = "type")]
    node_type: String,
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
        let runner = PipelineRunner::with_registry(remotemedia_webrtc::nodes::registry());
        let mut pipelines = Vec::new();
        for file in files {
            // Its message has the file's name and the line.
            let manifest = Manifest::from_file(file)?;
            pipelines.push(Pipeline::new(name_of(file)?, manifest, &runner)?);
        }
        let echo = Pipeline::new("echo".to_owned(), Manifest::from_yaml(ECHO)?, &runner)?;
        if pipelines.iter().all(|pipeline| pipeline.description.name != echo.description.name) {
            pipelines.push(echo);
        }
        for (index, pipeline) in pipelines.iter().enumerate() {
            let name = &pipeline.description.name;
            if pipelines[..index].iter().any(|other| other.description.name == *name) {
                bail!("two manifests are called {name:?}: rename one of the files");
            }
        }
        Ok(Self(pipelines))
    }

    /// What peers get until they choose.
    pub(super) fn default(&self) -> &Pipeline {
        &self.0[0]
    }

    pub(super) fn get(&self, name: &str) -> Option<&Pipeline> {
        self.0.iter().find(|pipeline| pipeline.description.name == name)
    }

    /// The name of one of these manifests.
    pub(super) fn name_of(&self, manifest: &Arc<Manifest>) -> Option<&str> {
        let pipeline = self.0.iter().find(|pipeline| Arc::ptr_eq(&pipeline.manifest, manifest))?;
        Some(&pipeline.description.name)
    }

    pub(super) fn descriptions(&self) -> impl Iterator<Item = &Description> {
        self.0.iter().map(|pipeline| &pipeline.description)
    }
}

impl Pipeline {
    fn new(name: String, manifest: Manifest, runner: &PipelineRunner) -> Result<Self> {
        let nodes = manifest.nodes().iter();
        let nodes: Vec<Node> =
            nodes.map(|node| Node { id: node.id().to_owned(), node_type: node.node_type().to_owned() }).collect();
        let edges = runner.connections(&manifest)?.into_iter();
        let connections = edges.map(|(from, to)| Connection { from, to }).collect();
        let description = Description {
            title: manifest.name().unwrap_or(&name).to_owned(),
            description: manifest.description().unwrap_or_default().to_owned(),
            name,
            nodes,
            connections,
        };
        Ok(Self { manifest: Arc::new(manifest), description })
    }
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
        assert_eq!(echo["nodes"], serde_json::json!([{"id": "echo", "type": "Echo"}]));
        let edges = serde_json::json!([{"from": "input", "to": "echo"}, {"from": "echo", "to": "output"}]);
        assert_eq!(echo["connections"], edges);
        assert!(pipelines.get("echo").is_some() && pipelines.get("mirror").is_none());
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
