//! A resampler for streams: frames of any length in, as many samples as they give out.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, Fft, FixedAsync, FixedSync, Resampler, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};

use super::{AudioNodeError, channels::ChannelMatrix};

/// Converts one stream of interleaved samples to another rate. The first sample out is of the time of the first sample in.
pub(crate) struct StreamResampler {
    from: u32,
    to: u32,
    channels: usize,
    resampler: Box<dyn Resampler<f32>>,
    /// What does not fill a block yet.
    pending: Vec<f32>,
    scratch: Vec<f32>,
    /// Samples per channel of the resampler's delay that are still to be dropped.
    skip: usize,
    /// Samples per channel that came in and went out.
    taken: u64,
    given: u64,
}

impl StreamResampler {
    /// A resampler from `from` to `to` Hz.
    pub(crate) fn new(from: u32, to: u32, channels: u16) -> Result<Self, AudioNodeError> {
        check_rate(from)?;
        check_rate(to)?;
        let channels = usize::from(channels.max(1));
        let resampler =
            new_resampler(from, to, channels).map_err(|source| AudioNodeError::Resampler { from, to, source })?;
        let skip = resampler.output_delay();
        Ok(Self { from, to, channels, resampler, pending: Vec::new(), scratch: Vec::new(), skip, taken: 0, given: 0 })
    }

    pub(crate) fn from(&self) -> u32 {
        self.from
    }

    pub(crate) fn channels(&self) -> usize {
        self.channels
    }

    /// Samples per channel that came in and went out so far.
    pub(crate) fn progress(&self) -> (u64, u64) {
        (self.taken, self.given)
    }

    /// Takes `samples` and appends what can be given for them to `out`.
    pub(crate) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), AudioNodeError> {
        self.taken += (samples.len() / self.channels) as u64;
        // The resampler panics where its sums are no numbers, and one such sample would spoil a whole block.
        let legal = |sample: &f32| if sample.is_finite() { sample.clamp(-1_000.0, 1_000.0) } else { 0.0 };
        self.pending.extend(samples.iter().map(legal));
        self.drain(out)
    }

    /// Appends what is still inside to `out`. Nothing may be pushed afterwards.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), AudioNodeError> {
        let wanted = (self.taken * u64::from(self.to)).div_ceil(u64::from(self.from));
        while self.given < wanted {
            let missing = self.resampler.input_frames_next() * self.channels - self.pending.len();
            self.pending.resize(self.pending.len() + missing, 0.0);
            let before = out.len();
            self.drain(out)?;
            let excess = usize::try_from(self.given.saturating_sub(wanted)).unwrap_or(usize::MAX);
            out.truncate(out.len().saturating_sub(excess.saturating_mul(self.channels)).max(before));
        }
        Ok(())
    }

    fn drain(&mut self, out: &mut Vec<f32>) -> Result<(), AudioNodeError> {
        let channels = self.channels;
        let mut done = 0;
        loop {
            let frames = self.resampler.input_frames_next();
            let Some(block) = self.pending.get(done..done + frames * channels) else { break };
            let room = self.resampler.output_frames_max();
            self.scratch.resize(room * channels, 0.0);
            // Slices of exactly these lengths always make adapters.
            let adapters = InterleavedSlice::new(block, channels, frames)
                .ok()
                .zip(InterleavedSlice::new_mut(&mut self.scratch, channels, room).ok());
            let Some((input, mut output)) = adapters else { break };
            let (_, made) = self.resampler.process_into_buffer(&input, &mut output, None)?;
            done += frames * channels;
            let skipped = self.skip.min(made);
            self.skip -= skipped;
            self.given += (made - skipped) as u64;
            out.extend_from_slice(&self.scratch[skipped * channels..made * channels]);
        }
        self.pending.drain(..done);
        Ok(())
    }
}

/// By FFT where the rates have a block of at most 20 ms in common, which is all that are in use; by interpolation
/// otherwise, since the FFT's blocks, and so its delay and memory, could be as long as a second.
fn new_resampler(
    from: u32,
    to: u32,
    channels: usize,
) -> Result<Box<dyn Resampler<f32>>, rubato::ResamplerConstructionError> {
    let (input, output) = (from as usize, to as usize);
    let shortest = input / gcd(from, to) as usize;
    if shortest <= input / 50 {
        // The block is also the length of the filter: low rates need a longer one to keep what is below 3.6 kHz.
        let block = if from.min(to) < 24_000 { input / 50 } else { input / 100 };
        // A whole number of blocks a time, so that each call gives equally much.
        let chunk = block.next_multiple_of(shortest);
        let window = WindowFunction::BlackmanHarris2;
        return Ok(Box::new(Fft::new_custom(input, output, chunk, 1, channels, window, FixedSync::Input)?));
    }
    let parameters = SincInterpolationParameters {
        sinc_len: 256,
        f_cutoff: None,
        oversampling_factor: 256,
        interpolation: SincInterpolationType::Cubic,
        window: WindowFunction::BlackmanHarris2,
    };
    let ratio = f64::from(to) / f64::from(from);
    Ok(Box::new(Async::new_sinc(ratio, 1.0, &parameters, input / 100, channels, FixedAsync::Input)?))
}

/// Converts frames of any rate and number of channels to one format.
pub(crate) struct FormatConverter {
    from: (u32, u16),
    to: (u32, u16),
    matrix: ChannelMatrix,
    /// None where the rates agree.
    resampler: Option<StreamResampler>,
    scratch: Vec<f32>,
}

impl FormatConverter {
    pub(crate) fn new(from: (u32, u16), to: (u32, u16)) -> Result<Self, AudioNodeError> {
        check_rate(from.0)?;
        let resampler = if from.0 == to.0 { None } else { Some(StreamResampler::new(from.0, to.0, from.1.min(to.1))?) };
        Ok(Self { from, to, matrix: ChannelMatrix::new(from.1, to.1), resampler, scratch: Vec::new() })
    }

    pub(crate) fn is_for(&self, from: (u32, u16)) -> bool {
        self.from == from
    }

    /// Whether the rates differ.
    pub(crate) fn is_resampling(&self) -> bool {
        self.resampler.is_some()
    }

    /// Appends what `samples` give to `out`.
    pub(crate) fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), AudioNodeError> {
        let Some(resampler) = &mut self.resampler else {
            self.matrix.convert(samples, out);
            return Ok(());
        };
        self.scratch.clear();
        // Fewer channels are less work, so the rate changes where there are fewest.
        if self.from.1 > self.to.1 {
            self.matrix.convert(samples, &mut self.scratch);
            resampler.push(&self.scratch, out)
        } else {
            resampler.push(samples, &mut self.scratch)?;
            self.matrix.convert(&self.scratch, out);
            Ok(())
        }
    }

    /// Appends what is still inside to `out`. Nothing may be pushed afterwards.
    pub(crate) fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), AudioNodeError> {
        let Some(resampler) = &mut self.resampler else { return Ok(()) };
        self.scratch.clear();
        resampler.finish(&mut self.scratch)?;
        if self.from.1 > self.to.1 {
            out.extend_from_slice(&self.scratch);
        } else {
            self.matrix.convert(&self.scratch, out);
        }
        Ok(())
    }
}

fn check_rate(sample_rate: u32) -> Result<(), AudioNodeError> {
    if (8_000..=192_000).contains(&sample_rate) { Ok(()) } else { Err(AudioNodeError::SampleRate { sample_rate }) }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_rates_gives_the_right_number_of_samples_in_the_end() {
        for (from, to) in [(44_100, 48_000), (48_000, 8_000), (8_000, 192_000), (44_101, 48_000), (191_999, 8_001)] {
            let mut resampler = StreamResampler::new(from, to, 2).unwrap();
            let mut out = Vec::new();
            for length in (1..60).cycle().take(500) {
                resampler.push(&vec![0.1; 2 * length * 7], &mut out).unwrap();
            }
            resampler.finish(&mut out).unwrap();
            let wanted = (resampler.taken * u64::from(to)).div_ceil(u64::from(from));
            assert_eq!(out.len() as u64, 2 * wanted, "{from} to {to}");
            let middle = out[out.len() / 2];
            assert!((middle - 0.1).abs() < 1e-4, "{from} to {to}: {middle}");
        }
    }

    #[test]
    fn rates_out_of_range_are_refused_in_words() {
        let error = StreamResampler::new(7_999, 48_000, 1).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "audio of 7999 Hz cannot be converted: send 8,000 to 192,000 Hz");
    }
}
