//! A build without the feature `files` tells which feature the nodes of files need.
#![cfg(not(feature = "files"))]
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};

#[test]
fn a_manifest_that_needs_files_is_told_which_feature_to_turn_on() {
    for name in ["Recorder", "FilePlayer"] {
        let manifest = format!("pipeline: {{ nodes: [{{ id: it, type: {name} }}] }}");
        let runner = PipelineRunner::with_registry(remotemedia_nodes::registry());
        let refusal =
            Manifest::from_yaml(&manifest).and_then(|manifest| runner.check(&manifest)).unwrap_err().to_string();
        assert!(refusal.contains("\"files\"") || refusal.contains("`files`"), "{refusal}");
    }
}
