//! Nodes for voices: what is speech, what is noise, what is echo, and how loud it all is.

#[cfg(feature = "voice")]
mod apm;
mod audio_level;
mod auto_gain;
#[cfg(feature = "voice")]
mod blocks;
#[cfg(feature = "voice")]
mod echo_cancel;
mod level;
mod limiter;
mod noise_gate;
#[cfg(feature = "voice")]
mod noise_suppress;
mod streams;
#[cfg(feature = "voice")]
mod vad;

#[cfg(feature = "voice")]
pub use apm::SuppressionLevel;
pub use audio_level::AudioLevel;
pub use auto_gain::AutoGain;
#[cfg(feature = "voice")]
pub use echo_cancel::EchoCancel;
pub use noise_gate::NoiseGate;
#[cfg(feature = "voice")]
pub use noise_suppress::{NoiseModel, NoiseSuppress};
#[cfg(feature = "voice")]
pub use vad::{Vad, VadSettings};

use remotemedia_resample::ResampleError;
use remotemedia_runtime_core::node::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(AudioLevel::node_type()).register(AutoGain::node_type()).register(NoiseGate::node_type());
    #[cfg(feature = "voice")]
    registry.register(EchoCancel::node_type()).register(NoiseSuppress::node_type()).register(Vad::node_type());
    #[cfg(not(feature = "voice"))]
    for node_type in ["EchoCancel", "NoiseSuppress", "Vad"] {
        registry.switched_off(node_type, "voice");
    }
}

/// Why a node for voices cannot work on a frame.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VoiceError {
    /// The rate is outside of what the algorithm knows.
    #[error("{node} takes 8,000 to 192,000 Hz, not {sample_rate} Hz: put a Resample node before it")]
    SampleRate {
        /// The node's type.
        node: &'static str,
        /// The rate of the frame in Hz.
        sample_rate: u32,
    },
    /// The reference of an `EchoCancel` is several streams at once.
    #[error("the reference of EchoCancel is a mix of several streams: mix them to one before")]
    ReferenceMix,
    /// The algorithm refuses the frame.
    #[error("{node} cannot work on {channels} channels at {sample_rate} Hz: {source}")]
    Refused {
        /// The node's type.
        node: &'static str,
        /// The channels of the frame.
        channels: u16,
        /// The rate of the frame in Hz.
        sample_rate: u32,
        /// What the algorithm says.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no conversion to the rate that the algorithm works at.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

impl VoiceError {
    /// Lets rates pass that every algorithm here knows.
    #[cfg(feature = "voice")]
    fn check_rate(node: &'static str, sample_rate: u32) -> Result<(), Self> {
        if (8_000..=192_000).contains(&sample_rate) { Ok(()) } else { Err(Self::SampleRate { node, sample_rate }) }
    }
}

#[cfg(test)]
mod tests {
    use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};

    /// What a manifest with the one node `node` is told; `None` if it is accepted.
    fn refusal(node: &str) -> Option<String> {
        let manifest = Manifest::from_yaml(&format!("pipeline: {{ nodes: [{{ id: a, {node} }}] }}")).unwrap();
        let runner = PipelineRunner::with_registry(crate::registry());
        runner.check(&manifest).err().map(|error| error.to_string())
    }

    #[test]
    fn a_node_whose_feature_is_off_is_known_by_name() {
        for node in ["type: Vad", "type: EchoCancel, params: { reference: b }", "type: NoiseSuppress"] {
            let refusal = refusal(node);
            let names_feature =
                refusal.as_ref().is_some_and(|refusal| refusal.contains("turn on the cargo feature \"voice\""));
            assert!(if cfg!(feature = "voice") { refusal.is_none() } else { names_feature }, "{node}: {refusal:?}");
        }
    }
}
