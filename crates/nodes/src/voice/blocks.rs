use std::collections::VecDeque;

use super::level::finite;

/// Lets an algorithm that works on blocks of one length change frames of any length.
///
/// As many samples leave as come. Frames of whole blocks are changed without a delay; where frames and blocks do not
/// meet, the stream is late by less than one block from there on.
#[derive(Debug)]
pub(super) struct Blocks {
    channels: usize,
    length: usize,
    /// Interleaved, less than a block between two calls.
    input: Vec<f32>,
    /// Interleaved, less than a block between two calls.
    output: VecDeque<f32>,
    planes: Vec<Vec<f32>>,
    changed: Vec<Vec<f32>>,
}

impl Blocks {
    /// Blocks of `length` samples of each of `channels`.
    pub(super) fn new(channels: u16, length: usize) -> Self {
        let planes = vec![vec![0.0; length]; channels.into()];
        Self {
            channels: channels.into(),
            length,
            input: Vec::new(),
            output: VecDeque::new(),
            changed: planes.clone(),
            planes,
        }
    }

    /// Samples of 10 ms at `sample_rate`, to the nearest. Algorithms that work at 48 kHz may be told that the rate is a
    /// hundred times this: for rates that are no multiple of 100 Hz that is wrong by half a percent at most.
    pub(super) fn ten_ms(sample_rate: u32) -> usize {
        (sample_rate as usize + 50) / 100
    }

    /// Takes `samples` in and puts as many in their place. `work` is given a block, one slice for each channel, and where
    /// to put what it makes of it.
    pub(super) fn change<E>(
        &mut self,
        samples: &mut [f32],
        mut work: impl FnMut(&[Vec<f32>], &mut [Vec<f32>]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(samples, |planes, changed, output| {
            work(planes, changed)?;
            for index in 0..changed.first().map_or(0, Vec::len) {
                output.extend(changed.iter().map(|plane| plane[index]));
            }
            Ok(())
        })?;
        let count = samples.len();
        let missing = count.saturating_sub(self.output.len());
        for _ in 0..missing {
            self.output.push_front(0.0);
        }
        samples.iter_mut().zip(self.output.drain(..count)).for_each(|(sample, new)| *sample = new);
        Ok(())
    }

    /// Takes `samples` in. `work` is given every block, one slice for each channel.
    pub(super) fn consume<E>(
        &mut self,
        samples: &[f32],
        mut work: impl FnMut(&[Vec<f32>], &mut [Vec<f32>]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.take(samples, |planes, scratch, _| work(planes, scratch))
    }

    fn take<E>(
        &mut self,
        samples: &[f32],
        mut work: impl FnMut(&[Vec<f32>], &mut [Vec<f32>], &mut VecDeque<f32>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.input.extend(samples.iter().copied().map(finite));
        let whole = self.input.len() - self.input.len() % (self.length * self.channels);
        for block in self.input[..whole].chunks_exact(self.length * self.channels) {
            for (channel, plane) in self.planes.iter_mut().enumerate() {
                let of_channel = block.iter().skip(channel).step_by(self.channels);
                plane.iter_mut().zip(of_channel).for_each(|(to, from)| *to = *from);
            }
            work(&self.planes, &mut self.changed, &mut self.output)?;
        }
        self.input.drain(..whole);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn negate(input: &[Vec<f32>], output: &mut [Vec<f32>]) -> Result<(), Infallible> {
        for (from, to) in input.iter().zip(output) {
            to.iter_mut().zip(from).for_each(|(to, from)| *to = -from);
        }
        Ok(())
    }

    /// What frames of the given lengths become, as one run of samples.
    fn run(channels: u16, lengths: &[usize]) -> Vec<f32> {
        let mut blocks = Blocks::new(channels, 10);
        let mut next = 0.0;
        let mut all = Vec::new();
        for length in lengths {
            let mut samples: Vec<f32> = (0..length * usize::from(channels)).map(|index| next + index as f32).collect();
            next += samples.len() as f32;
            // Small enough not to be limited.
            samples.iter_mut().for_each(|sample| *sample /= 1e4);
            blocks.change(&mut samples, negate).unwrap();
            all.extend(samples.into_iter().map(|sample| (sample * -1e4).round()));
        }
        all
    }

    #[test]
    fn whole_blocks_are_not_delayed_and_channels_stay_apart() {
        assert_eq!(run(2, &[20, 10, 30]), (0..120).map(|index| index as f32).collect::<Vec<_>>());
    }

    #[test]
    fn any_other_length_is_late_by_less_than_a_block_and_loses_nothing() {
        for lengths in [vec![7; 40], vec![1; 100], vec![3, 25, 1, 14, 9, 9, 9], vec![10, 10, 13, 10, 10]] {
            let output = run(1, &lengths);
            let heard: Vec<f32> = output.iter().copied().filter(|sample| *sample != 0.0).collect();
            let late = output.len() - 1 - heard.len();
            assert!(late < 10, "{lengths:?}: late by {late}");
            assert_eq!(heard, (1..=heard.len()).map(|index| index as f32).collect::<Vec<_>>());
        }
    }

    #[test]
    fn ten_milliseconds_are_found_at_odd_rates() {
        assert_eq!([8_000, 11_025, 44_100, 192_000].map(Blocks::ten_ms), [80, 110, 441, 1_920]);
    }
}
