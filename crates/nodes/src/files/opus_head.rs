//! What Ogg and WebM say about an Opus stream.

/// The identification header (RFC 7845, section 5.1), mapping family 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OpusHead {
    /// 1 or 2.
    pub(super) channels: u16,
    /// Samples at 48 kHz that a player leaves out at the beginning.
    pub(super) pre_skip: u16,
    /// Rate in Hz of what was encoded; for information only.
    pub(super) input_rate: u32,
    /// What a player amplifies by, in 1/256 dB.
    pub(super) gain: i16,
}

impl OpusHead {
    pub(super) fn to_bytes(self) -> [u8; 19] {
        let mut bytes = [0; 19];
        bytes[..8].copy_from_slice(b"OpusHead");
        bytes[8] = 1;
        bytes[9] = self.channels as u8;
        bytes[10..12].copy_from_slice(&self.pre_skip.to_le_bytes());
        bytes[12..16].copy_from_slice(&self.input_rate.to_le_bytes());
        bytes[16..18].copy_from_slice(&self.gain.to_le_bytes());
        bytes
    }

    /// `None` if it is none, of a later major version, or of more than two channels.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(b"OpusHead")?;
        let [version, channels, p0, p1, r0, r1, r2, r3, g0, g1, family, ..] = *rest else { return None };
        let is_known = version & 0xf0 == 0 && (1..=2).contains(&channels) && family == 0;
        is_known.then(|| Self {
            channels: channels.into(),
            pre_skip: u16::from_le_bytes([p0, p1]),
            input_rate: u32::from_le_bytes([r0, r1, r2, r3]),
            gain: i16::from_le_bytes([g0, g1]),
        })
    }

    /// The gain as a factor.
    pub(super) fn gain_factor(self) -> f32 {
        10f32.powf(f32::from(self.gain) / (20.0 * 256.0))
    }
}

/// Samples at 48 kHz in `packet`, by its first two bytes (RFC 6716, section 3.1); `None` if it is no packet.
pub(super) fn packet_samples(packet: &[u8]) -> Option<usize> {
    let toc = *packet.first()?;
    let frame = match toc >> 3 {
        config @ 0..12 => [480, 960, 1920, 2880][usize::from(config & 3)],
        config @ 12..16 => [480, 960][usize::from(config & 1)],
        config => [120, 240, 480, 960][usize::from(config & 3)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => usize::from(packet.get(1)? & 0x3f),
    };
    let samples = frame * frames;
    (1..=5_760).contains(&samples).then_some(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_comes_back_as_it_was_written() {
        let head = OpusHead { channels: 2, pre_skip: 312, input_rate: 44_100, gain: -512 };
        assert_eq!(OpusHead::parse(&head.to_bytes()), Some(head));
        assert!((head.gain_factor() - 10f32.powf(-2.0 / 20.0)).abs() < 1e-6);
    }

    #[test]
    fn surround_and_what_is_cut_off_is_none() {
        let mut bytes = OpusHead { channels: 2, pre_skip: 0, input_rate: 48_000, gain: 0 }.to_bytes();
        assert_eq!(OpusHead::parse(&bytes[..18]), None);
        bytes[9] = 6;
        assert_eq!(OpusHead::parse(&bytes), None);
    }

    #[test]
    fn packets_tell_their_length() {
        assert_eq!(packet_samples(&[0b0000_1000]), Some(960));
        assert_eq!(packet_samples(&[0b1111_1001]), Some(1_920));
        assert_eq!(packet_samples(&[0b1110_0011, 4]), Some(480));
        assert_eq!(packet_samples(&[0b0001_1011, 63]), None);
        assert_eq!(packet_samples(&[]), None);
    }
}
