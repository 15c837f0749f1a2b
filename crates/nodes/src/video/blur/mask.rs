//! From the cells in which the person was found to a mask with padding and soft edges.

/// In which cells of a grid the person is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) cells: Vec<bool>,
}

/// How much of the person is seen in each cell, 0 to 255, followed over time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Mask {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) data: Vec<u8>,
    level: Vec<f32>,
    distance: Vec<f32>,
}

impl Mask {
    /// Cells from the padded outline to where nothing of the person is left.
    const FEATHER: f32 = 2.0;
    /// How much of a change shows in one picture: enough to follow a hand, too little to flicker.
    const FOLLOW: f32 = 0.6;

    /// Takes what was found in the next picture, with a padding in cells.
    pub(crate) fn update(&mut self, found: &Found, padding: f32) {
        let is_new = (self.width, self.height) != (found.width, found.height);
        (self.width, self.height) = (found.width, found.height);
        self.measure(found);
        self.level.resize(found.cells.len(), 0.0);
        self.data.resize(found.cells.len(), 0);
        let follow = if is_new { 1.0 } else { Self::FOLLOW };
        for ((level, distance), value) in self.level.iter_mut().zip(&self.distance).zip(&mut self.data) {
            let target = (1.0 - (distance - padding) / Self::FEATHER).clamp(0.0, 1.0);
            *level += (target - *level) * follow;
            *value = (*level * 255.0 + 0.5) as u8;
        }
    }

    /// The distance of every cell to the nearest one of the person, in cells: a two-pass chamfer transform (Borgefors,
    /// 1986, with the weights 1 and the square root of 2), at most 8 % off the Euclidean one.
    fn measure(&mut self, found: &Found) {
        const FAR: f32 = 1e6;
        let (width, height) = (found.width, found.height);
        self.distance.clear();
        self.distance.extend(found.cells.iter().map(|is_person| if *is_person { 0.0 } else { FAR }));
        let (straight, slanted) = (1.0, std::f32::consts::SQRT_2);
        let distance = &mut self.distance;
        for y in 0..height {
            for x in 0..width {
                let at = y * width + x;
                let mut nearest = distance[at];
                if x > 0 {
                    nearest = nearest.min(distance[at - 1] + straight);
                }
                if y > 0 {
                    nearest = nearest.min(distance[at - width] + straight);
                    if x > 0 {
                        nearest = nearest.min(distance[at - width - 1] + slanted);
                    }
                    if x + 1 < width {
                        nearest = nearest.min(distance[at - width + 1] + slanted);
                    }
                }
                distance[at] = nearest;
            }
        }
        for y in (0..height).rev() {
            for x in (0..width).rev() {
                let at = y * width + x;
                let mut nearest = distance[at];
                if x + 1 < width {
                    nearest = nearest.min(distance[at + 1] + straight);
                }
                if y + 1 < height {
                    nearest = nearest.min(distance[at + width] + straight);
                    if x > 0 {
                        nearest = nearest.min(distance[at + width - 1] + slanted);
                    }
                    if x + 1 < width {
                        nearest = nearest.min(distance[at + width + 1] + slanted);
                    }
                }
                distance[at] = nearest;
            }
        }
    }
}

impl Found {
    /// Removes specks and closes holes: what a person's shape does not have.
    pub(crate) fn cleaned(mut self) -> Self {
        self.vote();
        self.grow(true);
        self.fill_holes();
        self.grow(false);
        self.remove_specks();
        self
    }

    /// Each cell becomes what most of its neighbourhood of 3x3 is.
    fn vote(&mut self) {
        let before = self.cells.clone();
        self.map(|x, y, found| {
            let (mut person, mut all) = (0, 0);
            found.around(x, y, |at| {
                person += usize::from(before[at]);
                all += 1;
            });
            person * 2 > all
        });
    }

    /// Grows the person by one cell, or the background.
    fn grow(&mut self, person: bool) {
        let before = self.cells.clone();
        self.map(|x, y, found| {
            let mut is_near = false;
            found.around(x, y, |at| is_near |= before[at] == person);
            if is_near { person } else { !person }
        });
    }

    /// Background that the person and the lower edge of the picture enclose belongs to the person.
    fn fill_holes(&mut self) {
        let (width, height) = (self.width, self.height);
        let mut reached = self.cells.clone();
        let mut stack: Vec<usize> = (0..width).collect();
        stack.extend((0..height).flat_map(|y| [y * width, y * width + width - 1]));
        while let Some(at) = stack.pop() {
            if !std::mem::replace(&mut reached[at], true) {
                self.beside(at, |next| stack.push(next));
            }
        }
        // Reached or person already: what is left is a hole. What was reached and is no person stays background.
        for (cell, reached) in self.cells.iter_mut().zip(reached) {
            *cell |= !reached;
        }
    }

    /// Removes islands of less than 0.4 % of the picture.
    fn remove_specks(&mut self) {
        let limit = self.cells.len() / 250;
        let mut seen = vec![false; self.cells.len()];
        let (mut stack, mut island) = (Vec::new(), Vec::new());
        for start in 0..self.cells.len() {
            stack.push(start);
            island.clear();
            while let Some(at) = stack.pop() {
                if self.cells[at] && !std::mem::replace(&mut seen[at], true) {
                    island.push(at);
                    self.beside(at, |next| stack.push(next));
                }
            }
            if island.len() < limit {
                island.iter().for_each(|at| self.cells[*at] = false);
            }
        }
    }

    fn map(&mut self, cell: impl Fn(usize, usize, &Self) -> bool) {
        for y in 0..self.height {
            for x in 0..self.width {
                let value = cell(x, y, self);
                self.cells[y * self.width + x] = value;
            }
        }
    }

    /// The cells of the 3x3 around one, as far as they lie within.
    fn around(&self, x: usize, y: usize, mut visit: impl FnMut(usize)) {
        for row in y.saturating_sub(1)..(y + 2).min(self.height) {
            for column in x.saturating_sub(1)..(x + 2).min(self.width) {
                visit(row * self.width + column);
            }
        }
    }

    /// The four cells beside one, as far as they lie within.
    fn beside(&self, at: usize, mut visit: impl FnMut(usize)) {
        let x = at % self.width;
        if x > 0 {
            visit(at - 1);
        }
        if x + 1 < self.width {
            visit(at + 1);
        }
        if at >= self.width {
            visit(at - self.width);
        }
        if at + self.width < self.cells.len() {
            visit(at + self.width);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(drawing: &str) -> Found {
        let rows: Vec<&str> = drawing.split_whitespace().collect();
        let cells = rows.concat().chars().map(|cell| cell == '#').collect();
        Found { width: rows[0].len(), height: rows.len(), cells }
    }

    #[test]
    fn holes_close_also_at_the_lower_edge() {
        let mut ring = found("....... .#####. .#...#. .#...#. .#...#.");
        ring.fill_holes();
        assert_eq!(ring, found("....... .#####. .#####. .#####. .#####."));
    }

    #[test]
    fn what_touches_another_edge_is_no_hole() {
        let open = found("..#.#.. .##.##. .#...#. .#####.");
        let mut filled = open.clone();
        filled.fill_holes();
        assert_eq!(filled, open);
    }

    #[test]
    fn specks_vanish_and_the_person_stays() {
        let cells = (0..100 * 100).map(|at| {
            let (x, y) = (at % 100, at / 100);
            (40..60).contains(&x) && y > 50 || (10..13).contains(&x) && (10..13).contains(&y)
        });
        let cleaned = Found { width: 100, height: 100, cells: cells.collect() }.cleaned();
        assert!(cleaned.cells[75 * 100 + 50] && !cleaned.cells[11 * 100 + 11]);
    }

    #[test]
    fn the_mask_is_full_within_the_padding_and_fades_beyond() {
        let mut mask = Mask::default();
        mask.update(&found("#.........."), 3.0);
        assert_eq!(mask.data, [255, 255, 255, 255, 128, 0, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_change_follows_without_a_flicker() {
        let mut mask = Mask::default();
        mask.update(&found("....."), 0.0);
        mask.update(&found("#...."), 0.0);
        assert!((100..200).contains(&mask.data[0]), "{}", mask.data[0]);
        (0..5).for_each(|_| mask.update(&found("#...."), 0.0));
        assert!(mask.data[0] > 250);
    }
}
