use super::level::finite;

/// Keeps peaks at a ceiling without adding a delay.
///
/// The gain of each millisecond is what its peak and that of the next need, as far as the frame shows it, and moves
/// evenly in between. What the frame before could not know of is cut at the ceiling, which the first millisecond of a
/// frame alone can need.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    gain: f32,
    needed: Vec<f32>,
}

impl Default for Limiter {
    fn default() -> Self {
        Self { gain: 1.0, needed: Vec::new() }
    }
}

/// How long the gain takes to come back by 63 percent.
const RELEASE_SECONDS: f32 = 0.1;

impl Limiter {
    /// Limits interleaved `samples` of `channels` at `sample_rate` to `ceiling`.
    pub(super) fn apply(&mut self, samples: &mut [f32], channels: usize, sample_rate: u32, ceiling: f32) {
        let part = (sample_rate as usize / 1_000).max(1) * channels;
        let peak = |part: &[f32]| part.iter().fold(0f32, |peak, sample| peak.max(finite(*sample).abs()));
        self.needed.clear();
        self.needed.extend(samples.chunks(part).map(|part| (ceiling / peak(part).max(ceiling)).min(1.0)));
        if self.gain == 1.0 && self.needed.iter().all(|gain| *gain == 1.0) {
            return;
        }
        for (index, samples) in samples.chunks_mut(part).enumerate() {
            let length = samples.len() / channels;
            let recovered = 1.0 - (-(length as f32) / (RELEASE_SECONDS * sample_rate as f32)).exp();
            let next = self.needed.get(index + 1).copied().unwrap_or(1.0);
            let target = self.needed[index].min(next).min(self.gain + (1.0 - self.gain) * recovered);
            let step = (target - self.gain) / length as f32;
            for samples in samples.chunks_exact_mut(channels) {
                self.gain += step;
                samples.iter_mut().for_each(|sample| *sample = (finite(*sample) * self.gain).clamp(-ceiling, ceiling));
            }
            // Close enough to 1 is 1, so that quiet audio is left alone again.
            self.gain = if target > 0.9999 { 1.0 } else { target };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sine(amplitude: f32, count: usize) -> Vec<f32> {
        (0..count).map(|index| amplitude * (index as f32 * 0.05).sin()).collect()
    }

    #[test]
    fn what_is_below_the_ceiling_is_left_alone() {
        let mut samples = sine(0.8, 960);
        Limiter::default().apply(&mut samples, 2, 48_000, 0.9);
        assert_eq!(samples, sine(0.8, 960));
    }

    #[test]
    fn loud_sound_stays_at_the_ceiling_and_keeps_its_shape() {
        let mut limiter = Limiter::default();
        let mut samples = sine(4.0, 48_000);
        for frame in samples.chunks_mut(960) {
            limiter.apply(frame, 1, 48_000, 0.9);
        }
        assert!(samples.iter().all(|sample| sample.abs() <= 0.9));
        // A sine that was cut would dwell at the ceiling.
        let tail = &samples[9_600..];
        let cut = tail.iter().filter(|sample| sample.abs() > 0.899).count();
        assert!(cut < tail.len() / 20, "{cut} of {} samples at the ceiling", tail.len());
    }

    #[test]
    fn the_gain_comes_back() {
        let mut limiter = Limiter::default();
        limiter.apply(&mut sine(4.0, 960), 1, 48_000, 0.9);
        for _ in 0..100 {
            limiter.apply(&mut sine(0.1, 960), 1, 48_000, 0.9);
        }
        let mut samples = sine(0.1, 960);
        limiter.apply(&mut samples, 1, 48_000, 0.9);
        assert_eq!(samples, sine(0.1, 960));
    }
}
