//! The node types that a transport knows when it is told of no others.

use remotemedia_runtime_core::node::NodeRegistry;

/// Those of `remotemedia-nodes`, for a build that cannot ask it: a manifest that names one is told which feature to turn on.
#[cfg(any(test, not(feature = "nodes")))]
const NATIVE: [&str; 22] = [
    "AudioLevel",
    "AudioMixer",
    "AutoGain",
    "BackgroundBlur",
    "ChannelConvert",
    "EchoCancel",
    "FilePlayer",
    "JsonTransform",
    "NoiseGate",
    "NoiseSuppress",
    "Overlay",
    "RateLimit",
    "Recorder",
    "Resample",
    "Select",
    "Tee",
    "TestCard",
    "TestTone",
    "Vad",
    "VideoCrop",
    "VideoFormat",
    "VideoScale",
];

#[cfg(feature = "nodes")]
pub(super) fn registry() -> NodeRegistry {
    remotemedia_nodes::registry()
}

#[cfg(not(feature = "nodes"))]
pub(super) fn registry() -> NodeRegistry {
    named()
}

#[cfg(any(test, not(feature = "nodes")))]
fn named() -> NodeRegistry {
    let mut registry = NodeRegistry::with_builtin();
    for name in NATIVE {
        registry.switched_off(name, "nodes");
    }
    registry
}

#[cfg(all(test, feature = "nodes"))]
mod tests {
    use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};

    use super::*;

    #[test]
    fn the_nodes_that_are_known_by_name_without_the_feature_are_those_that_there_are_with_it() {
        let builtin = NodeRegistry::with_builtin();
        let registry = registry();
        let added: Vec<&str> = registry.types().map(|t| t.name()).filter(|name| builtin.get(name).is_none()).collect();
        assert_eq!(added, NATIVE);
    }

    #[test]
    fn without_the_feature_a_manifest_with_a_native_node_is_told_to_turn_it_on() {
        let runner = PipelineRunner::with_registry(named());
        for name in NATIVE {
            let manifest =
                Manifest::from_yaml(&format!("pipeline: {{ nodes: [{{ id: it, type: {name} }}] }}")).unwrap();
            let refusal = runner.check(&manifest).unwrap_err().to_string();
            assert!(refusal.contains("turn on the cargo feature \"nodes\""), "{refusal}");
        }
        let builtin = Manifest::from_yaml("pipeline: { nodes: [{ id: it, type: Gain }] }").unwrap();
        runner.check(&builtin).unwrap();
    }
}
