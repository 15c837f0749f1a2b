use audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};

use super::VoiceError;

/// Converts one channel, block by block: so many samples in, so many out.
pub(super) struct BlockResampler {
    /// `None` where nothing is to do.
    converter: Option<Fft<f32>>,
    length_in: usize,
    length_out: usize,
}

impl BlockResampler {
    /// From blocks of `length_in` samples to blocks of `length_out`, both of the same duration.
    pub(super) fn new(length_in: usize, length_out: usize) -> Result<Self, VoiceError> {
        let (from, to) = (length_in * 100, length_out * 100);
        let converter = if from == to {
            None
        } else {
            let failed = |_| VoiceError::Conversion { from: from as u32, to: to as u32 };
            Some(Fft::new(from, to, length_in, 1, FixedSync::Both).map_err(failed)?)
        };
        let exact = converter
            .as_ref()
            .is_none_or(|fft| fft.input_frames_max() == length_in && fft.output_frames_max() == length_out);
        if exact {
            Ok(Self { converter, length_in, length_out })
        } else {
            Err(VoiceError::Conversion { from: from as u32, to: to as u32 })
        }
    }

    /// Converts a block.
    pub(super) fn convert(&mut self, input: &[f32], output: &mut [f32]) -> Result<(), VoiceError> {
        let Some(converter) = &mut self.converter else {
            output.copy_from_slice(input);
            return Ok(());
        };
        let (from, to) = (self.length_in as u32 * 100, self.length_out as u32 * 100);
        InterleavedSlice::new(input, 1, self.length_in)
            .ok()
            .zip(InterleavedSlice::new_mut(output, 1, self.length_out).ok())
            .and_then(|(input, mut output)| converter.process_into_buffer(&input, &mut output, None).ok())
            .map(|_| ())
            .ok_or(VoiceError::Conversion { from, to })
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
