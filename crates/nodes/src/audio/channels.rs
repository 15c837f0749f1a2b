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
#[derive(Clone, Debug)]
pub(crate) struct ChannelMatrix {
    from: usize,
    to: usize,
    /// One row of `from` factors for each output channel.
    factors: Vec<f32>,
}

impl ChannelMatrix {
    pub(crate) fn new(from: u16, to: u16) -> Self {
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

    pub(crate) fn is_for(&self, from: u16) -> bool {
        self.from == usize::from(from)
    }

    /// Appends the converted `samples` to `out`.
    pub(crate) fn convert(&self, samples: &[f32], out: &mut Vec<f32>) {
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
