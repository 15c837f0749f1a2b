//! Turns sound of any rate and channel count into that of a file.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::error::SinkError;

/// Resamples and mixes channels. A change of the input's format is followed.
pub(super) struct Converter {
    rate: u32,
    channels: u16,
    stage: Option<Stage>,
    /// Mixed to the file's channels, at the input's rate.
    pending: Vec<f32>,
}

/// Resampling from one rate.
struct Stage {
    rate: u32,
    resampler: Fft<f32>,
    /// Samples that the resampler has still to give before those of its input come.
    delay: usize,
    scratch: Vec<f32>,
    /// Samples of one channel that went in, and that came out.
    pushed: u64,
    given: u64,
}

impl Converter {
    /// Makes sound of `rate` Hz and `channels`.
    pub(super) fn new(rate: u32, channels: u16) -> Self {
        Self { rate, channels, stage: None, pending: Vec::new() }
    }

    pub(super) fn channels(&self) -> u16 {
        self.channels
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Appends `samples` to `out`, as far as the resampler gives them already.
    pub(super) fn push(
        &mut self,
        samples: &[f32],
        rate: u32,
        channels: u16,
        out: &mut Vec<f32>,
    ) -> Result<(), SinkError> {
        if self.stage.as_ref().is_some_and(|stage| stage.rate != rate) {
            self.flush(out);
        }
        if rate == self.rate {
            mix_channels(samples, channels, self.channels, out);
            return Ok(());
        }
        let before = self.pending.len();
        mix_channels(samples, channels, self.channels, &mut self.pending);
        // The resampler panics where its sums are no numbers.
        for sample in &mut self.pending[before..] {
            *sample = if sample.is_finite() { sample.clamp(-1_000.0, 1_000.0) } else { 0.0 };
        }
        if self.stage.is_none() {
            self.stage = Some(Stage::new(rate, self.rate, self.channels)?);
        }
        if let Some(stage) = &mut self.stage {
            stage.drain(&mut self.pending, self.channels.into(), out);
        }
        Ok(())
    }

    /// Appends what the resampler still keeps.
    pub(super) fn flush(&mut self, out: &mut Vec<f32>) {
        let Some(mut stage) = self.stage.take() else { return };
        let channels = usize::from(self.channels);
        let sound = stage.pushed + (self.pending.len() / channels) as u64;
        let wanted = sound * u64::from(self.rate) / u64::from(stage.rate);
        // Silence behind the sound pushes it out. The resampler works on a second at most, which bounds the rounds.
        for _ in 0..256 {
            if stage.given >= wanted {
                break;
            }
            let chunk = stage.resampler.input_frames_next().max(1) * channels;
            let length = self.pending.len().max(1).next_multiple_of(chunk);
            self.pending.resize(length, 0.0);
            stage.drain(&mut self.pending, channels, out);
        }
        let surplus = stage.given.saturating_sub(wanted) as usize * channels;
        out.truncate(out.len() - surplus.min(out.len()));
        self.pending.clear();
    }
}

impl Stage {
    fn new(from: u32, to: u32, channels: u16) -> Result<Self, SinkError> {
        let chunk = (from / 100).max(1) as usize;
        let resampler = Fft::new(from as usize, to as usize, chunk, channels.into(), FixedSync::Input)
            .map_err(|_| SinkError::Rate { from, to })?;
        let delay = resampler.output_delay();
        Ok(Self { rate: from, resampler, delay, scratch: Vec::new(), pushed: 0, given: 0 })
    }

    fn drain(&mut self, pending: &mut Vec<f32>, channels: usize, out: &mut Vec<f32>) {
        let mut taken = 0;
        loop {
            let frames = self.resampler.input_frames_next();
            let Some(chunk) = pending.get(taken..taken + frames * channels) else { break };
            let room = self.resampler.output_frames_max();
            self.scratch.resize(room * channels, 0.0);
            let converted = InterleavedSlice::new(chunk, channels, frames)
                .ok()
                .zip(InterleavedSlice::new_mut(&mut self.scratch, channels, room).ok())
                .and_then(|(input, mut output)| self.resampler.process_into_buffer(&input, &mut output, None).ok());
            taken += frames * channels;
            self.pushed += frames as u64;
            if let Some((_, produced)) = converted {
                let skipped = self.delay.min(produced);
                self.delay -= skipped;
                self.given += (produced - skipped) as u64;
                out.extend_from_slice(&self.scratch[skipped * channels..produced * channels]);
            }
        }
        pending.drain(..taken);
    }
}

/// Appends `samples` with `from` interleaved channels to `out` with `to`: mono goes to every channel, everything is
/// averaged into mono, and of more channels than fit the first ones stay, which are the front pair.
fn mix_channels(samples: &[f32], from: u16, to: u16, out: &mut Vec<f32>) {
    let (from, to) = (usize::from(from), usize::from(to));
    for frame in samples.chunks_exact(from) {
        match (from, to) {
            (a, b) if a == b => out.extend_from_slice(frame),
            (_, 1) => out.push(frame.iter().sum::<f32>() / from as f32),
            (1, _) => out.extend(std::iter::repeat_n(frame[0], to)),
            _ => out.extend((0..to).map(|channel| frame.get(channel).copied().unwrap_or(0.0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(rate: u32, count: usize) -> Vec<f32> {
        (0..count).map(|n| (std::f32::consts::TAU * 440.0 * n as f32 / rate as f32).sin()).collect()
    }

    #[test]
    fn resampled_sound_is_as_long_as_before_and_at_the_same_place() {
        for rate in [8_000, 11_025, 16_000, 44_100, 96_000, 192_000] {
            let mut converter = Converter::new(48_000, 1);
            let mut out = Vec::new();
            for chunk in tone(rate, rate as usize).chunks(rate as usize / 50) {
                converter.push(chunk, rate, 1, &mut out).unwrap();
            }
            converter.flush(&mut out);
            assert!(out.len().abs_diff(48_000) <= 48, "{rate} Hz: {} samples", out.len());
            let expected = tone(48_000, 48_000);
            let worst =
                expected[2_000..46_000].iter().zip(&out[2_000..]).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            // The place is right to within three samples, which at 440 Hz is less than this.
            assert!(worst < 0.18, "{rate} Hz: off by {worst}");
        }
    }

    #[test]
    fn channels_are_spread_and_averaged() {
        let mixed = |samples: &[f32], from, to| {
            let mut out = Vec::new();
            mix_channels(samples, from, to, &mut out);
            out
        };
        assert_eq!(mixed(&[0.5, -0.5], 1, 2), [0.5, 0.5, -0.5, -0.5]);
        assert_eq!(mixed(&[0.5, 0.0, 1.0, 0.5], 2, 1), [0.25, 0.75]);
        assert_eq!(mixed(&[0.1, 0.2, 0.3, 0.4], 4, 2), [0.1, 0.2]);
    }
}
