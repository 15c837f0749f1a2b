/// Tells whether an extended sequence number of one SSRC was seen before.
///
/// Browsers repeat old packets while they probe for bandwidth, and retransmissions cross the original: without a filter
/// they inflate every count. Memory is one bit a packet of the window, whatever comes in.
#[derive(Clone, Debug)]
pub struct DuplicateFilter {
    /// One bit a sequence number, at its remainder modulo the window.
    seen: Vec<u64>,
    highest: Option<u64>,
}

impl DuplicateFilter {
    /// Packets that [`DuplicateFilter::new`] looks back over: some 30 s of 720p video.
    pub const DEFAULT_WINDOW: usize = 8_192;

    /// A filter over [`Self::DEFAULT_WINDOW`] packets.
    pub fn new() -> Self {
        Self::with_window(Self::DEFAULT_WINDOW)
    }

    /// A filter over the last `packets` sequence numbers, rounded up to a multiple of 64, at least 64.
    pub fn with_window(packets: usize) -> Self {
        Self { seen: vec![0; packets.div_ceil(64).max(1)], highest: None }
    }

    /// Whether `sequence` is new; from then on it is not. Numbers that fell out of the window are reported as seen: a
    /// packet that old is of no use.
    pub fn is_new(&mut self, sequence: u64) -> bool {
        let window = self.seen.len() as u64 * 64;
        match self.highest {
            None => self.highest = Some(sequence),
            Some(highest) if sequence > highest => {
                if sequence - highest >= window {
                    self.seen.fill(0);
                } else {
                    (highest + 1..=sequence).for_each(|skipped| self.clear(skipped));
                }
                self.highest = Some(sequence);
            }
            Some(highest) if highest - sequence >= window => return false,
            Some(_) => {}
        }
        let (word, bit) = self.place(sequence);
        let is_new = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        is_new
    }

    fn clear(&mut self, sequence: u64) {
        let (word, bit) = self.place(sequence);
        self.seen[word] &= !bit;
    }

    fn place(&self, sequence: u64) -> (usize, u64) {
        ((sequence / 64 % self.seen.len() as u64) as usize, 1 << (sequence % 64))
    }
}

impl Default for DuplicateFilter {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_is_new_once_in_any_order() {
        let mut filter = DuplicateFilter::with_window(128);
        for sequence in [70_000, 70_002, 70_001, 69_990] {
            assert!(filter.is_new(sequence), "{sequence}");
            assert!(!filter.is_new(sequence), "{sequence} again");
        }
    }

    #[test]
    fn the_window_moves_on_and_what_fell_out_is_not_new() {
        let mut filter = DuplicateFilter::with_window(64);
        assert!((1_000..1_200).all(|s| filter.is_new(s)));
        assert!(!filter.is_new(1_136), "seen, inside the window");
        assert!(!filter.is_new(1_135), "outside the window");
        assert!(filter.is_new(9_000));
        assert!(filter.is_new(8_937), "skipped by the jump, inside the window");
        assert!(!filter.is_new(8_936), "outside the window");
    }
}
