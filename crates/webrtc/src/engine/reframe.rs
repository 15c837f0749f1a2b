//! Turns audio of any rate, channel count and length into frames of one format.

use std::collections::VecDeque;

use remotemedia_media::AudioFrame;
use remotemedia_resample::{StreamConverter, Timing};

/// Resamples, mixes channels and cuts, keeping what is left over for the next call.
pub(crate) struct Reframer {
    channels: u16,
    converter: StreamConverter,
    /// Kept for its capacity.
    converted: Vec<f32>,
    output: VecDeque<f32>,
}

impl Reframer {
    /// Makes frames of `sample_rate` Hz and `channels`.
    pub(crate) fn new(sample_rate: u32, channels: u16) -> Self {
        let converter = StreamConverter::new(sample_rate, channels, Timing::Live);
        Self { channels, converter, converted: Vec::new(), output: VecDeque::new() }
    }

    /// Takes a frame in.
    pub(crate) fn push(&mut self, frame: &AudioFrame) {
        let (rate, channels) = (frame.sample_rate(), frame.channels());
        self.converted.clear();
        if let Err(error) = self.converter.push(frame.samples(), rate, channels, &mut self.converted) {
            tracing::error!(%error, rate, "audio is left out");
        }
        // What is no number would spoil the encoder; encoders clip what exceeds [-1, 1] anyway.
        let legal = |sample: &f32| if sample.is_finite() { sample.clamp(-1_000.0, 1_000.0) } else { 0.0 };
        self.output.extend(self.converted.iter().map(legal));
    }

    /// Whether a frame of `samples_per_channel` can be taken out.
    pub(crate) fn has(&self, samples_per_channel: usize) -> bool {
        self.output.len() >= samples_per_channel * usize::from(self.channels)
    }

    /// Samples per channel that can be taken out.
    pub(crate) fn len(&self) -> usize {
        self.output.len() / usize::from(self.channels)
    }

    /// Takes a frame of `samples_per_channel` out; `None` while there are not that many.
    pub(crate) fn pop(&mut self, samples_per_channel: usize) -> Option<Vec<f32>> {
        let count = samples_per_channel * usize::from(self.channels);
        (self.output.len() >= count).then(|| self.output.drain(..count).collect())
    }

    /// Forgets what is left over, since the next frame does not follow it.
    pub(crate) fn reset(&mut self) {
        self.converter.reset();
        self.output.clear();
    }

    /// Fills up to a multiple of `samples_per_channel` with silence, so that what is left over can be taken out.
    pub(crate) fn flush(&mut self, samples_per_channel: usize) {
        self.converted.clear();
        if let Err(error) = self.converter.finish(&mut self.converted) {
            tracing::error!(%error, "the end of audio is lost");
        }
        self.output.extend(&self.converted);
        let count = samples_per_channel * usize::from(self.channels);
        let rest = self.output.len() % count;
        if rest != 0 {
            self.output.extend(std::iter::repeat_n(0.0, count - rest));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_that_are_no_numbers_are_silence() {
        let mut reframer = Reframer::new(48_000, 1);
        let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.5];
        let samples: Vec<f32> = wild.into_iter().cycle().take(44_100).collect();
        reframer.push(&AudioFrame::new(samples, 44_100, 1).unwrap());
        let mut count = 0;
        while let Some(frame) = reframer.pop(960) {
            assert!(frame.iter().all(|sample| sample.is_finite()));
            count += 1;
        }
        assert!(count > 40);
    }

    fn tone(rate: u32, channels: u16, seconds: f32, chunk: usize) -> Vec<AudioFrame> {
        let total = (rate as f32 * seconds) as usize;
        let sample = |n: usize| (n as f32 * 440.0 * std::f32::consts::TAU / rate as f32).sin() * 0.5;
        let all: Vec<f32> = (0..total).flat_map(|n| std::iter::repeat_n(sample(n), channels.into())).collect();
        all.chunks(chunk * usize::from(channels)).map(|c| AudioFrame::new(c, rate, channels).unwrap()).collect()
    }

    /// Level of the 440 Hz component by the Goertzel recurrence, 1.0 for a full-scale sine.
    fn level_at_440(samples: &[f32], rate: f32) -> f32 {
        let k = 2.0 * (440.0 * std::f32::consts::TAU / rate).cos();
        let (s1, s2) = samples.iter().fold((0.0, 0.0), |(s1, s2), x| (x + k * s1 - s2, s1));
        (s1 * s1 + s2 * s2 - k * s1 * s2).sqrt() * 2.0 / samples.len() as f32
    }

    #[test]
    fn any_rate_channels_and_chunk_keep_the_tone_and_its_level() {
        for (rate, channels, chunk) in
            [(48_000, 1, 480), (44_100, 2, 441), (16_000, 1, 37), (8_000, 2, 1_000), (11_025, 1, 100), (96_000, 6, 999)]
        {
            let mut reframer = Reframer::new(48_000, 1);
            for frame in tone(rate, channels, 1.0, chunk) {
                reframer.push(&frame);
            }
            let ready = reframer.output.len();
            assert!((45_000..=48_000).contains(&ready), "{rate} Hz gave {ready} samples");
            let mut out = Vec::new();
            while let Some(frame) = reframer.pop(960) {
                out.extend(frame);
            }
            let level = level_at_440(&out[4_800..24_000 + 4_800], 48_000.0);
            assert!((0.48..0.52).contains(&level), "{rate} Hz, {channels} channels: level {level}");
        }
    }

    #[test]
    fn the_centre_of_surround_sound_is_heard_in_stereo() {
        let mut reframer = Reframer::new(48_000, 2);
        // Left, right, centre.
        reframer.push(&AudioFrame::new([0.0, 0.0, 0.8].repeat(480), 48_000, 3).unwrap());
        let frame = reframer.pop(480).unwrap();
        assert!(frame.iter().all(|sample| (0.25..0.6).contains(sample)), "{}", frame[0]);
    }

    #[test]
    fn what_is_left_over_can_be_padded_out() {
        let mut reframer = Reframer::new(48_000, 2);
        reframer.push(&AudioFrame::new(vec![0.5; 200], 48_000, 2).unwrap());
        assert!(reframer.pop(960).is_none());
        reframer.flush(960);
        let frame = reframer.pop(960).unwrap();
        assert_eq!((frame[199], frame[200], frame.len()), (0.5, 0.0, 1_920));
        assert!(reframer.pop(960).is_none());
    }
}
