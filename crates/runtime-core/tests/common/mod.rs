//! What the tests of several behaviours use.

use remotemedia_runtime_core::{
    data::RuntimeData,
    manifest::Manifest,
    node::NodeRegistry,
    runner::{PipelineRunner, Session},
    transport::TransportData,
};

/// A session of `yaml` with the types of this crate and those that `register` adds.
pub(crate) fn session_with(yaml: &str, register: impl FnOnce(&mut NodeRegistry)) -> Session {
    let mut registry = NodeRegistry::with_builtin();
    register(&mut registry);
    let manifest = Manifest::from_yaml(yaml).expect("a good manifest");
    PipelineRunner::with_registry(registry).create_session(&manifest).expect("a session")
}

/// Everything that `recv_output` answers until it answers `None`, as text.
pub(crate) async fn drain(session: &mut Session) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(output) = session.recv_output().await.expect("no failure") {
        texts.push(text(&output));
    }
    texts
}

/// The text of an output.
pub(crate) fn text(output: &TransportData) -> String {
    match &output.data {
        RuntimeData::Text(text) => text.clone(),
        other => format!("{other:?}"),
    }
}
