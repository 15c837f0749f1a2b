//! Which output channel hears which input channel how loud.

use std::f32::consts::FRAC_1_SQRT_2;

/// A loudspeaker, as the channels of a frame are assigned to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaker {
    Mono,
    Left,
    Right,
    Centre,
    Lfe,
    /// The surrounds of layouts that have one pair, the side pair of 7.1.
    SideLeft,
    SideRight,
    BackLeft,
    BackRight,
    BackCentre,
}

use Speaker::{BackCentre, BackLeft, BackRight, Centre, Left, Lfe, Mono, Right, SideLeft, SideRight};

/// Conversion of interleaved samples from one number of channels to another.
///
/// The order of channels is that of WAVE files: 1 mono; 2 left, right; 3 and centre; 4 left, right and surrounds; 5 left,
/// right, centre and surrounds; 6 the same with the LFE before the surrounds (5.1); 7 with a back centre before the
/// surrounds (6.1); 8 left, right, centre, LFE, back pair, side pair (7.1).
///
/// Channels that the output lacks go to their neighbours as in ITU-R BS.775: centre and surrounds at -3 dB (0.7071) to
/// left and right, the LFE nowhere. Mono is the average of left and right, and becomes the centre, or left and right alike
/// where there is none; mono to stereo and back is exact.
#[derive(Clone, Debug)]
pub struct ChannelMatrix {
    from: usize,
    to: usize,
    /// One row of `from` factors for each output channel.
    factors: Vec<f32>,
}

impl ChannelMatrix {
    /// From `from` channels to `to`, each 1 to 8; other numbers become the nearest of these. Sums are not scaled down, and
    /// may exceed what comes in.
    pub fn new(from: u16, to: u16) -> Self {
        let (inputs, outputs) = (layout(from), layout(to));
        let mut factors = vec![0.0; inputs.len() * outputs.len()];
        if inputs == outputs {
            (0..inputs.len()).for_each(|channel| factors[channel * (inputs.len() + 1)] = 1.0);
        } else {
            for (column, speaker) in inputs.iter().enumerate() {
                place(*speaker, 1.0, outputs, &mut |row, factor| factors[row * inputs.len() + column] += factor);
            }
        }
        Self { from: inputs.len(), to: outputs.len(), factors }
    }

    /// The same, made softer by as much as it takes for no output to exceed the loudest input, for what would be clipped.
    #[must_use]
    pub fn without_clipping(mut self) -> Self {
        let loudest = self.factors.chunks_exact(self.from).map(|row| row.iter().sum::<f32>()).fold(1.0, f32::max);
        self.factors.iter_mut().for_each(|factor| *factor /= loudest);
        self
    }

    /// How many channels come in.
    pub fn inputs(&self) -> u16 {
        self.from as u16
    }

    /// How many channels come out.
    pub fn outputs(&self) -> u16 {
        self.to as u16
    }

    /// Appends the converted `samples` to `out`.
    pub fn convert(&self, samples: &[f32], out: &mut Vec<f32>) {
        out.reserve(samples.len() / self.from * self.to);
        match (self.from, self.to) {
            (from, to) if from == to => out.extend_from_slice(samples),
            (1, 2) => out.extend(samples.iter().flat_map(|sample| [*sample, *sample])),
            (2, 1) => out.extend(samples.chunks_exact(2).map(|pair| 0.5 * (pair[0] + pair[1]))),
            _ => {
                for frame in samples.chunks_exact(self.from) {
                    let rows = self.factors.chunks_exact(self.from);
                    out.extend(rows.map(|row| row.iter().zip(frame).map(|(factor, x)| factor * x).sum::<f32>()));
                }
            }
        }
    }
}

/// The order of channels that WAVE files and the codecs' mappings share.
fn layout(channels: u16) -> &'static [Speaker] {
    match channels {
        0 | 1 => &[Mono],
        2 => &[Left, Right],
        3 => &[Left, Right, Centre],
        4 => &[Left, Right, SideLeft, SideRight],
        5 => &[Left, Right, Centre, SideLeft, SideRight],
        6 => &[Left, Right, Centre, Lfe, SideLeft, SideRight],
        7 => &[Left, Right, Centre, Lfe, BackCentre, SideLeft, SideRight],
        _ => &[Left, Right, Centre, Lfe, BackLeft, BackRight, SideLeft, SideRight],
    }
}

/// Tells `put` which of `outputs` carry `speaker`, with which factor. What a layout lacks moves to its neighbours with the
/// factors of ITU-R BS.775: -3 dB each.
fn place(speaker: Speaker, factor: f32, outputs: &[Speaker], put: &mut impl FnMut(usize, f32)) {
    if let Some(row) = outputs.iter().position(|output| *output == speaker) {
        put(row, factor);
        return;
    }
    let has = |speaker| outputs.contains(&speaker);
    match speaker {
        Mono if has(Centre) => place(Centre, factor, outputs, put),
        Mono => {
            place(Left, factor, outputs, put);
            place(Right, factor, outputs, put);
        }
        Left | Right => place(Mono, 0.5 * factor, outputs, put),
        Centre => {
            place(Left, FRAC_1_SQRT_2 * factor, outputs, put);
            place(Right, FRAC_1_SQRT_2 * factor, outputs, put);
        }
        // BS.775 leaves it out: its content is an effect, and small loudspeakers cannot play it.
        Lfe => {}
        BackLeft if has(SideLeft) => place(SideLeft, factor, outputs, put),
        BackRight if has(SideRight) => place(SideRight, factor, outputs, put),
        SideLeft | BackLeft => place(Left, FRAC_1_SQRT_2 * factor, outputs, put),
        SideRight | BackRight => place(Right, FRAC_1_SQRT_2 * factor, outputs, put),
        BackCentre => {
            place(SideLeft, FRAC_1_SQRT_2 * factor, outputs, put);
            place(SideRight, FRAC_1_SQRT_2 * factor, outputs, put);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(from: u16, to: u16, samples: &[f32]) -> Vec<f32> {
        let mut out = Vec::new();
        ChannelMatrix::new(from, to).convert(samples, &mut out);
        out
    }

    #[test]
    fn five_one_folds_to_stereo_as_bs_775_says() {
        let h = FRAC_1_SQRT_2;
        assert_eq!(convert(6, 2, &[1.0, 0.0, 0.0, 0.0, 0.0, 0.0]), [1.0, 0.0]);
        assert_eq!(convert(6, 2, &[0.0, 0.0, 1.0, 0.0, 0.0, 0.0]), [h, h]);
        assert_eq!(convert(6, 2, &[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]), [0.0, 0.0]);
        assert_eq!(convert(6, 2, &[0.0, 0.0, 0.0, 0.0, 0.0, 1.0]), [0.0, h]);
        assert_eq!(convert(8, 2, &[0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0]), [2.0 * h, 0.0]);
    }

    #[test]
    fn mono_goes_to_the_centre_where_there_is_one_and_to_both_sides_otherwise() {
        assert_eq!(convert(1, 4, &[0.5]), [0.5, 0.5, 0.0, 0.0]);
        assert_eq!(convert(1, 6, &[0.5]), [0.0, 0.0, 0.5, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn nothing_is_clipped_that_was_not_and_stereo_and_mono_stay_exact() {
        for from in 1..=8u16 {
            for to in 1..=8u16 {
                let mut out = Vec::new();
                ChannelMatrix::new(from, to).without_clipping().convert(&vec![1.0; from.into()], &mut out);
                assert!(out.iter().all(|sample| *sample <= 1.0 + 1e-6), "{from} to {to}: {out:?}");
            }
        }
        let mut out = Vec::new();
        ChannelMatrix::new(2, 1).without_clipping().convert(&[0.25, 0.75], &mut out);
        ChannelMatrix::new(1, 2).without_clipping().convert(&[0.3], &mut out);
        assert_eq!(out, [0.5, 0.3, 0.3]);
    }

    #[test]
    fn every_pair_of_counts_keeps_its_length_and_loses_no_channel_but_the_lfe() {
        for from in 1..=8u16 {
            for to in 1..=8u16 {
                let matrix = ChannelMatrix::new(from, to);
                for (channel, speaker) in layout(from).iter().enumerate() {
                    let mut input = vec![0.0; from.into()];
                    input[channel] = 1.0;
                    let mut output = Vec::new();
                    matrix.convert(&input, &mut output);
                    assert_eq!(output.len(), usize::from(to));
                    let is_heard = output.iter().any(|sample| *sample > 0.2);
                    assert!(is_heard || *speaker == Lfe, "{from} to {to}: {speaker:?} is lost: {output:?}");
                }
            }
        }
    }
}
