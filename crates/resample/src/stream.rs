//! A resampler for streams: frames of any length in, as many samples as they give out.

use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, Fft, FixedAsync, FixedSync, Resampler, SincInterpolationParameters, SincInterpolationType, WindowFunction,
};

use crate::ResampleError;

/// What the first sample that comes out of a resampler is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Timing {
    /// It is of the time of the first that went in. The audio comes out up to 15 ms later than it went in, 30 ms where one
    /// rate is below 24 kHz.
    #[default]
    Exact,
    /// It is the delay of the filter, 5 ms of silence: as much comes out as goes in from the beginning on, by blocks of
    /// 10 ms. For live audio, which is cut into frames.
    Live,
}

/// Converts one stream of interleaved samples to another rate.
pub struct StreamResampler {
    from: u32,
    to: u32,
    channels: usize,
    resampler: Box<dyn Resampler<f32>>,
    /// What does not fill a block yet.
    pending: Vec<f32>,
    scratch: Vec<f32>,
    /// Samples per channel of the resampler's delay that are still to be dropped.
    skip: usize,
    /// Samples per channel of that delay that come out.
    lead: u64,
    /// Samples per channel that came in and went out.
    taken: u64,
    given: u64,
}

impl StreamResampler {
    /// A resampler from `from` to `to` Hz of `channels` interleaved channels.
    ///
    /// # Errors
    ///
    /// [`ResampleError`] if a rate is outside of 1 to 384,000 Hz, or nothing converts between the two.
    pub fn new(from: u32, to: u32, channels: u16, timing: Timing) -> Result<Self, ResampleError> {
        for sample_rate in [from, to] {
            if !(1..=384_000).contains(&sample_rate) {
                return Err(ResampleError::SampleRate { sample_rate });
            }
        }
        let channels = usize::from(channels.max(1));
        let resampler = new_resampler(from, to, channels, timing).map_err(|error| ResampleError::NoConverter {
            from,
            to,
            source: Some(error.into()),
        })?;
        let delay = resampler.output_delay();
        let (skip, lead) = match timing {
            Timing::Exact => (delay, 0),
            Timing::Live => (0, delay as u64),
        };
        let (pending, scratch) = (Vec::new(), Vec::new());
        Ok(Self { from, to, channels, resampler, pending, scratch, skip, lead, taken: 0, given: 0 })
    }

    /// The rate of what goes in, in Hz.
    pub fn from(&self) -> u32 {
        self.from
    }

    /// How many channels are interleaved.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Samples per channel that came in and went out so far.
    pub fn progress(&self) -> (u64, u64) {
        (self.taken, self.given)
    }

    /// Takes `samples` and appends what can be given for them to `out`. Samples that are no numbers are silence.
    ///
    /// # Errors
    ///
    /// [`ResampleError::Refused`] if the resampler fails.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), ResampleError> {
        self.taken += (samples.len() / self.channels) as u64;
        // The resampler panics where its sums are no numbers, and one such sample would spoil a whole block.
        let legal = |sample: &f32| if sample.is_finite() { sample.clamp(-1_000.0, 1_000.0) } else { 0.0 };
        self.pending.extend(samples.iter().map(legal));
        self.drain(out)
    }

    /// Appends what is still inside to `out`. Nothing may be pushed afterwards.
    ///
    /// # Errors
    ///
    /// [`ResampleError::Refused`] if the resampler fails.
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let wanted = (self.taken * u64::from(self.to)).div_ceil(u64::from(self.from)) + self.lead;
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

    fn drain(&mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
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
            let (_, made) = self
                .resampler
                .process_into_buffer(&input, &mut output, None)
                .map_err(|error| ResampleError::Refused(error.into()))?;
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

impl std::fmt::Debug for StreamResampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamResampler")
            .field("from", &self.from)
            .field("to", &self.to)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

/// By FFT where the rates have a block of at most 20 ms in common, which is all that are in use; by interpolation
/// otherwise, since the FFT's blocks, and so its delay and memory, could be as long as a second.
fn new_resampler(
    from: u32,
    to: u32,
    channels: usize,
    timing: Timing,
) -> Result<Box<dyn Resampler<f32>>, rubato::ResamplerConstructionError> {
    let (input, output) = (from as usize, to as usize);
    let shortest = input / gcd(from, to) as usize;
    if shortest <= input / 50 {
        // The block is also the length of the filter: low rates need a longer one to keep what is below 3.6 kHz.
        let is_short = timing == Timing::Live || from.min(to) >= 24_000;
        let block = (input / if is_short { 100 } else { 50 }).max(1);
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
    Ok(Box::new(Async::new_sinc(ratio, 1.0, &parameters, (input / 100).max(1), channels, FixedAsync::Input)?))
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
            let mut resampler = StreamResampler::new(from, to, 2, Timing::Exact).unwrap();
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
    fn live_audio_comes_out_as_it_goes_in_and_ends_with_its_last_sample() {
        for (from, to) in [(44_100u32, 48_000u32), (16_000, 48_000), (48_000, 16_000), (8_000, 48_000)] {
            let mut resampler = StreamResampler::new(from, to, 1, Timing::Live).unwrap();
            let mut out = Vec::new();
            for number in 1..=10 {
                resampler.push(&vec![0.5; from as usize / 50], &mut out).unwrap();
                assert_eq!(out.len(), number * to as usize / 50, "{from} to {to}");
            }
            resampler.finish(&mut out).unwrap();
            let lead = out.iter().take_while(|sample| sample.abs() < 0.25).count();
            // A step of half the height lies where the sound begins, and its end as far behind.
            assert!(lead.abs_diff(to as usize / 200) <= 2, "{from} to {to}: {lead} samples");
            assert_eq!(out.len(), to as usize / 5 + resampler.lead as usize, "{from} to {to}");
        }
    }

    #[test]
    fn samples_that_are_no_numbers_are_silence() {
        let mut resampler = StreamResampler::new(44_100, 48_000, 1, Timing::Live).unwrap();
        let wild = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN, 0.5];
        let samples: Vec<f32> = wild.into_iter().cycle().take(44_100).collect();
        let mut out = Vec::new();
        resampler.push(&samples, &mut out).unwrap();
        assert!(out.len() > 40_000 && out.iter().all(|sample| sample.is_finite()));
    }

    #[test]
    fn rates_out_of_range_are_refused_in_words() {
        let error = StreamResampler::new(0, 48_000, 1, Timing::Exact).map(|_| ()).unwrap_err();
        assert_eq!(error.to_string(), "a sample rate of 0 Hz is out of range: use 1 to 384,000 Hz");
    }

    #[test]
    fn the_strangest_rates_convert() {
        for (from, to) in [(1, 48_000), (384_000, 1_000), (7_919, 383_987), (99, 100)] {
            let mut resampler = StreamResampler::new(from, to, 1, Timing::Exact).unwrap();
            let mut out = Vec::new();
            resampler.push(&vec![0.1; from as usize], &mut out).unwrap();
            resampler.finish(&mut out).unwrap();
            assert_eq!(out.len(), to as usize, "{from} to {to}");
        }
    }
}
