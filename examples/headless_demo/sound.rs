//! The speech, and how much of it arrived.

use std::{f32::consts::TAU, time::Duration};

use remotemedia_codecs::test_media::correlation;

/// Samples per second of everything here.
pub(crate) const RATE: usize = 48_000;

/// How much later than it was sent sound may be heard, in samples.
const MOST_DELAY: usize = RATE / 2;

/// Only every sixth sample is looked at to find the delay roughly.
const COARSE: usize = 6;

/// What the comparison of two recordings found.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    /// Where each second began in what was said, and in what was heard.
    pub(crate) alignments: Vec<(usize, usize)>,
    /// Correlation of each second, 1.0 for the same shape.
    pub(crate) correlations: Vec<f64>,
    /// Level of what was heard over that of what was said, in dB.
    pub(crate) level_db: f64,
}

impl Comparison {
    /// Whether a call of this length was compared, but for two seconds at most: sound that stops coming is not compared at
    /// all, and must not pass for sound that is well.
    pub(crate) fn covers(&self, call: Duration) -> bool {
        self.correlations.len() as u64 + 2 >= call.as_secs()
    }
}

/// Compares `heard` with `said`, both in the band of the telephone, second by second, each second aligned for itself.
/// Both begin at the same moment.
pub(crate) fn compare(said: &[f32], heard: &[f32]) -> Comparison {
    let (said, heard) = (telephone_band(said), telephone_band(heard));
    let mut comparison = Comparison::default();
    let (mut power_said, mut power_heard) = (0.0, 0.0);
    for start in (0..said.len().min(heard.len())).step_by(RATE) {
        let (Some(second), Some(window)) = (said.get(start..start + RATE), heard.get(start..start + RATE + MOST_DELAY))
        else {
            break;
        };
        let (best, shift) = align(second, window);
        comparison.correlations.push(best);
        comparison.alignments.push((start, start + shift));
        power_said += power(second);
        power_heard += window.get(shift..shift + RATE).map_or(0.0, power);
    }
    comparison.level_db = 10.0 * (power_heard / power_said).log10();
    comparison
}

/// The best correlation of `second` within `window`, and where it is.
fn align(second: &[f32], window: &[f32]) -> (f64, usize) {
    let thin = |samples: &[f32]| samples.iter().copied().step_by(COARSE).collect::<Vec<_>>();
    let (_, roughly) = correlation(&thin(second), &thin(window), MOST_DELAY / COARSE);
    let from = (roughly * COARSE).saturating_sub(2 * COARSE);
    let (best, shift) = correlation(second, window.get(from..).unwrap_or_default(), 4 * COARSE);
    (best, from + shift)
}

fn power(samples: &[f32]) -> f64 {
    samples.iter().map(|s| f64::from(*s).powi(2)).sum()
}

/// Lets 300 to 3,400 Hz through: Butterworth filters of fourth order on either side.
fn telephone_band(samples: &[f32]) -> Vec<f32> {
    let mut filtered = samples.to_vec();
    for q in [0.541_2, 1.306_6] {
        Biquad::high_pass(300.0, q).run(&mut filtered);
        Biquad::low_pass(3_400.0, q).run(&mut filtered);
    }
    filtered
}

/// A second-order section in transposed direct form II.
struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
}

impl Biquad {
    fn low_pass(frequency: f32, q: f32) -> Self {
        let (sin, cos) = (frequency * TAU / RATE as f32).sin_cos();
        let alpha = sin / (2.0 * q);
        let b = (1.0 - cos) / 2.0;
        Self::normalised([b, 2.0 * b, b], alpha, cos)
    }

    fn high_pass(frequency: f32, q: f32) -> Self {
        let (sin, cos) = (frequency * TAU / RATE as f32).sin_cos();
        let alpha = sin / (2.0 * q);
        let b = (1.0 + cos) / 2.0;
        Self::normalised([b, -2.0 * b, b], alpha, cos)
    }

    fn normalised(b: [f32; 3], alpha: f32, cos: f32) -> Self {
        let a0 = 1.0 + alpha;
        Self { b: b.map(|b| b / a0), a: [-2.0 * cos / a0, (1.0 - alpha) / a0] }
    }

    fn run(&self, samples: &mut [f32]) {
        let (mut s1, mut s2) = (0.0, 0.0);
        for sample in samples {
            let x = *sample;
            let y = self.b[0] * x + s1;
            s1 = self.b[1] * x - self.a[0] * y + s2;
            s2 = self.b[2] * x - self.a[1] * y;
            *sample = y;
        }
    }
}

#[cfg(test)]
mod tests {
    use remotemedia_codecs::test_media::Speech;

    use super::*;

    const CALL: Duration = Duration::from_secs(6);

    fn speech() -> Vec<f32> {
        Speech::new(3, RATE as u32).samples(7 * RATE)
    }

    #[test]
    fn sound_that_comes_late_and_whole_covers_the_call() {
        let said = speech();
        let heard = [vec![0.0; RATE / 10], said.clone()].concat();
        let comparison = compare(&said, &heard);
        assert!(comparison.covers(CALL), "{comparison:?}");
        assert!(comparison.correlations.iter().all(|c| *c > 0.99), "{comparison:?}");
    }

    #[test]
    fn sound_that_stops_in_the_middle_does_not_cover_the_call_however_good_it_was() {
        let said = speech();
        let comparison = compare(&said, &said[..4 * RATE]);
        assert!(comparison.correlations.iter().all(|c| *c > 0.99), "{comparison:?}");
        assert_eq!(comparison.correlations.len(), 3);
        assert!(!comparison.covers(CALL));
        assert!(!compare(&said, &[]).covers(CALL));
    }
}
