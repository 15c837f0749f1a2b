//! The node types that come with the runtime, one file each.

mod echo;
mod gain;
mod pass_through;
mod video_flip;

pub use echo::Echo;
pub use gain::Gain;
pub use pass_through::PassThrough;
pub use video_flip::{FlipDirection, VideoFlip, VideoFlipError};

use crate::node::NodeType;

/// Every type of this folder.
pub(crate) fn all() -> [NodeType; 4] {
    [Echo::node_type(), Gain::node_type(), PassThrough::node_type(), VideoFlip::node_type()]
}
