use std::sync::Arc;

use remotemedia_resample::ChannelMatrix;
use remotemedia_runtime_core::{
    data::{AudioFrame, DataKind, RuntimeData},
    manifest::MediaFormat,
    node::{Conversion, Emitter, Node, NodeResult, NodeType, ParamSpec, Params, Produces},
};

use super::AudioNodeError;

/// `ChannelConvert`: gives audio another number of channels. Audio mixes are converted frame by frame; other data passes
/// unchanged.
///
/// Param: `channels`, 1 to 8, required. The order of channels is that of WAVE files: 1 mono; 2 left, right; 3 and centre;
/// 4 left, right and surrounds; 5 left, right, centre and surrounds; 6 the same with the LFE before the surrounds (5.1);
/// 7 with a back centre before the surrounds (6.1); 8 left, right, centre, LFE, back pair, side pair (7.1).
///
/// Channels that the output lacks go to their neighbours as in ITU-R BS.775: centre and surrounds at -3 dB (0.7071) to
/// left and right, the LFE nowhere. Mono is the average of left and right, and becomes the centre, or left and right alike
/// where there is none; mono to stereo and back is exact. Sums are not scaled down: encoders clip what exceeds [-1, 1].
#[derive(Clone, Debug)]
pub struct ChannelConvert {
    channels: u16,
    matrix: ChannelMatrix,
}

impl ChannelConvert {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("ChannelConvert", |params| Ok(Self::new(channels(params))))
            .describe("Gives audio another number of channels.")
            .param(ParamSpec::integer("channels", 1..=8).required().doc("How many channels come out."))
            .produces(Produces::SameAsInput)
            .makes(|format, params| match format.kind {
                DataKind::Audio => Some(MediaFormat { channels: Some(channels(params)), ..format }),
                _ => Some(format),
            })
            .converts(Conversion::Channels("channels"))
    }

    /// Converts to `channels`, 1 to 8; other counts become the nearest of these.
    pub fn new(channels: u16) -> Self {
        let channels = channels.clamp(1, 8);
        Self { channels, matrix: ChannelMatrix::new(channels, channels) }
    }

    fn convert(&mut self, frame: Arc<AudioFrame>) -> Result<Arc<AudioFrame>, AudioNodeError> {
        if frame.channels() == self.channels {
            return Ok(frame);
        }
        if self.matrix.inputs() != frame.channels() {
            self.matrix = ChannelMatrix::new(frame.channels(), self.channels);
        }
        let mut samples = Vec::new();
        self.matrix.convert(frame.samples(), &mut samples);
        let mut converted = AudioFrame::new(samples, frame.sample_rate(), self.channels)?;
        converted.timestamp = frame.timestamp;
        converted.stream_id = frame.stream_id.clone();
        converted.capture_time = frame.capture_time;
        converted.source = frame.source.clone();
        Ok(converted.into())
    }
}

impl Node for ChannelConvert {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Audio { frame } => out.emit(self.convert(frame)?),
            RuntimeData::AudioMix { inputs, sample_rate } => {
                let inputs = inputs.into_iter().map(|frame| self.convert(frame)).collect::<Result<_, _>>()?;
                out.emit(RuntimeData::AudioMix { inputs, sample_rate });
            }
            other => out.emit(other),
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        *self = Self::new(channels(params));
        true
    }
}

fn channels(params: &Params) -> u16 {
    params.integer("channels").and_then(|channels| u16::try_from(channels).ok()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use remotemedia_runtime_core::node::process_once;

    use super::*;

    fn convert(node: &mut ChannelConvert, frame: impl Into<RuntimeData>) -> Arc<AudioFrame> {
        process_once(node, frame).unwrap()[0].as_audio().unwrap().clone()
    }

    #[test]
    fn mono_to_stereo_and_back_is_exact() {
        let samples: Vec<f32> = (0..480).map(|n| (n as f32).sin() * 1.3).collect();
        let mut mono = AudioFrame::new(samples.clone(), 44_100, 1).unwrap().with_timestamp(Duration::from_millis(7));
        mono.source = Some("bob".parse().unwrap());
        mono.stream_id = Some("mic".parse().unwrap());
        let stereo = convert(&mut ChannelConvert::new(2), mono.clone());
        assert_eq!((stereo.channels(), stereo.samples()[0], stereo.samples()[1]), (2, samples[0], samples[0]));
        assert_eq!(*convert(&mut ChannelConvert::new(1), stereo), mono);
    }

    #[test]
    fn the_count_may_change_in_the_middle_of_a_stream() {
        let mut node = ChannelConvert::new(2);
        let six = AudioFrame::new(vec![0.1; 6], 48_000, 6).unwrap();
        let one = AudioFrame::new(vec![0.1], 48_000, 1).unwrap();
        let expected = 0.1 + 2.0 * 0.1 * std::f32::consts::FRAC_1_SQRT_2;
        assert!((convert(&mut node, six).samples()[0] - expected).abs() < 1e-6);
        assert_eq!(convert(&mut node, one).samples(), [0.1, 0.1]);
    }

    #[test]
    fn audio_with_the_right_count_is_not_copied_and_other_data_passes() {
        let frame = Arc::new(AudioFrame::new(vec![0.1; 4], 48_000, 2).unwrap());
        let mut node = ChannelConvert::new(2);
        assert!(Arc::ptr_eq(&convert(&mut node, Arc::clone(&frame)), &frame));
        assert_eq!(process_once(&mut node, "words").unwrap(), [RuntimeData::from("words")]);
    }
}
