//! What the tests of several behaviours use.
#![allow(unreachable_pub)]

use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    manifest::Manifest,
    node::NodeRegistry,
    runner::{PipelineRunner, Session},
    transport::TransportData,
};

/// A session of `yaml` with the types of this crate and those that `register` adds.
pub fn session_with(yaml: &str, register: impl FnOnce(&mut NodeRegistry)) -> Session {
    let mut registry = NodeRegistry::with_builtin();
    register(&mut registry);
    let manifest = Manifest::from_yaml(yaml).unwrap();
    PipelineRunner::with_registry(registry).create_session(&manifest).unwrap()
}

/// Everything that `recv_output` answers until it answers `None`, as text.
pub async fn drain(session: &mut Session) -> Vec<String> {
    let mut texts = Vec::new();
    while let Some(output) = session.recv_output().await.unwrap() {
        texts.push(text(&output));
    }
    texts
}

/// The text of an output.
pub fn text(output: &TransportData) -> String {
    match &output.data {
        RuntimeData::Text(text) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// 10 ms of audio in which every sample is `value`.
pub fn audio(value: f32) -> AudioFrame {
    AudioFrame::new(vec![value; 480], 48_000, 1).unwrap()
}
