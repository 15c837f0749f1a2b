//! Messages over data channels.

pub use crate::{config::DataChannelMode, message::DataChannelMessage};
