use crate::{ChannelMatrix, ResampleError, StreamResampler, Timing};

/// Converts samples of one rate and number of channels to another.
#[derive(Debug)]
pub struct FormatConverter {
    sample_rate: u32,
    matrix: ChannelMatrix,
    /// `None` where the rates agree.
    resampler: Option<StreamResampler>,
    scratch: Vec<f32>,
}

impl FormatConverter {
    /// From `from` to `to` Hz, and to other channels by `matrix`.
    ///
    /// # Errors
    ///
    /// As [`StreamResampler::new`].
    pub fn new(from: u32, to: u32, matrix: ChannelMatrix, timing: Timing) -> Result<Self, ResampleError> {
        let channels = matrix.inputs().min(matrix.outputs());
        let resampler = if from == to { None } else { Some(StreamResampler::new(from, to, channels, timing)?) };
        Ok(Self { sample_rate: from, matrix, resampler, scratch: Vec::new() })
    }

    /// Whether it converts from `sample_rate` Hz and `channels`.
    pub fn is_for(&self, sample_rate: u32, channels: u16) -> bool {
        self.sample_rate == sample_rate && self.matrix.inputs() == channels
    }

    /// Whether the rates differ.
    pub fn is_resampling(&self) -> bool {
        self.resampler.is_some()
    }

    /// Takes interleaved `samples` and appends what can be given for them to `out`.
    ///
    /// # Errors
    ///
    /// As [`StreamResampler::push`].
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let Some(resampler) = &mut self.resampler else {
            self.matrix.convert(samples, out);
            return Ok(());
        };
        self.scratch.clear();
        // Fewer channels are less work, so the rate changes where there are fewest.
        if self.matrix.inputs() > self.matrix.outputs() {
            self.matrix.convert(samples, &mut self.scratch);
            resampler.push(&self.scratch, out)
        } else {
            resampler.push(samples, &mut self.scratch)?;
            self.matrix.convert(&self.scratch, out);
            Ok(())
        }
    }

    /// Appends what is still inside to `out`. Nothing may be pushed afterwards.
    ///
    /// # Errors
    ///
    /// As [`StreamResampler::finish`].
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        let Some(resampler) = &mut self.resampler else { return Ok(()) };
        self.scratch.clear();
        resampler.finish(&mut self.scratch)?;
        if self.matrix.inputs() > self.matrix.outputs() {
            out.extend_from_slice(&self.scratch);
        } else {
            self.matrix.convert(&self.scratch, out);
        }
        Ok(())
    }
}

/// Converts whatever comes to one rate and number of channels, and follows changes of the format. More channels than fit
/// are folded so that nothing is clipped that was not.
#[derive(Debug)]
pub struct StreamConverter {
    sample_rate: u32,
    channels: u16,
    timing: Timing,
    current: Option<FormatConverter>,
}

impl StreamConverter {
    /// To `sample_rate` Hz and `channels`, 1 to 8.
    pub fn new(sample_rate: u32, channels: u16, timing: Timing) -> Self {
        Self { sample_rate, channels: channels.clamp(1, 8), timing, current: None }
    }

    /// The rate of what comes out, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// How many channels come out.
    pub fn channels(&self) -> u16 {
        self.channels
    }

    /// Takes interleaved `samples` of `sample_rate` Hz and `channels`, and appends what can be given for them to `out`. When
    /// the format is another than before, what is still inside comes first.
    ///
    /// # Errors
    ///
    /// As [`StreamResampler::new`] and [`StreamResampler::push`]; what is inside is lost then, and the next call starts anew.
    pub fn push(
        &mut self,
        samples: &[f32],
        sample_rate: u32,
        channels: u16,
        out: &mut Vec<f32>,
    ) -> Result<(), ResampleError> {
        if self.current.as_ref().is_some_and(|current| !current.is_for(sample_rate, channels)) {
            self.finish(out)?;
        }
        let mut current = match self.current.take() {
            Some(current) => current,
            None => {
                let matrix = ChannelMatrix::new(channels, self.channels).without_clipping();
                FormatConverter::new(sample_rate, self.sample_rate, matrix, self.timing)?
            }
        };
        current.push(samples, out)?;
        self.current = Some(current);
        Ok(())
    }

    /// Appends what is still inside to `out`. What is pushed afterwards begins anew.
    ///
    /// # Errors
    ///
    /// As [`StreamResampler::finish`].
    pub fn finish(&mut self, out: &mut Vec<f32>) -> Result<(), ResampleError> {
        self.current.take().map_or(Ok(()), |mut current| current.finish(out))
    }

    /// Forgets what is inside.
    pub fn reset(&mut self) {
        self.current = None;
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;

    use super::*;

    fn tone(rate: u32, channels: u16, count: usize) -> Vec<f32> {
        let sample = |n: usize| 0.5 * (TAU * 440.0 * n as f32 / rate as f32).sin();
        (0..count).flat_map(|n| std::iter::repeat_n(sample(n), channels.into())).collect()
    }

    #[test]
    fn any_format_keeps_its_length_its_place_and_its_level() {
        for rate in [8_000, 11_025, 16_000, 44_100, 96_000, 192_000] {
            for channels in [1, 2, 6] {
                let mut converter = StreamConverter::new(48_000, 1, Timing::Exact);
                let mut out = Vec::new();
                for part in tone(rate, channels, rate as usize).chunks(37 * usize::from(channels)) {
                    converter.push(part, rate, channels, &mut out).unwrap();
                }
                converter.finish(&mut out).unwrap();
                assert_eq!(out.len(), 48_000, "{rate} Hz, {channels} channels");
                let expected = tone(48_000, 1, 48_000);
                // Six channels that are alike are as loud as one. The delay that is cut off is a whole number of samples, so what
                // is left is in place to within one: at 440 Hz and half of full scale a sample is a step of 0.029.
                let worst = expected[2_000..46_000].iter().zip(&out[2_000..]).map(|(a, b)| (a - b).abs());
                let worst = worst.fold(0.0, f32::max);
                assert!(worst < 0.029, "{rate} Hz, {channels} channels: off by {worst}");
            }
        }
    }

    #[test]
    fn a_change_of_the_format_loses_nothing() {
        for timing in [Timing::Exact, Timing::Live] {
            let mut converter = StreamConverter::new(48_000, 2, timing);
            let mut out = Vec::new();
            let mut wanted = 0;
            for (rate, channels) in [(16_000, 1), (44_100, 2), (48_000, 2), (48_000, 1), (16_000, 6)] {
                let count = rate as usize / 10 + 7;
                converter.push(&tone(rate, channels, count), rate, channels, &mut out).unwrap();
                wanted += (count * 48_000).div_ceil(rate as usize);
            }
            converter.finish(&mut out).unwrap();
            // Three of them are resampled, each behind its own 5 ms where they are live.
            let lead = if timing == Timing::Live { 3 * 240 } else { 0 };
            assert!((out.len() / 2).abs_diff(wanted + lead) <= 6, "{timing:?}: {} of {wanted}", out.len() / 2);
        }
    }
}
