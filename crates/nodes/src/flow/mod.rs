//! Nodes that direct, thin and reshape data of any kind.

mod json_transform;
mod kinds;
mod rate_limit;
mod select;
mod tee;

pub use json_transform::{JsonTransform, JsonTransformConfig, JsonTransformError};
pub use rate_limit::{RateLimit, RateLimitConfig};
pub use select::Select;
pub use tee::Tee;

use remotemedia_runtime_core::node::NodeRegistry;

/// Adds the nodes of this module to `registry`.
pub fn register(registry: &mut NodeRegistry) {
    registry
        .register(JsonTransform::node_type())
        .register(RateLimit::node_type())
        .register(Select::node_type())
        .register(Tee::node_type());
}
