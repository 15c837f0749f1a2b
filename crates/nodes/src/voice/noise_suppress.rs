use nnnoiseless::DenoiseState;
use remotemedia_resample::BlockResampler;
use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};
use sonora::Config;

use super::{
    VoiceError,
    apm::{Apm, SuppressionLevel},
    blocks::Blocks,
    streams::{Streams, change_frames},
};
use crate::audio::audible;

/// `NoiseSuppress`: takes steady noise away from voices. Takes audio of 8 to 192 kHz, any channels and frame length, and
/// changes every frame of an audio mix; other data passes unchanged.
///
/// Params: `model`, `full` (default) or `light`; `level`, how much `full` takes away: `low` (about 6 dB), `moderate` (12,
/// the default), `high` (18) or `very_high` (21). `full` is the noise suppressor of WebRTC in the port `sonora`, up to
/// 24 kHz of bandwidth. `light` is the recurrent network of RNNoise in the port `nnnoiseless`; it knows voices only, takes
/// music away too, and has no level. It needs the cargo feature `voice`.
///
/// Sound comes out about 10 ms late under its old timestamps, with `light` at other rates than 48 kHz 20 ms. Frames that are
/// no multiple of 10 ms add up to 10 ms.
pub struct NoiseSuppress {
    model: NoiseModel,
    streams: Streams<Suppressor>,
}

/// What takes the noise away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoiseModel {
    /// The noise suppressor of WebRTC.
    Full(SuppressionLevel),
    /// The recurrent network of RNNoise.
    Light,
}

/// The suppressor of one stream.
enum Suppressor {
    Full(Box<Apm>),
    Light(Box<Light>),
}

const NAME: &str = "NoiseSuppress";

impl NoiseSuppress {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new(NAME, |params| Ok(Self::new(NoiseModel::from_params(params)?)))
            .describe("Takes steady noise away from voices.")
            .param(
                ParamSpec::choice("model", ["full", "light"])
                    .default_value("full")
                    .doc("The suppressor of WebRTC, or the lighter one of RNNoise for voices alone."),
            )
            .param(
                ParamSpec::choice("level", ["low", "moderate", "high", "very_high"])
                    .doc("How much the full model takes away: 6, 12 (the default), 18 or 21 dB."),
            )
            .produces(Produces::SameAsInput)
            .takes(audible())
            .keeps_format()
    }

    /// A suppressor with `model`.
    pub fn new(model: NoiseModel) -> Self {
        Self { model, streams: Streams::default() }
    }
}

impl Node for NoiseSuppress {
    fn process(&mut self, mut input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        let Self { model, streams } = self;
        change_frames(&mut input, |frame, position| {
            let suppressor = streams.entry(frame, position, || Suppressor::new(*model, frame))?;
            if !suppressor.fits(frame) {
                *suppressor = Suppressor::new(*model, frame)?;
            }
            suppressor.apply(frame)
        })?;
        out.emit(input);
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(model) = NoiseModel::from_params(params) else { return false };
        self.model = model;
        self.streams.iter_mut().all(|(_, suppressor)| suppressor.change(model))
    }
}

impl NoiseModel {
    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        let unusable = |param, value: &str, reason: &str| ParamProblem::Unusable {
            param,
            value: value.to_owned(),
            reason: reason.to_owned(),
        };
        match (params.text("model").unwrap_or("full"), params.text("level")) {
            ("light", Some(level)) => {
                Err(unusable("level", level, "the light model has no levels; remove it or use the model full"))
            }
            ("light", None) => Ok(Self::Light),
            (_, level) => Ok(Self::Full(level.and_then(SuppressionLevel::from_name).unwrap_or_default())),
        }
    }
}

impl Suppressor {
    fn new(model: NoiseModel, frame: &AudioFrame) -> Result<Self, VoiceError> {
        match model {
            NoiseModel::Full(level) => Ok(Self::Full(Box::new(Apm::new(NAME, frame, config(level))?))),
            NoiseModel::Light => Ok(Self::Light(Box::new(Light::new(frame)?))),
        }
    }

    fn fits(&self, frame: &AudioFrame) -> bool {
        match self {
            Self::Full(apm) => apm.fits(frame),
            Self::Light(light) => light.format == (frame.sample_rate(), frame.channels()),
        }
    }

    fn apply(&mut self, frame: &mut AudioFrame) -> Result<(), VoiceError> {
        match self {
            Self::Full(apm) => apm.capture(frame),
            Self::Light(light) => light.apply(frame),
        }
    }

    /// Goes on as `model`; `false` if that takes another suppressor.
    fn change(&mut self, model: NoiseModel) -> bool {
        match (self, model) {
            (Self::Full(apm), NoiseModel::Full(level)) => {
                apm.configure(config(level));
                true
            }
            (Self::Light(_), NoiseModel::Light) => true,
            _ => false,
        }
    }
}

fn config(level: SuppressionLevel) -> Config {
    Config { noise_suppression: Some(level.config()), ..Config::default() }
}

/// RNNoise, which knows one channel at 48 kHz in the range of 16-bit samples.
struct Light {
    format: (u32, u16),
    blocks: Blocks,
    channels: Vec<LightChannel>,
}

struct LightChannel {
    up: BlockResampler,
    down: BlockResampler,
    network: Box<DenoiseState<'static>>,
    noisy: [f32; DenoiseState::FRAME_SIZE],
    clean: [f32; DenoiseState::FRAME_SIZE],
}

impl Light {
    fn new(frame: &AudioFrame) -> Result<Self, VoiceError> {
        VoiceError::check_rate(NAME, frame.sample_rate())?;
        let length = Blocks::ten_ms(frame.sample_rate());
        let channels = (0..frame.channels()).map(|_| LightChannel::new(length)).collect::<Result<_, _>>()?;
        let format = (frame.sample_rate(), frame.channels());
        Ok(Self { format, blocks: Blocks::new(frame.channels(), length), channels })
    }

    fn apply(&mut self, frame: &mut AudioFrame) -> Result<(), VoiceError> {
        let channels = &mut self.channels;
        self.blocks.change(frame.samples_mut(), |input, output| {
            channels.iter_mut().zip(input).zip(output).try_for_each(|((channel, from), to)| channel.apply(from, to))
        })
    }
}

impl LightChannel {
    fn new(length: usize) -> Result<Self, VoiceError> {
        Ok(Self {
            up: BlockResampler::new(length, DenoiseState::FRAME_SIZE)?,
            down: BlockResampler::new(DenoiseState::FRAME_SIZE, length)?,
            network: DenoiseState::new(),
            noisy: [0.0; DenoiseState::FRAME_SIZE],
            clean: [0.0; DenoiseState::FRAME_SIZE],
        })
    }

    fn apply(&mut self, from: &[f32], to: &mut [f32]) -> Result<(), VoiceError> {
        const SCALE: f32 = 32_768.0;
        self.up.convert(from, &mut self.noisy)?;
        self.noisy.iter_mut().for_each(|sample| *sample *= SCALE);
        self.network.process_frame(&mut self.clean, &self.noisy);
        self.clean.iter_mut().for_each(|sample| *sample /= SCALE);
        self.down.convert(&self.clean, to)?;
        Ok(())
    }
}
