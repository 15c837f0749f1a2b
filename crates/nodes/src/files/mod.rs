//! Nodes that write media to files and play files.

mod ebml;
mod ivf;
mod opus_head;
mod player;
mod recorder;

use remotemedia_runtime_core::node::NodeRegistry;

pub use player::{FilePlayer, PlayerError};
pub use recorder::{OnFull, Recorder, RecorderError, RecorderSettings, WavFormat};

/// Adds the nodes of this module to `registry`.
pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(Recorder::node_type());
    registry.register(FilePlayer::node_type());
}
