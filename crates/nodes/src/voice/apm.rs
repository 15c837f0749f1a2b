//! The audio processing of WebRTC, in the port `sonora`: one stream of blocks of 10 ms.

use std::array::from_fn;

use remotemedia_runtime_core::data::AudioFrame;
use sonora::{
    AudioProcessing, Config, StreamConfig,
    config::{MaxProcessingRate, NoiseSuppression, NoiseSuppressionLevel, Pipeline},
};

use super::{VoiceError, blocks::Blocks};

/// How much noise is taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum SuppressionLevel {
    /// About 6 dB.
    Low,
    /// About 12 dB.
    #[default]
    Moderate,
    /// About 18 dB.
    High,
    /// About 21 dB.
    VeryHigh,
}

impl SuppressionLevel {
    /// The names in manifests.
    pub(super) const NAMES: [&'static str; 4] = ["low", "moderate", "high", "very_high"];

    pub(super) fn from_name(name: &str) -> Option<Self> {
        let index = Self::NAMES.iter().position(|known| *known == name)?;
        [Self::Low, Self::Moderate, Self::High, Self::VeryHigh].get(index).copied()
    }

    pub(super) fn config(self) -> NoiseSuppression {
        let level = match self {
            Self::Low => NoiseSuppressionLevel::Low,
            Self::Moderate => NoiseSuppressionLevel::Moderate,
            Self::High => NoiseSuppressionLevel::High,
            Self::VeryHigh => NoiseSuppressionLevel::VeryHigh,
        };
        NoiseSuppression { level, ..NoiseSuppression::default() }
    }
}

/// The processing of one captured stream of one format.
pub(super) struct Apm {
    node: &'static str,
    processing: AudioProcessing,
    format: Format,
    blocks: Blocks,
}

/// A format in which blocks of 10 ms come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Format {
    pub(super) sample_rate: u32,
    pub(super) channels: u16,
}

impl Format {
    pub(super) fn of(frame: &AudioFrame) -> Self {
        Self { sample_rate: frame.sample_rate(), channels: frame.channels() }
    }

    pub(super) fn blocks(self) -> Blocks {
        Blocks::new(self.channels, Blocks::ten_ms(self.sample_rate))
    }

    fn config(self) -> StreamConfig {
        StreamConfig::new(Blocks::ten_ms(self.sample_rate) as u32 * 100, self.channels)
    }

    fn refused(self, node: &'static str, source: sonora::Error) -> VoiceError {
        VoiceError::Refused { node, channels: self.channels, sample_rate: self.sample_rate, source: source.into() }
    }
}

impl Apm {
    /// Processing of a stream like `frame` as `config` says, in full band, for the node type `node`.
    pub(super) fn new(node: &'static str, frame: &AudioFrame, config: Config) -> Result<Self, VoiceError> {
        VoiceError::check_rate(node, frame.sample_rate())?;
        let format = Format::of(frame);
        let processing = AudioProcessing::builder()
            .config(full_band(config))
            .capture_config(format.config())
            .render_config(format.config())
            .build();
        Ok(Self { node, processing, format, blocks: format.blocks() })
    }

    /// Whether it is made for frames like `frame`.
    pub(super) fn fits(&self, frame: &AudioFrame) -> bool {
        self.format == Format::of(frame)
    }

    pub(super) fn configure(&mut self, config: Config) {
        self.processing.apply_config(full_band(config));
    }

    /// Changes what was captured, in place.
    pub(super) fn capture(&mut self, frame: &mut AudioFrame) -> Result<(), VoiceError> {
        let Self { node, processing, format, blocks } = self;
        let result = blocks.change(frame.samples_mut(), |input, output| {
            with_slices(input, output, |input, output| processing.process_capture_f32(input, output))
        });
        result.map_err(|error| format.refused(node, error))
    }

    /// Shows a block in `format` of what the loudspeaker plays. `scratch` has the same size; its content is of no use.
    pub(super) fn render(
        &mut self,
        format: Format,
        block: &[Vec<f32>],
        scratch: &mut [Vec<f32>],
    ) -> Result<(), VoiceError> {
        let (config, node) = (format.config(), self.node);
        let processing = &mut self.processing;
        with_slices(block, scratch, |input, output| {
            processing.process_render_f32_with_config(input, &config, &config, output)
        })
        .map_err(|error| format.refused(node, error))
    }
}

fn full_band(config: Config) -> Config {
    let maximum_internal_processing_rate = MaxProcessingRate::Rate48kHz;
    Config { pipeline: Pipeline { maximum_internal_processing_rate, ..Pipeline::default() }, ..config }
}

/// Calls `work` with the channels as slices of slices, for which nothing is allocated.
fn with_slices<R>(
    input: &[Vec<f32>],
    output: &mut [Vec<f32>],
    work: impl FnOnce(&[&[f32]], &mut [&mut [f32]]) -> R,
) -> R {
    let channels = input.len().min(8);
    let from: [&[f32]; 8] = from_fn(|channel| input.get(channel).map_or(&[][..], Vec::as_slice));
    let mut planes = output.iter_mut();
    let mut to: [&mut [f32]; 8] = from_fn(|_| planes.next().map_or(&mut [][..], Vec::as_mut_slice));
    work(&from[..channels], &mut to[..channels])
}
