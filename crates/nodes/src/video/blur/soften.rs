//! Blurring what is not the person, at reduced size.

use remotemedia_scale::Pixels;

use super::{mask::Mask, stretch::Stretch};

/// Blurs planes, and keeps its buffers between them.
#[derive(Clone, Debug, Default)]
pub(super) struct Softener {
    small: Small,
    /// What the weights were made for, so that planes of one size share them.
    made_for: Option<(usize, usize, u32)>,
    weights: Vec<f32>,
    blurred_weights: Vec<f32>,
    channel: Vec<f32>,
    scratch: Scratch,
    stretch: Stretch,
}

/// A plane at reduced size, without padding.
#[derive(Clone, Debug, Default)]
pub(super) struct Small {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) data: Vec<u8>,
    sums: Vec<u32>,
}

#[derive(Clone, Debug, Default)]
struct Scratch {
    line: Vec<f32>,
    other: Vec<f32>,
}

impl Softener {
    /// The next picture has another mask.
    pub(super) fn begin(&mut self) {
        self.made_for = None;
    }

    /// The background of `from`, blurred with the standard deviation `sigma` in its pixels, at reduced size.
    ///
    /// The person has no weight in it: otherwise the colours of their clothes would shine around them.
    pub(super) fn soften(&mut self, from: Pixels<'_>, mask: &Mask, sigma: f32) -> &Small {
        let mut reduction = 1;
        while reduction < 8 && sigma >= 2.0 * reduction as f32 {
            reduction *= 2;
        }
        self.small.reduce(from, reduction);
        let size = (self.small.width, self.small.height);
        let blur = ExtendedBox::of(sigma / reduction as f32);
        let key = (size.0, size.1, (sigma / reduction as f32).to_bits());
        if self.made_for != Some(key) {
            self.made_for = Some(key);
            self.weigh(mask, size);
            self.blurred_weights.clone_from(&self.weights);
            blur.apply(&mut self.blurred_weights, size, &mut self.scratch);
        }
        for place in 0..from.bytes {
            let values = self.small.data.iter().skip(place).step_by(from.bytes);
            self.channel.clear();
            self.channel.extend(values.zip(&self.weights).map(|(value, weight)| f32::from(*value) * weight));
            blur.apply(&mut self.channel, size, &mut self.scratch);
            let blurred = self.channel.iter().zip(&self.blurred_weights);
            for (value, (sum, weight)) in self.small.data.iter_mut().skip(place).step_by(from.bytes).zip(blurred) {
                *value = (sum / weight + 0.5) as u8;
            }
        }
        &self.small
    }

    fn weigh(&mut self, mask: &Mask, (width, height): (usize, usize)) {
        self.weights.clear();
        self.stretch.prepare((mask.width, mask.height), (width, height), 1);
        let mut line = vec![0; width];
        for y in 0..height {
            self.stretch.row(&mask.data, y, &mut line);
            // Where nothing but the person is near, their own colours have to do.
            self.weights.extend(line.iter().map(|masked| f32::from(255 - masked) / 255.0 + 1e-3));
        }
    }
}

impl Small {
    /// Takes the means of squares of `by` x `by` pixels; those at the edges may be smaller.
    fn reduce(&mut self, from: Pixels<'_>, by: usize) {
        let (width, height, bytes) = (from.width as usize, from.height as usize, from.bytes);
        (self.width, self.height) = (width.div_ceil(by), height.div_ceil(by));
        self.data.clear();
        for top in (0..height).step_by(by) {
            let rows = by.min(height - top);
            self.sums.clear();
            self.sums.resize(width * bytes, 0);
            for y in top..top + rows {
                self.sums.iter_mut().zip(from.row(y)).for_each(|(sum, value)| *sum += u32::from(*value));
            }
            for square in self.sums.chunks(by * bytes) {
                let count = (rows * square.len() / bytes) as u32;
                for place in 0..bytes {
                    let sum: u32 = square.iter().skip(place).step_by(bytes).sum();
                    self.data.push(((sum + count / 2) / count) as u8);
                }
            }
        }
    }
}

/// Three of these are nearly a Gaussian: a box with softer ends, which give it any width (Gwosdek et al., "Theoretical
/// foundations of Gaussian convolution by extended box filtering", 2011). What it costs does not depend on the width.
#[derive(Clone, Copy, Debug)]
struct ExtendedBox {
    radius: usize,
    /// The weight of the two pixels beyond the radius.
    ends: f32,
    scale: f32,
}

impl ExtendedBox {
    const TIMES: usize = 3;

    /// The box of which three have the standard deviation `sigma`.
    fn of(sigma: f32) -> Self {
        let variance = sigma * sigma / Self::TIMES as f32;
        let radius = (0.5 * (12.0 * variance + 1.0).sqrt() - 0.5).floor();
        let ends = (2.0 * radius + 1.0) * (radius * (radius + 1.0) - 3.0 * variance)
            / (6.0 * (variance - (radius + 1.0).powi(2)));
        Self { radius: radius as usize, ends, scale: 1.0 / (2.0 * radius + 1.0 + 2.0 * ends) }
    }

    /// Blurs rows of `width` values in both directions. Edges are continued.
    fn apply(self, values: &mut Vec<f32>, (width, height): (usize, usize), scratch: &mut Scratch) {
        for row in values.chunks_exact_mut(width.max(1)) {
            for _ in 0..Self::TIMES {
                scratch.line.clear();
                scratch.line.extend_from_slice(row);
                self.across(&scratch.line, row);
            }
        }
        for _ in 0..Self::TIMES {
            self.down(values, width, height, scratch);
            std::mem::swap(values, &mut scratch.other);
        }
    }

    fn across(self, from: &[f32], to: &mut [f32]) {
        let last = from.len() as isize - 1;
        let radius = self.radius as isize;
        let at = |index: isize| from[index.clamp(0, last) as usize];
        let mut sum: f32 = (-radius..=radius).map(at).sum();
        for (index, value) in (0..).zip(to) {
            let (left, right) = (at(index - radius - 1), at(index + radius + 1));
            *value = (sum + self.ends * (left + right)) * self.scale;
            sum += right - at(index - radius);
        }
    }

    /// Blurs from `values` to `scratch.other`, row by row.
    fn down(self, values: &[f32], width: usize, height: usize, scratch: &mut Scratch) {
        let radius = self.radius as isize;
        let row = |y: isize| {
            let start = y.clamp(0, height as isize - 1) as usize * width;
            &values[start..start + width]
        };
        let Scratch { line: sums, other } = scratch;
        sums.clear();
        sums.resize(width, 0.0);
        for y in -radius..=radius {
            sums.iter_mut().zip(row(y)).for_each(|(sum, value)| *sum += value);
        }
        other.clear();
        for y in 0..height as isize {
            let (above, below, leaving) = (row(y - radius - 1), row(y + radius + 1), row(y - radius));
            let ends = above.iter().zip(below);
            other.extend(sums.iter().zip(ends).map(|(sum, (a, b))| (sum + self.ends * (a + b)) * self.scale));
            for ((sum, entering), leaving) in sums.iter_mut().zip(below).zip(leaving) {
                *sum += entering - leaving;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_boxes_have_the_deviation_of_the_gaussian_and_weigh_one() {
        for sigma in [0.4, 0.7, 1.0, 1.9, 4.0, 7.5] {
            let mut values = vec![0.0; 101];
            values[50] = 1.0;
            ExtendedBox::of(sigma).apply(&mut values, (101, 1), &mut Scratch::default());
            let sum: f32 = values.iter().sum();
            let variance: f32 = values.iter().enumerate().map(|(at, w)| w * (at as f32 - 50.0).powi(2)).sum();
            assert!((sum - 1.0).abs() < 1e-4, "{sigma}: {sum}");
            assert!((variance.sqrt() - sigma).abs() < 0.02 * sigma + 0.01, "{sigma}: {}", variance.sqrt());
        }
    }

    #[test]
    fn down_is_as_across_and_edges_are_continued() {
        let values: Vec<f32> = (0..12).map(|n| (n * n) as f32).collect();
        let (mut across, mut down) = (values.clone(), values);
        ExtendedBox::of(1.5).apply(&mut across, (12, 1), &mut Scratch::default());
        ExtendedBox::of(1.5).apply(&mut down, (1, 12), &mut Scratch::default());
        assert!(across.iter().zip(&down).all(|(a, b)| (a - b).abs() < 1e-3), "{across:?} {down:?}");
        let mut same = vec![8.0; 30];
        ExtendedBox::of(3.0).apply(&mut same, (6, 5), &mut Scratch::default());
        assert!(same.iter().all(|value| (value - 8.0).abs() < 1e-3), "{same:?}");
    }

    #[test]
    fn squares_become_their_means_and_edges_too() {
        let data: Vec<u8> = (0..15).map(|n| n * 10).collect();
        let mut small = Small::default();
        small.reduce(Pixels { data: &data, width: 5, height: 3, bytes: 1, stride: 5 }, 2);
        assert_eq!((small.width, small.height), (3, 2));
        assert_eq!(small.data, [30, 50, 65, 105, 125, 140]);
    }
}
