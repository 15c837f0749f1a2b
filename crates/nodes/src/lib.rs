//! Native nodes for media pipelines, each under the name that manifests give it.
//!
//! [`registry`] knows all of them and those that come with the runtime. A node whose cargo feature is off is known by name, so
//! that a manifest that uses it is told which feature to turn on.
//!
//! ```
//! use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};
//!
//! let runner = PipelineRunner::with_registry(remotemedia_nodes::registry());
//! let manifest = Manifest::from_yaml("pipeline: { nodes: [{ id: louder, type: Gain, params: { db: 6 } }] }")?;
//! runner.check(&manifest)?;
//! # Ok::<(), remotemedia_runtime_core::manifest::ManifestError>(())
//! ```
#![forbid(unsafe_code)]

pub mod audio;
#[cfg(feature = "files")]
pub mod files;
pub mod flow;
pub mod video;
pub mod voice;

use remotemedia_runtime_core::node::NodeRegistry;

/// A registry of every node of this crate and of those that come with the runtime.
pub fn registry() -> NodeRegistry {
    let mut registry = NodeRegistry::with_builtin();
    register(&mut registry);
    registry
}

/// Adds every node of this crate to `registry`.
pub fn register(registry: &mut NodeRegistry) {
    audio::register(registry);
    flow::register(registry);
    video::register(registry);
    #[cfg(feature = "files")]
    files::register(registry);
    #[cfg(not(feature = "files"))]
    registry.switched_off("FilePlayer", "files").switched_off("Recorder", "files");
    voice::register(registry);
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
