//! Shortens and lengthens sound by one pitch period, faded over where it repeats itself (WSOLA; Verhelst and Roelands, "An
//! overlap-add technique based on waveform similarity", ICASSP 1993), so that the pitch stays.

/// A place where sound can be cut or repeated.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Splice {
    /// Samples of each channel from one period to the next.
    pub(crate) lag: usize,
    /// How alike the two periods are: 1 is equal, 0 unrelated.
    pub(crate) similarity: f32,
}

/// Shortest and longest period to look for: 400 to 67 Hz.
const SHORTEST_PERIOD_MICROS: usize = 2_500;
const LONGEST_PERIOD_MICROS: usize = 15_000;

/// The lag between `least` and `most` samples at which the beginning of `samples` is most like what follows. `None` if there
/// are too few samples for any. Periods outside 2.5 to 15 ms are not looked for.
pub(crate) fn find_splice(
    samples: &[f32],
    channels: usize,
    sample_rate: u32,
    least: usize,
    most: usize,
) -> Option<Splice> {
    let frames = samples.len() / channels;
    let least = least.max(in_samples(SHORTEST_PERIOD_MICROS, sample_rate));
    let most = most.min(in_samples(LONGEST_PERIOD_MICROS, sample_rate)).min(frames / 2);
    if least > most {
        return None;
    }
    let mono: Vec<f32> = samples.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>()).collect();
    // A search at about 8 kHz, then around its best at the full rate.
    let step = (sample_rate as usize / 8_000).max(1);
    let coarse: Vec<f32> = mono.chunks_exact(step).map(|group| group.iter().sum::<f32>()).collect();
    let alike = |signal: &[f32], lag: usize, step: usize| {
        // At least 5 ms are compared, where there are as many, lest noise look periodic.
        let window = lag.max(in_samples(5_000, sample_rate) / step).min(signal.len().saturating_sub(lag));
        similarity(&signal[..window], &signal[lag..lag + window])
    };
    let best = |signal: &[f32], lags: std::ops::RangeInclusive<usize>, step: usize| {
        lags.filter(|lag| *lag > 0 && *lag < signal.len())
            .map(|lag| Splice { lag, similarity: alike(signal, lag, step) })
            .max_by(|a, b| a.similarity.total_cmp(&b.similarity))
    };
    let rough = best(&coarse, least.div_ceil(step)..=most / step, step).map_or(least, |splice| splice.lag * step);
    best(&mono, rough.saturating_sub(step).max(least)..=(rough + step).min(most), 1)
}

/// The first two periods of `samples` made one: fading from the first into the second.
pub(crate) fn shortened(samples: &[f32], channels: usize, lag: usize) -> Vec<f32> {
    let period = lag * channels;
    crossfade(&samples[..period], &samples[period..2 * period], channels)
}

/// The first period of `samples`, then what fades from the second back into the first: to be followed by the second.
pub(crate) fn lengthened(samples: &[f32], channels: usize, lag: usize) -> Vec<f32> {
    let period = lag * channels;
    let mut out = samples[..period].to_vec();
    out.extend(crossfade(&samples[period..2 * period], &samples[..period], channels));
    out
}

/// From `from` to `to`, both of equal length.
pub(crate) fn crossfade(from: &[f32], to: &[f32], channels: usize) -> Vec<f32> {
    let frames = (from.len() / channels).max(1) as f32;
    let fade = |(i, (a, b)): (usize, (&f32, &f32))| {
        let weight = ((i / channels) as f32 + 0.5) / frames;
        a * (1.0 - weight) + b * weight
    };
    from.iter().zip(to).enumerate().map(fade).collect()
}

fn similarity(a: &[f32], b: &[f32]) -> f32 {
    let (mut ab, mut aa, mut bb) = (0.0_f32, 0.0_f32, 0.0_f32);
    for (x, y) in a.iter().zip(b) {
        ab += x * y;
        aa += x * x;
        bb += y * y;
    }
    let energy = (aa * bb).sqrt();
    if energy > 1e-9 { ab / energy } else { 1.0 }
}

fn in_samples(micros: usize, sample_rate: u32) -> usize {
    micros * sample_rate as usize / 1_000_000
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    const RATE: u32 = 48_000;

    fn tone(hertz: f32, frames: usize) -> Vec<f32> {
        (0..frames).map(|i| (TAU * hertz * i as f32 / RATE as f32).sin() * 0.5).collect()
    }

    #[test]
    fn a_period_is_found_and_its_removal_leaves_the_tone_whole() {
        let samples = tone(200.0, 1_920);
        let splice = find_splice(&samples, 1, RATE, 0, 960).unwrap();
        assert_eq!(splice.lag % 240, 0, "a whole number of periods of 5 ms: {splice:?}");
        assert!(splice.similarity > 0.999);

        let mut shorter = shortened(&samples, 1, splice.lag);
        shorter.extend(&samples[2 * splice.lag..]);
        assert_eq!(shorter.len(), samples.len() - splice.lag);
        let mut longer = lengthened(&samples, 1, splice.lag);
        longer.extend(&samples[splice.lag..]);
        assert_eq!(longer.len(), samples.len() + splice.lag);
        let reference = tone(200.0, longer.len());
        let worst = |a: &[f32]| a.iter().zip(&reference).map(|(x, y)| (x - y).abs()).fold(0.0, f32::max);
        assert!(worst(&shorter) < 0.01 && worst(&longer) < 0.01, "{} {}", worst(&shorter), worst(&longer));
    }

    #[test]
    fn noise_is_not_taken_for_a_pitch() {
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..2_880)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / (1 << 23) as f32 - 1.0
            })
            .collect();
        let splice = find_splice(&noise, 1, RATE, 0, 720).unwrap();
        assert!(splice.similarity < 0.5, "{splice:?}");
    }

    #[test]
    fn too_few_samples_give_no_splice() {
        assert_eq!(find_splice(&tone(200.0, 200), 1, RATE, 0, 720), None);
        assert_eq!(find_splice(&tone(200.0, 1_920), 1, RATE, 0, 100), None, "shorter than any period");
    }
}
