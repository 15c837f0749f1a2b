use std::{collections::HashMap, time::Duration};

use remotemedia_runtime_core::{
    data::DataKind,
    manifest::{MediaFormat, Suggestion},
    node::{Conversion, NodeType, ParamKind, ParamProblem, ParamSpec, Params},
};
use serde_json::{Value, json};

use super::{super::audible, AudioMixer, MixMode, MixerConfig};

pub(super) fn node_type() -> NodeType {
    NodeType::new("AudioMixer", |params| Ok(AudioMixer::new(config(params)?)))
        .describe("Mixes inputs aligned in time; for each peer all others, if asked to.")
        .param(
            ParamSpec::choice("mix_mode", ["sum", "average", "maximum"])
                .default_value("sum")
                .doc("How inputs become one: their sum, their average, or of each sample the largest."),
        )
        .param(ParamSpec::bool("mix_minus").default_value(false).doc("Whether each peer gets a mix of all others."))
        .param(
            ParamSpec::integer("sample_rate", 8_000..=192_000)
                .unit("Hz")
                .default_value(48_000)
                .doc("The rate of what comes out."),
        )
        .param(ParamSpec::integer("channels", 1..=2).default_value(1).doc("The channels of what comes out."))
        .param(
            ParamSpec::integer("frame_ms", 10..=20)
                .unit("ms")
                .default_value(20)
                .doc("How long a frame is that comes out: 10 or 20."),
        )
        .param(
            ParamSpec::integer("max_wait_ms", 0..=180)
                .unit("ms")
                .default_value(40)
                .doc("How long the mix waits for an input that is late."),
        )
        .param(
            ParamSpec::new("gains", ParamKind::Json)
                .unit("dB")
                .default_value(json!({}))
                .doc("Gains by peer, or by node for audio that no peer sent."),
        )
        .takes(audible())
        .makes(|format, params| match format.kind {
            DataKind::Audio | DataKind::AudioMix => {
                config(params).ok().map(|config| MediaFormat::audio(config.sample_rate, config.channels))
            }
            _ => Some(format),
        })
        .converts(Conversion::Kind { from: DataKind::AudioMix, to: DataKind::Audio, switch: None })
}

pub(super) fn config(params: &Params) -> Result<MixerConfig, ParamProblem> {
    let default = MixerConfig::default();
    let integer = |name: &str| params.integer(name).and_then(|value| u32::try_from(value).ok());
    let frame_ms = integer("frame_ms").unwrap_or(default.frame_ms);
    if frame_ms != 10 && frame_ms != 20 {
        return Err(bad_value("frame_ms", &Value::from(frame_ms), "10 or 20 ms"));
    }
    Ok(MixerConfig {
        mode: match params.text("mix_mode") {
            Some("average") => MixMode::Average,
            Some("maximum") => MixMode::Maximum,
            _ => MixMode::Sum,
        },
        mix_minus: params.bool("mix_minus").unwrap_or(default.mix_minus),
        sample_rate: integer("sample_rate").unwrap_or(default.sample_rate),
        channels: integer("channels").and_then(|value| u16::try_from(value).ok()).unwrap_or(default.channels),
        frame_ms,
        max_wait: integer("max_wait_ms").map_or(default.max_wait, |value| Duration::from_millis(value.into())),
        gains: params.get("gains").map(gains).transpose()?.unwrap_or_default(),
    })
}

fn gains(value: &Value) -> Result<HashMap<String, f32>, ParamProblem> {
    let allowed = "an object from peers to numbers from -120 to 20 dB";
    let object = value.as_object().ok_or_else(|| bad_value("gains", value, allowed))?;
    let gain = |(name, db): (&String, &Value)| match db.as_f64() {
        // As near to silence as the scale goes is silence.
        Some(-120.0) => Ok((name.clone(), 0.0)),
        Some(db) if (-120.0..=20.0).contains(&db) => Ok((name.clone(), 10f32.powf(db as f32 / 20.0))),
        _ => Err(bad_value("gains", value, allowed)),
    };
    object.iter().map(gain).collect()
}

fn bad_value(param: &'static str, value: &Value, allowed: &str) -> ParamProblem {
    let value = value.to_string().chars().take(60).collect();
    ParamProblem::BadValue { param, value, suggestion: Suggestion::default(), allowed: allowed.to_owned() }
}
