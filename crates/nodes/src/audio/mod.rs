//! Nodes that make, convert and mix audio.

mod channel_convert;
mod error;
pub(crate) mod fade;
mod mixer;
mod resample;
pub(crate) mod streams;
mod test_tone;

pub use channel_convert::ChannelConvert;
pub use error::AudioNodeError;
pub use mixer::{AudioMixer, MixMode, MixerConfig};
pub use resample::Resample;
pub use test_tone::{TestTone, TestToneConfig, Wave};

use remotemedia_runtime_core::node::{AcceptedFormat, NodeRegistry};

/// Audio of the rates that are converted: 8 to 192 kHz.
pub(crate) fn audible() -> AcceptedFormat {
    AcceptedFormat::audio().sample_rate(8_000..=192_000)
}

/// Adds the nodes of this module to `registry`.
pub fn register(registry: &mut NodeRegistry) {
    registry
        .register(AudioMixer::node_type())
        .register(ChannelConvert::node_type())
        .register(Resample::node_type())
        .register(TestTone::node_type());
}
