//! Manifests that are refused.

use remotemedia_nodes::registry;
use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};

/// What refuses `manifest`, in words.
pub(crate) fn refusal(manifest: &str) -> String {
    let runner = PipelineRunner::with_registry(registry());
    Manifest::from_yaml(manifest)
        .and_then(|manifest| runner.check(&manifest))
        .expect_err("the manifest is refused")
        .to_string()
}
