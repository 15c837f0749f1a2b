/// Extends the 16-bit sequence numbers of one SSRC over their wraps (RFC 3550, appendix A.1, without its probation).
///
/// Each number is taken as the one nearest to the highest seen so far, so reordering by less than 2^15 packets is
/// understood. The first number is placed one wrap above zero, so that packets from before it have room.
#[derive(Clone, Debug, Default)]
pub struct SequenceUnwrapper {
    highest: Option<u64>,
}

impl SequenceUnwrapper {
    /// An unwrapper that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The extended form of `sequence`.
    pub fn unwrap(&mut self, sequence: u16) -> u64 {
        let Some(highest) = self.highest else {
            let first = (1 << 16) + u64::from(sequence);
            self.highest = Some(first);
            return first;
        };
        // Truncation keeps the 16 bits that were on the wire.
        let step = sequence.wrapping_sub(highest as u16) as i16;
        let extended = highest.saturating_add_signed(i64::from(step));
        self.highest = Some(highest.max(extended));
        extended
    }

    /// The highest extended number so far.
    pub fn highest(&self) -> Option<u64> {
        self.highest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_grow_across_wraps_and_reordering() {
        let mut unwrapper = SequenceUnwrapper::new();
        let base = unwrapper.unwrap(65_534);
        assert_eq!(unwrapper.unwrap(1), base + 3);
        assert_eq!(unwrapper.unwrap(65_535), base + 1, "late, from before the wrap");
        assert_eq!(unwrapper.unwrap(2), base + 4);
        assert_eq!(unwrapper.highest(), Some(base + 4));
    }

    #[test]
    fn packets_from_before_the_first_keep_their_distance() {
        let mut unwrapper = SequenceUnwrapper::new();
        let first = unwrapper.unwrap(0);
        assert_eq!(unwrapper.unwrap(65_535), first - 1);
        assert_eq!(unwrapper.unwrap(1), first + 1);
    }

    #[test]
    fn a_hundred_wraps_lose_no_number() {
        let mut unwrapper = SequenceUnwrapper::new();
        let first = unwrapper.unwrap(0);
        for i in 1..100 * 65_536_u64 {
            assert_eq!(unwrapper.unwrap(i as u16), first + i);
        }
    }
}
