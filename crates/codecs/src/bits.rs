use std::{error::Error, fmt};

/// Reads a header bit by bit, most significant first.
pub(crate) struct BitReader<'a> {
    data: &'a [u8],
    position: usize,
}

/// The header ends in the middle of a field, or a field is out of range.
#[derive(Debug)]
pub(crate) struct BadHeader;

impl fmt::Display for BadHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the frame's header is cut short or out of range")
    }
}

impl Error for BadHeader {}

impl<'a> BitReader<'a> {
    pub(crate) fn new(data: &'a [u8]) -> Self {
        Self { data, position: 0 }
    }

    pub(crate) fn flag(&mut self) -> Result<bool, BadHeader> {
        Ok(self.bits(1)? == 1)
    }

    /// The next `count` bits, at most 32, as an unsigned number.
    pub(crate) fn bits(&mut self, count: usize) -> Result<u32, BadHeader> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.data.get(self.position / 8).ok_or(BadHeader)?;
            value = value << 1 | u32::from(byte >> (7 - self.position % 8) & 1);
            self.position += 1;
        }
        Ok(value)
    }

    /// An unsigned Exp-Golomb number (ITU-T H.264, section 9.1).
    #[cfg(feature = "h264")]
    pub(crate) fn unsigned_golomb(&mut self) -> Result<u32, BadHeader> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
            if zeros > 31 {
                return Err(BadHeader);
            }
        }
        Ok((1u32 << zeros) - 1 + self.bits(zeros)?)
    }

    /// A signed Exp-Golomb number (ITU-T H.264, section 9.1.1).
    #[cfg(feature = "h264")]
    pub(crate) fn signed_golomb(&mut self) -> Result<i64, BadHeader> {
        let code = i64::from(self.unsigned_golomb()?);
        Ok(if code % 2 == 1 { (code + 1) / 2 } else { -(code / 2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_most_significant_first_and_end() {
        let mut reader = BitReader::new(&[0b1010_0001, 0xff]);
        assert_eq!(reader.bits(3).unwrap(), 0b101);
        assert_eq!(reader.bits(6).unwrap(), 0b00_0011);
        assert_eq!(reader.bits(7).unwrap(), 0x7f);
        assert!(reader.flag().is_err());
    }

    #[cfg(feature = "h264")]
    #[test]
    fn golomb_codes_are_those_of_the_standard() {
        // 1 | 010 | 011 | 00100: 0, 1, 2, 3; signed 1 and 2 are 1 and -1.
        let mut reader = BitReader::new(&[0b1010_0110, 0b0100_0000]);
        assert_eq!(reader.unsigned_golomb().unwrap(), 0);
        assert_eq!(reader.signed_golomb().unwrap(), 1);
        assert_eq!(reader.signed_golomb().unwrap(), -1);
        assert_eq!(reader.unsigned_golomb().unwrap(), 3);
        assert!(BitReader::new(&[0; 8]).unsigned_golomb().is_err());
    }
}
