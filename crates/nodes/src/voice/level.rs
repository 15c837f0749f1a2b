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

/// The level of the background: the lowest of about two seconds.
#[derive(Clone, Debug)]
pub(super) struct Floor {
    lowest: [f32; 8],
    slot: usize,
    parts: u32,
    parts_of_slot: u32,
    ignored_below: f32,
}

impl Floor {
    /// A floor that is told so many levels in a quarter of a second, and leaves those below `ignored_below` out.
    pub(super) fn new(parts_of_slot: u32, ignored_below: f32) -> Self {
        Self { lowest: [f32::INFINITY; 8], slot: 0, parts: 0, parts_of_slot, ignored_below }
    }

    /// Takes in a level and answers the lowest of late; infinity if all were left out.
    pub(super) fn update(&mut self, level: f32) -> f32 {
        if level >= self.ignored_below {
            self.parts += 1;
            if self.parts > self.parts_of_slot {
                self.parts = 1;
                self.slot = (self.slot + 1) % self.lowest.len();
                self.lowest[self.slot] = f32::INFINITY;
            }
            let lowest = &mut self.lowest[self.slot];
            *lowest = lowest.min(level);
        }
        self.lowest.iter().copied().fold(f32::INFINITY, f32::min)
    }
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

    #[test]
    fn the_floor_is_the_lowest_of_two_seconds() {
        let mut floor = Floor::new(25, -100.0);
        assert_eq!(floor.update(-120.0), f32::INFINITY);
        assert_eq!(floor.update(-60.0), -60.0);
        let rises_after = (1..).find(|_| floor.update(-30.0) == -30.0).unwrap();
        assert!((175..=200).contains(&rises_after), "{rises_after} parts of 10 ms");
        assert_eq!(floor.update(-70.0), -70.0);
    }
}
