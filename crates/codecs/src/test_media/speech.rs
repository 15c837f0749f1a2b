use std::f32::consts::TAU;

use super::random::Random;

/// Sound with the properties of speech that codecs and buffers react to: a pitched voice through changing formants,
/// hissing consonants, about four syllables a second, and pauses.
///
/// ```
/// use remotemedia_codecs::test_media::Speech;
///
/// let mut speech = Speech::new(1, 48_000);
/// let second = speech.samples(48_000);
/// assert!(second.iter().any(|s| s.abs() > 0.1) && second.iter().all(|s| s.abs() <= 1.0));
/// ```
pub struct Speech {
    sample_rate: f32,
    random: Random,
    /// Position in the glottal period, 0 to 1.
    phase: f32,
    syllable: Syllable,
    formants: [Resonator; 3],
    hiss: Resonator,
}

/// What is said for a moment.
struct Syllable {
    length: usize,
    spoken: usize,
    pitch: f32,
    level: f32,
    voiced: f32,
    formants: [f32; 3],
}

/// A two-pole filter with gain 1 at its peak, roughly.
#[derive(Clone, Copy, Default)]
struct Resonator {
    a1: f32,
    a2: f32,
    gain: f32,
    y1: f32,
    y2: f32,
}

/// First three formants of some vowels in Hz (Peterson and Barney, "Control methods used in a study of the vowels",
/// 1952, men).
const VOWELS: [[f32; 3]; 6] = [
    [730.0, 1090.0, 2440.0],
    [270.0, 2290.0, 3010.0],
    [300.0, 870.0, 2240.0],
    [530.0, 1840.0, 2480.0],
    [570.0, 840.0, 2410.0],
    [640.0, 1190.0, 2390.0],
];

impl Speech {
    /// A voice at `sample_rate` Hz, 8,000 or more.
    pub fn new(seed: u64, sample_rate: u32) -> Self {
        let sample_rate = sample_rate.max(8_000) as f32;
        let mut random = Random(seed);
        let syllable = Syllable::next(&mut random, sample_rate);
        let mut hiss = Resonator::default();
        hiss.tune(3_400.0, 1_800.0, sample_rate);
        Self { sample_rate, random, phase: 0.0, syllable, formants: [Resonator::default(); 3], hiss }
    }

    /// The next `count` samples, mono, within [-1, 1].
    pub fn samples(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.sample()).collect()
    }

    fn sample(&mut self) -> f32 {
        if self.syllable.spoken == self.syllable.length {
            self.syllable = Syllable::next(&mut self.random, self.sample_rate);
        }
        let syllable = &mut self.syllable;
        if syllable.spoken.is_multiple_of(64) {
            for (formant, frequency) in self.formants.iter_mut().zip(syllable.formants) {
                formant.tune(frequency, 60.0 + frequency * 0.05, self.sample_rate);
            }
        }
        let progress = syllable.spoken as f32 / syllable.length as f32;
        syllable.spoken += 1;
        // The voice falls by a tenth over the syllable; the envelope rises fast and fades.
        self.phase += syllable.pitch * (1.05 - 0.1 * progress) / self.sample_rate;
        self.phase -= self.phase.floor();
        let envelope = syllable.level * (progress * 8.0).min(1.0) * (1.0 - progress).sqrt();
        let glottis = (1.0 - self.phase).powi(2) - 1.0 / 3.0;
        let noise = self.random.unit() * 2.0 - 1.0;
        let voice: f32 = self.formants.iter_mut().zip([1.0, 0.6, 0.3]).map(|(f, gain)| f.filter(glottis) * gain).sum();
        let hiss = self.hiss.filter(noise) * 0.5;
        (envelope * 2.0 * (voice * syllable.voiced + hiss * (1.0 - syllable.voiced) + noise * 0.003)).clamp(-1.0, 1.0)
    }
}

impl Syllable {
    fn next(random: &mut Random, sample_rate: f32) -> Self {
        let kind = random.unit();
        let seconds = 0.08 + 0.2 * random.unit();
        let (level, voiced) = match kind {
            k if k < 0.15 => (0.0, 1.0),
            k if k < 0.35 => (0.25, 0.05),
            _ => (0.7 + 0.3 * random.unit(), 0.95),
        };
        let vowel = VOWELS[random.next() as usize % VOWELS.len()];
        let pitch = 100.0 + 60.0 * (TAU * random.unit()).sin().abs();
        Self { length: (seconds * sample_rate) as usize, spoken: 0, pitch, level, voiced, formants: vowel }
    }
}

impl Resonator {
    fn tune(&mut self, frequency: f32, bandwidth: f32, sample_rate: f32) {
        let radius = (-TAU / 2.0 * bandwidth / sample_rate).exp();
        let angle = TAU * frequency.min(sample_rate * 0.45) / sample_rate;
        self.a1 = 2.0 * radius * angle.cos();
        self.a2 = -radius * radius;
        self.gain = (1.0 - radius) * (1.0 - 2.0 * radius * (2.0 * angle).cos() + radius * radius).sqrt();
    }

    fn filter(&mut self, input: f32) -> f32 {
        let output = self.gain * input + self.a1 * self.y1 + self.a2 * self.y2;
        self.y2 = self.y1;
        self.y1 = output;
        output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speech_is_neither_too_quiet_nor_clipped() {
        for sample_rate in [8_000, 16_000, 48_000] {
            let samples = Speech::new(2, sample_rate).samples(sample_rate as usize * 5);
            let rms = (samples.iter().map(|s| s * s).sum::<f32>() / samples.len() as f32).sqrt();
            let peak = samples.iter().fold(0f32, |peak, s| peak.max(s.abs()));
            assert!(
                (0.05..0.2).contains(&rms) && (0.2..0.95).contains(&peak),
                "{sample_rate} Hz: rms {rms}, peak {peak}"
            );
        }
    }
}
