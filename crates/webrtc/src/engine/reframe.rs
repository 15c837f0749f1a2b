//! Turns audio of any rate, channel count and length into frames of one format.

use std::collections::VecDeque;

use audioadapter_buffers::direct::InterleavedSlice;
use remotemedia_media::AudioFrame;
use rubato::{Fft, FixedSync, Resampler};

/// Resamples, mixes channels and cuts, keeping what is left over for the next call.
pub(crate) struct Reframer {
    sample_rate: u32,
    channels: u16,
    input: Option<Converter>,
    output: VecDeque<f32>,
}

/// Conversion from one input format; `None` where the rates agree.
struct Converter {
    sample_rate: u32,
    resampler: Option<Fft<f32>>,
    /// Interleaved, output channels, input rate: what has not filled a chunk of the resampler yet.
    pending: Vec<f32>,
    scratch: Vec<f32>,
}

impl Reframer {
    /// Makes frames of `sample_rate` Hz and `channels`.
    pub(crate) fn new(sample_rate: u32, channels: u16) -> Self {
        Self { sample_rate, channels, input: None, output: VecDeque::new() }
    }

    /// Takes a frame in.
    pub(crate) fn push(&mut self, frame: &AudioFrame) {
        if self.input.as_ref().is_none_or(|c| c.sample_rate != frame.sample_rate()) {
            self.input = Some(Converter::new(frame.sample_rate(), self.sample_rate, self.channels));
        }
        let Some(converter) = &mut self.input else { return };
        let before = converter.pending.len();
        mix_channels(frame.samples(), frame.channels(), self.channels, &mut converter.pending);
        // The resampler panics where its sums are no numbers, and encoders clip what exceeds [-1, 1] anyway.
        for sample in &mut converter.pending[before..] {
            *sample = if sample.is_finite() { sample.clamp(-1_000.0, 1_000.0) } else { 0.0 };
        }
        converter.drain_into(&mut self.output, self.channels);
    }

    /// Whether a frame of `samples_per_channel` can be taken out.
    pub(crate) fn has(&self, samples_per_channel: usize) -> bool {
        self.output.len() >= samples_per_channel * usize::from(self.channels)
    }

    /// Takes a frame of `samples_per_channel` out; `None` while there are not that many.
    pub(crate) fn pop(&mut self, samples_per_channel: usize) -> Option<Vec<f32>> {
        let count = samples_per_channel * usize::from(self.channels);
        (self.output.len() >= count).then(|| self.output.drain(..count).collect())
    }

    /// Forgets what is left over, since the next frame does not follow it.
    pub(crate) fn reset(&mut self) {
        self.input = None;
        self.output.clear();
    }

    /// Fills up to a multiple of `samples_per_channel` with silence, so that what is left over can be taken out.
    pub(crate) fn flush(&mut self, samples_per_channel: usize) {
        if let Some(converter) = &mut self.input {
            converter.finish(&mut self.output, self.channels);
        }
        let count = samples_per_channel * usize::from(self.channels);
        let rest = self.output.len() % count;
        if rest != 0 {
            self.output.extend(std::iter::repeat_n(0.0, count - rest));
        }
    }
}

impl Converter {
    fn new(from: u32, to: u32, channels: u16) -> Self {
        // 10 ms at a time: the delay of the conversion stays near that.
        let chunk = (from / 100).max(1) as usize;
        let resampler = if from == to {
            None
        } else {
            match Fft::new(from as usize, to as usize, chunk, channels.into(), FixedSync::Input) {
                Ok(resampler) => Some(resampler),
                Err(error) => {
                    tracing::error!(%error, from, to, "no resampler for these rates");
                    None
                }
            }
        };
        Self { sample_rate: from, resampler, pending: Vec::new(), scratch: Vec::new() }
    }

    /// Pushes what waits for a full chunk of the resampler through it, with silence behind it.
    fn finish(&mut self, output: &mut VecDeque<f32>, channels: u16) {
        let Some(resampler) = &self.resampler else { return };
        if self.pending.is_empty() {
            return;
        }
        let chunk = resampler.input_frames_next() * usize::from(channels);
        self.pending.resize(self.pending.len().next_multiple_of(chunk.max(1)), 0.0);
        self.drain_into(output, channels);
    }

    fn drain_into(&mut self, output: &mut VecDeque<f32>, channels: u16) {
        let Some(resampler) = &mut self.resampler else {
            output.extend(self.pending.drain(..));
            return;
        };
        let channels = usize::from(channels);
        let mut taken = 0;
        loop {
            let frames = resampler.input_frames_next();
            let Some(chunk) = self.pending.get(taken..taken + frames * channels) else { break };
            let room = resampler.output_frames_max();
            self.scratch.resize(room * channels, 0.0);
            let converted = InterleavedSlice::new(chunk, channels, frames)
                .ok()
                .zip(InterleavedSlice::new_mut(&mut self.scratch, channels, room).ok())
                .and_then(|(input, mut out)| resampler.process_into_buffer(&input, &mut out, None).ok());
            taken += frames * channels;
            if let Some((_, produced)) = converted {
                output.extend(&self.scratch[..produced * channels]);
            }
        }
        self.pending.drain(..taken);
    }
}

/// Appends `samples` with `from` interleaved channels to `out` with `to`: mono is copied to every channel, more channels
/// than fit are averaged into mono, and stereo takes the front pair.
fn mix_channels(samples: &[f32], from: u16, to: u16, out: &mut Vec<f32>) {
    let (from, to) = (usize::from(from), usize::from(to));
    out.reserve(samples.len() / from * to);
    for frame in samples.chunks_exact(from) {
        match (from, to) {
            (a, b) if a == b => out.extend_from_slice(frame),
            (_, 1) => out.push(frame.iter().sum::<f32>() / from as f32),
            (1, _) => out.extend(std::iter::repeat_n(frame[0], to)),
            _ => out.extend((0..to).map(|c| frame.get(c).copied().unwrap_or(0.0))),
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
    fn mono_fills_both_channels_and_surround_folds_to_its_front() {
        let mut out = Vec::new();
        mix_channels(&[0.1, 0.2], 1, 2, &mut out);
        assert_eq!(out, [0.1, 0.1, 0.2, 0.2]);
        out.clear();
        mix_channels(&[0.1, 0.2, 0.3], 3, 2, &mut out);
        assert_eq!(out, [0.1, 0.2]);
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
