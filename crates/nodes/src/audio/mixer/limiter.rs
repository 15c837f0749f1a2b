/// Keeps the peaks of a mix below full scale. Up to -1 dBFS it changes nothing.
///
/// The gain is planned for the whole frame, millisecond by millisecond: it falls before a peak and recovers over about
/// 100 ms after it. Only a peak in a frame's first millisecond, which could not be seen coming, is bent by the knee itself.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    /// At the end of the last frame.
    gain: f32,
    /// What each millisecond of the frame allows; kept for its capacity.
    allowed: Vec<f32>,
}

impl Limiter {
    /// -1 dBFS.
    const THRESHOLD: f32 = 0.891_250_9;
    /// Part of the way back to 1 that the gain makes in a millisecond.
    const RELEASE: f32 = 0.01;

    pub(super) fn new() -> Self {
        Self { gain: 1.0, allowed: Vec::new() }
    }

    /// Limits interleaved `samples`; all channels get the same gain.
    pub(super) fn apply(&mut self, samples: &mut [f32], channels: usize, sample_rate: u32) {
        let block = (sample_rate as usize / 1_000).max(1) * channels;
        self.allowed.clear();
        self.allowed.extend(samples.chunks(block).map(|block| {
            let peak = block.iter().fold(0.0f32, |peak, sample| peak.max(sample.abs()));
            if peak > Self::THRESHOLD { knee(peak) / peak } else { 1.0 }
        }));
        if self.gain == 1.0 && self.allowed.iter().all(|allowed| *allowed == 1.0) {
            return;
        }
        for (index, block) in samples.chunks_mut(block).enumerate() {
            let here = self.allowed[index];
            let next = self.allowed.get(index + 1).copied().unwrap_or(here);
            let recovered = self.gain + (1.0 - self.gain) * Self::RELEASE;
            let recovered = if recovered > 0.9999 { 1.0 } else { recovered };
            let (start, end) = (self.gain, recovered.min(here).min(next));
            let step = (end - start) / (block.len() / channels) as f32;
            for (number, frame) in block.chunks_exact_mut(channels).enumerate() {
                let gain = start + step * (number + 1) as f32;
                for sample in frame {
                    let magnitude = sample.abs();
                    *sample = (magnitude * gain).min(knee(magnitude)).copysign(*sample);
                }
            }
            self.gain = end;
        }
    }
}

/// A magnitude bent so that it stays below 1: straight up to the threshold, a hyperbolic tangent from there on.
fn knee(magnitude: f32) -> f32 {
    let threshold = Limiter::THRESHOLD;
    if magnitude <= threshold {
        return magnitude;
    }
    let room = 1.0 - threshold;
    (threshold + room * ((magnitude - threshold) / room).tanh()).min(1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(amplitude: f32, count: usize) -> Vec<f32> {
        (0..count).map(|n| amplitude * (n as f32 * 0.0577).sin()).collect()
    }

    #[test]
    fn up_to_minus_one_decibel_nothing_changes() {
        let mut samples = tone(0.89, 4_800);
        Limiter::new().apply(&mut samples, 1, 48_000);
        assert_eq!(samples, tone(0.89, 4_800));
    }

    #[test]
    fn no_peak_exceeds_full_scale_and_the_gain_recovers_exactly() {
        let mut limiter = Limiter::new();
        let loud: Vec<f32> = tone(7.0, 9_600);
        let mut limited = loud.clone();
        limited.chunks_mut(960).for_each(|frame| limiter.apply(frame, 2, 48_000));
        assert!(limited.iter().all(|sample| sample.abs() <= 1.0));
        let softest =
            limited.chunks(480).map(|part| part.iter().fold(0.0f32, |p, s| p.max(s.abs()))).fold(1.0, f32::min);
        assert!(softest > 0.9, "a limited peak falls to {softest}");
        let mut quiet = tone(0.5, 96_000);
        quiet.chunks_mut(960).for_each(|frame| limiter.apply(frame, 1, 48_000));
        assert_eq!(quiet[90_000..], tone(0.5, 96_000)[90_000..]);
    }

    #[test]
    fn a_loud_tone_stays_a_tone() {
        let mut limiter = Limiter::new();
        let mut samples = tone(2.0, 48_000);
        samples.chunks_mut(960).for_each(|frame| limiter.apply(frame, 1, 48_000));
        // The best fit of the tone, and what is left of the signal without it.
        let settled = 4_800..48_000;
        let reference = &tone(1.0, 48_000)[settled.clone()];
        let samples = &samples[settled];
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
        let level = dot(samples, reference) / dot(reference, reference);
        let power = dot(samples, samples);
        let rest = power - level * level * dot(reference, reference);
        let distortion = 10.0 * (rest / power).log10();
        assert!(distortion < -30.0, "distortion {distortion} dB");
    }
}
