//! Planes made larger, one row at a time, without a copy of the whole.

/// Bilinear interpolation of packed planes.
#[derive(Clone, Debug, Default)]
pub(super) struct Stretch {
    from: (usize, usize),
    to: (usize, usize),
    bytes: usize,
    /// For each pixel of a row, the one to the left of it and how far beyond that it is, in 256ths.
    across: Vec<(u32, u32)>,
    /// Two rows of the original, interpolated, in 256ths, and the last pixel once more.
    between: Vec<u32>,
}

impl Stretch {
    /// Gets ready for planes of the width and height `from` that become `to`, with `bytes` in a pixel.
    pub(super) fn prepare(&mut self, from: (usize, usize), to: (usize, usize), bytes: usize) {
        if (self.from, self.to, self.bytes) != (from, to, bytes) {
            (self.from, self.to, self.bytes) = (from, to, bytes);
            self.across.clear();
            self.across.extend((0..to.0).map(|x| place(x, from.0, to.0)).map(|(at, part)| (at as u32, part)));
        }
    }

    /// The two rows of the original that row `y` lies between.
    pub(super) fn rows(&self, y: usize) -> (usize, usize) {
        let (above, _) = place(y, self.from.1, self.to.1);
        (above, (above + 1).min(self.from.1.saturating_sub(1)))
    }

    /// Row `y` of the stretched `data`.
    pub(super) fn row(&mut self, data: &[u8], y: usize, out: &mut [u8]) {
        let length = self.from.0 * self.bytes;
        let (above, below) = self.rows(y);
        let (_, part) = place(y, self.from.1, self.to.1);
        let (above, below) = (&data[above * length..][..length], &data[below * length..][..length]);
        self.between.clear();
        let mixed = above.iter().zip(below).map(|(a, b)| u32::from(*a) * (256 - part) + u32::from(*b) * part);
        self.between.extend(mixed);
        self.between.extend_from_within(length - self.bytes..);
        match self.bytes {
            1 => self.spread::<1>(out),
            2 => self.spread::<2>(out),
            3 => self.spread::<3>(out),
            _ => self.spread::<4>(out),
        }
    }

    fn spread<const BYTES: usize>(&self, out: &mut [u8]) {
        for (pixel, (at, part)) in out.chunks_exact_mut(BYTES).zip(&self.across) {
            let pair = &self.between[*at as usize * BYTES..][..2 * BYTES];
            for (place, value) in pixel.iter_mut().enumerate() {
                *value = ((pair[place] * (256 - part) + pair[place + BYTES] * part + (1 << 15)) >> 16) as u8;
            }
        }
    }
}

/// Where the middle of pixel `at` of `to` lies among `from`: the pixel before it, and how far beyond that, in 256ths.
fn place(at: usize, from: usize, to: usize) -> (usize, u32) {
    let middle = (2 * at + 1) * from * 128 / to.max(1);
    let place = middle.saturating_sub(128).min(from.saturating_sub(1) * 256);
    (place / 256, (place % 256) as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stretched(data: &[u8], from: (usize, usize), to: (usize, usize), bytes: usize) -> Vec<u8> {
        let mut stretch = Stretch::default();
        stretch.prepare(from, to, bytes);
        let mut rows = vec![0; to.0 * to.1 * bytes];
        rows.chunks_exact_mut(to.0 * bytes).enumerate().for_each(|(y, row)| stretch.row(data, y, row));
        rows
    }

    #[test]
    fn the_same_size_is_the_same_picture() {
        let data: Vec<u8> = (0..24).map(|n| n * 10).collect();
        assert_eq!(stretched(&data, (4, 3), (4, 3), 2), data);
    }

    #[test]
    fn values_lie_evenly_between_their_neighbours_and_edges_are_continued() {
        assert_eq!(stretched(&[0, 80], (2, 1), (8, 1), 1), [0, 0, 10, 30, 50, 70, 80, 80]);
        assert_eq!(stretched(&[0, 80], (1, 2), (1, 8), 1), [0, 0, 10, 30, 50, 70, 80, 80]);
        assert_eq!(stretched(&[7, 9, 7, 9], (2, 1), (5, 3), 2), [7, 9].repeat(15));
    }
}
