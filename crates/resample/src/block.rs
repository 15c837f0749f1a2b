use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use crate::ResampleError;

/// Converts one channel, block by block: so many samples in, so many out. Blocks have one length, and the filter spans one.
pub struct BlockResampler {
    /// `None` where nothing is to do.
    converter: Option<Fft<f32>>,
    length_in: usize,
    length_out: usize,
}

impl BlockResampler {
    /// From blocks of `length_in` samples to blocks of `length_out`, both of the same duration.
    ///
    /// # Errors
    ///
    /// [`ResampleError::NoConverter`] if there are no such blocks.
    pub fn new(length_in: usize, length_out: usize) -> Result<Self, ResampleError> {
        let (from, to) = (length_in * 100, length_out * 100);
        let failed = |source| ResampleError::NoConverter { from: from as u32, to: to as u32, source };
        let converter = if from == to {
            None
        } else {
            let made = Fft::new(from, to, length_in, 1, FixedSync::Both);
            Some(made.map_err(|error| failed(Some(error.into())))?)
        };
        let is_exact = converter
            .as_ref()
            .is_none_or(|fft| fft.input_frames_max() == length_in && fft.output_frames_max() == length_out);
        if is_exact { Ok(Self { converter, length_in, length_out }) } else { Err(failed(None)) }
    }

    /// Converts a block; slices of other lengths are refused.
    ///
    /// # Errors
    ///
    /// [`ResampleError::Refused`] if a block has another length, or the resampler fails.
    pub fn convert(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), ResampleError> {
        if (input.len(), output.len()) != (self.length_in, self.length_out) {
            let expected = format!("blocks of {} and {} samples are needed", self.length_in, self.length_out);
            return Err(ResampleError::Refused(expected.into()));
        }
        let Some(converter) = &mut self.converter else {
            output.copy_from_slice(input);
            return Ok(());
        };
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| ResampleError::Refused(error);
        let input = InterleavedSlice::new(input, 1, self.length_in).map_err(|error| refused(error.into()))?;
        let output = InterleavedSlice::new_mut(output, 1, self.length_out);
        let mut output = output.map_err(|error| refused(error.into()))?;
        converter.process_into_buffer(&input, &mut output, None).map_err(|error| refused(error.into()))?;
        Ok(())
    }
}

impl std::fmt::Debug for BlockResampler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockResampler")
            .field("length_in", &self.length_in)
            .field("length_out", &self.length_out)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_keeps_its_pitch_and_level_at_any_rate() {
        for rate in [80, 110, 160, 221, 441, 443, 480, 960, 1_920] {
            let mut resampler = BlockResampler::new(rate, 160).unwrap();
            let mut all = Vec::new();
            for block in 0..100 {
                let sample = |index| (index as f32 * 0.05 * std::f32::consts::TAU / rate as f32 * 160.0).sin();
                let input: Vec<f32> = (block * rate..(block + 1) * rate).map(sample).collect();
                let mut output = [0.0; 160];
                resampler.convert(&input, &mut output).unwrap();
                all.extend(output);
            }
            let tail = &all[8_000..];
            let crossings = tail.windows(2).filter(|pair| pair[0] < 0.0 && pair[1] >= 0.0).count();
            assert!((399..=401).contains(&crossings), "{rate}: {crossings} periods");
            let power = tail.iter().map(|sample| sample * sample).sum::<f32>() / tail.len() as f32;
            assert!((power - 0.5).abs() < 0.01, "{rate}: power {power}");
        }
    }
}
