use std::sync::Arc;

use crate::{
    data::{AudioFrame, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};

/// `Gain`: makes audio louder or softer. Audio mixes are changed frame by frame; other data passes unchanged.
///
/// Params: `db`, from -120 to 60 dB (default 0), or `linear`, the factor itself, from 0 to 1,000; not both. Samples are
/// not limited: encoders clip what exceeds [-1, 1]. When the gain is changed while it runs, it moves there evenly over
/// [`Gain::RAMP_SECONDS`], so that nothing clicks.
#[derive(Clone, Debug)]
pub struct Gain {
    current: f32,
    target: f32,
    /// Samples of one channel until the target is reached.
    remaining: u32,
    must_ramp: bool,
    started: bool,
}

impl Gain {
    /// How long a change of the gain takes, in seconds.
    pub const RAMP_SECONDS: f32 = 0.01;

    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("Gain", Self::from_params)
            .describe("Makes audio louder or softer.")
            .param(ParamSpec::number("db", -120.0..=60.0).unit("dB").doc("The gain in decibels; 0 changes nothing."))
            .param(ParamSpec::number("linear", 0.0..=1_000.0).doc("The gain as a factor; 1 changes nothing."))
            .produces(Produces::SameAsInput)
            .keeps_format()
    }

    /// A gain of `factor`, 1 changing nothing.
    pub fn linear(factor: f32) -> Self {
        Self { current: factor, target: factor, remaining: 0, must_ramp: false, started: false }
    }

    /// A gain of `db` decibels.
    pub fn db(db: f32) -> Self {
        Self::linear(10f32.powf(db / 20.0))
    }

    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        match (params.number("db"), params.number("linear")) {
            (Some(_), Some(_)) => Err(ParamProblem::Exclusive { first: "db", second: "linear" }),
            (_, Some(factor)) => Ok(Self::linear(factor as f32)),
            (db, None) => Ok(Self::db(db.unwrap_or(0.0) as f32)),
        }
    }

    fn apply(&mut self, frame: &mut AudioFrame) {
        let channels = usize::from(frame.channels());
        self.started = true;
        if self.must_ramp {
            self.must_ramp = false;
            self.remaining = (Self::RAMP_SECONDS * frame.sample_rate() as f32).max(1.0) as u32;
        }
        let ramp = (self.remaining as usize).min(frame.samples_per_channel());
        let (moving, steady) = frame.samples_mut().split_at_mut(ramp * channels);
        for samples in moving.chunks_exact_mut(channels) {
            self.current += (self.target - self.current) / self.remaining as f32;
            self.remaining -= 1;
            samples.iter_mut().for_each(|sample| *sample *= self.current);
        }
        if self.remaining == 0 {
            self.current = self.target;
        }
        if self.current != 1.0 {
            steady.iter_mut().for_each(|sample| *sample *= self.current);
        }
    }
}

impl Node for Gain {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Audio { mut frame } => {
                // Copies the samples only while someone else looks at them too.
                self.apply(Arc::make_mut(&mut frame));
                out.emit(frame);
            }
            RuntimeData::AudioMix { mut inputs, sample_rate } => {
                // Sources of one mix sound together: each goes through the same ramp.
                let before = self.clone();
                for frame in &mut inputs {
                    *self = before.clone();
                    self.apply(Arc::make_mut(frame));
                }
                out.emit(RuntimeData::AudioMix { inputs, sample_rate });
            }
            other => out.emit(other),
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(Self { target, .. }) = Self::from_params(params) else { return false };
        self.target = target;
        // Before the first sample there is nothing that could click.
        self.must_ramp = self.started;
        if !self.started {
            self.current = target;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::process_once;

    fn samples(gain: &mut Gain, input: &[f32], channels: u16) -> Vec<f32> {
        let frame = AudioFrame::new(input, 48_000, channels).unwrap();
        let output = process_once(gain, frame).unwrap();
        output[0].as_audio().unwrap().samples().to_vec()
    }

    #[test]
    fn six_decibels_double_the_amplitude() {
        let output = samples(&mut Gain::db(6.0206), &[0.25, -0.5], 2);
        assert!((output[0] - 0.5).abs() < 1e-5 && (output[1] + 1.0).abs() < 1e-5, "{output:?}");
    }

    #[test]
    fn a_frame_that_others_hold_is_left_alone() {
        let frame = Arc::new(AudioFrame::new(vec![0.5], 48_000, 1).unwrap());
        process_once(&mut Gain::linear(2.0), Arc::clone(&frame)).unwrap();
        assert_eq!(frame.samples(), [0.5]);
    }

    #[test]
    fn a_frame_of_ones_own_is_changed_in_place() {
        let frame = AudioFrame::new(vec![0.5; 480], 48_000, 1).unwrap();
        let before = frame.samples().as_ptr();
        let output = process_once(&mut Gain::linear(2.0), frame).unwrap();
        assert_eq!(output[0].as_audio().unwrap().samples().as_ptr(), before);
    }

    #[test]
    fn a_change_while_running_moves_there_without_a_step() {
        let mut gain = Gain::linear(1.0);
        samples(&mut gain, &[1.0; 480], 1);
        let params = serde_json::json!({ "linear": 0.0 }).as_object().cloned().unwrap();
        let params = Gain::node_type().check_params(&crate::node::RawParams::from_json(params)).unwrap();
        assert!(gain.set_params(&params));
        let output = samples(&mut gain, &[1.0; 960], 2);
        let ramp = output.windows(4).step_by(2).map(|pair| pair[0] - pair[2]).fold(0.0, f32::max);
        assert!(ramp <= 1.0 / 480.0 + 1e-6, "largest step {ramp}");
        assert!(output.last().unwrap().abs() < 1e-6);
    }

    #[test]
    fn other_data_passes() {
        assert_eq!(process_once(&mut Gain::db(6.0), "words").unwrap(), [RuntimeData::from("words")]);
    }
}
