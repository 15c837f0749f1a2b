use remotemedia_media::PeerId;

use super::{MixMode, input::Format, limiter::Limiter};

/// What all inputs make together.
pub(super) struct Sum {
    mode: MixMode,
    /// In double precision, so that what is subtracted again leaves nothing.
    total: Vec<f64>,
    loudest: Vec<Loudest>,
    pub(super) inputs: usize,
}

/// The largest sample of all inputs, and the largest of the other parties.
#[derive(Clone, Copy, Default)]
struct Loudest {
    sample: f32,
    party: u32,
    of_others: f32,
}

impl Sum {
    /// A sum of frames of `length` samples, those of all channels together.
    pub(super) fn new(mode: MixMode, length: usize) -> Self {
        let (total, loudest) = match mode {
            MixMode::Maximum => (Vec::new(), vec![Loudest::default(); length]),
            MixMode::Sum | MixMode::Average => (vec![0.0; length], Vec::new()),
        };
        Self { mode, total, loudest, inputs: 0 }
    }

    pub(super) fn clear(&mut self) {
        self.inputs = 0;
        self.total.fill(0.0);
        self.loudest.fill(Loudest::default());
    }

    pub(super) fn add(&mut self, voice: &[f32], party: u32) {
        self.inputs += 1;
        self.total.iter_mut().zip(voice).for_each(|(sum, sample)| *sum += f64::from(*sample));
        self.loudest.iter_mut().zip(voice).for_each(|(loudest, sample)| loudest.offer(*sample, party));
    }
}

impl Loudest {
    fn offer(&mut self, sample: f32, party: u32) {
        if sample.abs() > self.sample.abs() {
            if party != self.party {
                self.of_others = self.sample;
            }
            (self.sample, self.party) = (sample, party);
        } else if party != self.party && sample.abs() > self.of_others.abs() {
            self.of_others = sample;
        }
    }
}

/// One mix that goes out: for everybody, or for one peer.
pub(super) struct Output {
    /// Who hears it, with its party; `None` for the mix of all.
    pub(super) listener: Option<(PeerId, u32)>,
    /// What the listener's own inputs make.
    own: Vec<f64>,
    own_inputs: usize,
    /// The factor of an average; `None` before the first frame.
    weight: Option<f32>,
    limiter: Limiter,
}

impl Output {
    pub(super) fn new(listener: Option<(PeerId, u32)>) -> Self {
        Self { listener, own: Vec::new(), own_inputs: 0, weight: None, limiter: Limiter::new() }
    }

    pub(super) fn is_for(&self, party: u32) -> bool {
        self.listener.as_ref().is_some_and(|(_, listener)| *listener == party)
    }

    /// Notes one of the listener's own inputs.
    pub(super) fn leave_out(&mut self, voice: &[f32]) {
        if self.own_inputs == 0 {
            self.own.clear();
            self.own.extend(voice.iter().map(|sample| f64::from(*sample)));
        } else {
            self.own.iter_mut().zip(voice).for_each(|(sum, sample)| *sum += f64::from(*sample));
        }
        self.own_inputs += 1;
    }

    /// The next frame of this mix.
    pub(super) fn take(&mut self, sum: &Sum, format: Format) -> Vec<f32> {
        let party = self.listener.as_ref().map(|(_, party)| *party);
        let mut samples: Vec<f32> = match sum.mode {
            MixMode::Maximum => {
                let heard = |loudest: &Loudest| match party {
                    Some(party) if party == loudest.party => loudest.of_others,
                    _ => loudest.sample,
                };
                sum.loudest.iter().map(heard).collect()
            }
            MixMode::Sum | MixMode::Average if self.own_inputs == 0 => sum.total.iter().map(|x| *x as f32).collect(),
            MixMode::Sum | MixMode::Average => {
                sum.total.iter().zip(&self.own).map(|(total, own)| (total - own) as f32).collect()
            }
        };
        if sum.mode == MixMode::Average {
            self.weigh(&mut samples, sum.inputs - self.own_inputs, format.channels);
        }
        self.own_inputs = 0;
        self.limiter.apply(&mut samples, format.channels, format.sample_rate);
        samples
    }

    /// Divides by the number of inputs. A change of it takes a frame, so that nothing clicks.
    fn weigh(&mut self, samples: &mut [f32], inputs: usize, channels: usize) {
        let target = 1.0 / inputs.max(1) as f32;
        let start = self.weight.unwrap_or(target);
        let step = (target - start) / (samples.len() / channels).max(1) as f32;
        for (number, frame) in samples.chunks_exact_mut(channels).enumerate() {
            let weight = start + step * (number + 1) as f32;
            frame.iter_mut().for_each(|sample| *sample *= weight);
        }
        self.weight = Some(target);
    }
}
