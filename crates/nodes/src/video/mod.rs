//! Nodes that make and change pictures.

mod blur;
mod crop;
mod error;
mod format;
mod image;
mod overlay;
mod picture;
mod scale;
mod streams;
mod test_card;

pub use blur::{Backdrop, BackgroundBlur};
pub use crop::{CropUnit, VideoCrop};
pub use error::VideoError;
pub use format::{ColorMatrix, ColorRange, VideoFormat};
pub use image::{Image, ImageError};
pub use overlay::{Content, Corner, Overlay};
pub use scale::{Filter, Fit, VideoScale};
pub use test_card::{Pattern, TestCard, TestCardOptions};

use remotemedia_runtime_core::node::NodeRegistry;

/// Adds the video nodes to `registry`.
pub(crate) fn register(registry: &mut NodeRegistry) {
    registry
        .register(BackgroundBlur::node_type())
        .register(Overlay::node_type())
        .register(TestCard::node_type())
        .register(VideoCrop::node_type())
        .register(VideoFormat::node_type())
        .register(VideoScale::node_type());
}
