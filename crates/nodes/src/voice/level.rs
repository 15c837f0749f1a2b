//! Levels of samples in decibels.

/// What silence measures, in dBFS: JSON knows no infinity.
pub(super) const SILENCE_DB: f32 = -120.0;

/// The amplitude of `db` dBFS.
pub(super) fn from_db(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

/// `amplitude` in dBFS, 1.0 being 0.
pub(super) fn to_db(amplitude: f32) -> f32 {
    if amplitude > 1e-6 { 20.0 * amplitude.log10() } else { SILENCE_DB }
}

/// A sample that filters with memory may take: no infinity and no NaN would ever leave them again.
pub(super) fn finite(sample: f32) -> f32 {
    if sample.is_finite() { sample.clamp(-8.0, 8.0) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decibels_and_amplitudes_convert_both_ways() {
        assert!((to_db(0.5) + 6.02).abs() < 0.01 && (from_db(-20.0) - 0.1).abs() < 1e-6);
        assert_eq!(to_db(0.0), SILENCE_DB);
        assert_eq!(to_db(f32::NAN), SILENCE_DB);
    }

    #[test]
    fn samples_that_are_no_numbers_become_silence() {
        assert_eq!([f32::NAN, f32::INFINITY, 100.0, -0.5].map(finite), [0.0, 0.0, 8.0, -0.5]);
    }
}
