//! Whether a recording has a tone in it.

use std::{f64::consts::TAU, path::Path};

/// The strongest frequency between 50 and 2000 Hz, its amplitude, and how many seconds the recording is long.
pub(crate) fn recorded(path: &Path) -> (f64, f64, f64) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    let samples: Vec<i16> = reader.samples::<i16>().step_by(usize::from(spec.channels)).map(Result::unwrap).collect();
    let rate = f64::from(spec.sample_rate);
    let seconds = samples.len() as f64 / rate;
    // Half a second from the middle, where a call has settled.
    let (middle, half) = (samples.len() / 2, (rate / 4.0) as usize);
    let samples: Vec<f64> = samples[middle.saturating_sub(half)..(middle + half).min(samples.len())]
        .iter()
        .map(|sample| f64::from(*sample) / f64::from(i16::MAX))
        .collect();
    let (hz, amplitude) = strongest(&samples, rate);
    (hz, amplitude, seconds)
}

fn strongest(samples: &[f64], rate: f64) -> (f64, f64) {
    let search = |from: f64, to: f64, step: f64| {
        let steps = ((to - from) / step).round() as usize;
        let candidates = (0..=steps).map(|number| from + number as f64 * step);
        let measured = candidates.map(|hz| (hz, amplitude(samples, rate, hz)));
        measured.max_by(|(_, a), (_, b)| a.total_cmp(b)).unwrap_or_default()
    };
    // Half a second tells frequencies apart that are 2 Hz from each other.
    let (near, _) = search(50.0, 2_000.0, 1.0);
    search(near - 1.0, near + 1.0, 0.1)
}

/// Goertzel's algorithm.
fn amplitude(samples: &[f64], rate: f64, hz: f64) -> f64 {
    let factor = 2.0 * (TAU * hz / rate).cos();
    let (last, before) =
        samples.iter().fold((0.0, 0.0), |(last, before), sample| (sample + factor * last - before, last));
    let power = last * last + before * before - factor * last * before;
    2.0 * power.max(0.0).sqrt() / samples.len().max(1) as f64
}

#[test]
fn a_tone_is_found_with_its_amplitude() {
    let samples: Vec<f64> = (0..24_000).map(|n| 0.3 * (TAU * 661.3 * f64::from(n) / 48_000.0).sin()).collect();
    let (hz, amplitude) = strongest(&samples, 48_000.0);
    assert!((hz - 661.3).abs() < 0.2 && (amplitude - 0.3).abs() < 0.01, "{hz} Hz, {amplitude}");
}
