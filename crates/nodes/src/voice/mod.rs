//! Nodes for voices: what is speech, what is noise, what is echo, and how loud it all is.

#[cfg(feature = "sonora")]
mod apm;
mod audio_level;
mod auto_gain;
#[cfg(any(feature = "sonora", feature = "nnnoiseless"))]
mod blocks;
#[cfg(feature = "sonora")]
mod echo_cancel;
mod level;
mod limiter;
mod noise_gate;
#[cfg(any(feature = "sonora", feature = "nnnoiseless"))]
mod noise_suppress;
#[cfg(any(feature = "nnnoiseless", feature = "vad"))]
mod resample;
mod streams;
#[cfg(feature = "vad")]
mod vad;

#[cfg(feature = "sonora")]
pub use apm::SuppressionLevel;
pub use audio_level::AudioLevel;
pub use auto_gain::AutoGain;
#[cfg(feature = "sonora")]
pub use echo_cancel::EchoCancel;
pub use noise_gate::NoiseGate;
#[cfg(any(feature = "sonora", feature = "nnnoiseless"))]
pub use noise_suppress::{NoiseModel, NoiseSuppress};
#[cfg(feature = "vad")]
pub use vad::{Vad, VadSettings};

use remotemedia_runtime_core::node::NodeRegistry;

pub(crate) fn register(registry: &mut NodeRegistry) {
    registry.register(AudioLevel::node_type()).register(AutoGain::node_type()).register(NoiseGate::node_type());
    #[cfg(feature = "sonora")]
    registry.register(EchoCancel::node_type());
    #[cfg(any(feature = "sonora", feature = "nnnoiseless"))]
    registry.register(NoiseSuppress::node_type());
    #[cfg(feature = "vad")]
    registry.register(Vad::node_type());
    // Says nothing about those that are there.
    registry.switched_off("EchoCancel", "sonora").switched_off("NoiseSuppress", "sonora").switched_off("Vad", "vad");
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
    /// There is no converter from this rate to the one that the algorithm works at.
    #[error("no conversion from {from} Hz to {to} Hz: put a Resample node before it")]
    Conversion {
        /// The rate of what comes, in Hz.
        from: u32,
        /// The rate of what is wanted, in Hz.
        to: u32,
    },
}

impl VoiceError {
    /// Lets rates pass that every algorithm here knows.
    #[cfg(any(feature = "sonora", feature = "nnnoiseless", feature = "vad"))]
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
        for (node, feature, is_on) in [
            ("type: Vad", "vad", cfg!(feature = "vad")),
            ("type: EchoCancel, params: { reference: b }", "sonora", cfg!(feature = "sonora")),
            ("type: NoiseSuppress", "sonora", cfg!(any(feature = "sonora", feature = "nnnoiseless"))),
        ] {
            let refusal = refusal(node);
            let names_feature = refusal.as_ref().is_some_and(|refusal| refusal.contains(feature));
            assert!(if is_on { refusal.is_none() } else { names_feature }, "{node}: {refusal:?}");
        }
    }

    #[cfg(any(feature = "sonora", feature = "nnnoiseless"))]
    #[test]
    fn a_model_whose_feature_is_off_is_refused() {
        for (model, feature, is_on) in
            [("full", "sonora", cfg!(feature = "sonora")), ("light", "nnnoiseless", cfg!(feature = "nnnoiseless"))]
        {
            let refusal = refusal(&format!("type: NoiseSuppress, params: {{ model: {model} }}"));
            let names_feature = refusal.as_ref().is_some_and(|refusal| refusal.contains(feature));
            assert!(if is_on { refusal.is_none() } else { names_feature }, "{model}: {refusal:?}");
        }
    }
}
