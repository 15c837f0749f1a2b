use std::time::Duration;

use bytes::Bytes;

use super::FramePart;

/// How long an Opus packet sounds, from its first bytes (RFC 6716, sections 3.1 and 3.2). `None` if it is empty, says it has
/// no frames, or more than 120 ms of them.
pub fn packet_duration(packet: &[u8]) -> Option<Duration> {
    let toc = *packet.first()?;
    let frame_micros = match toc >> 3 {
        config @ 0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(config % 4)],
        config @ 12..=15 => [10_000, 20_000][usize::from(config % 2)],
        config => [2_500, 5_000, 10_000, 20_000][usize::from(config % 4)],
    };
    let frames = match toc & 0b11 {
        0 => 1,
        1 | 2 => 2,
        _ => u64::from(packet.get(1)? & 0x3f),
    };
    let micros = frames * frame_micros;
    (1..=120_000).contains(&micros).then(|| Duration::from_micros(micros))
}

/// Whether an Opus packet carries a coarse copy of the frame before it (in-band FEC, the LBRR flags of RFC 6716, section
/// 4.2.4). Packets of CELT alone never do.
pub fn carries_redundancy(packet: &[u8]) -> bool {
    let Some(&toc) = packet.first().filter(|toc| **toc & 0x80 == 0) else { return false };
    let Some(&head) = first_frame(packet).and_then(<[u8]>::first) else { return false };
    // SILK writes, for each channel, a voice flag per 20 ms and then its LBRR flag, as plain bits in front of its range coder.
    let voice_flags = match toc >> 3 {
        config @ 0..=11 => [1, 1, 2, 3][usize::from(config % 4)],
        _ => 1,
    };
    let mid = head >> (7 - voice_flags) & 1;
    let stereo = toc & 0x04 != 0;
    let side = if stereo { head >> (6 - 2 * voice_flags) & 1 } else { 0 };
    mid | side == 1
}

/// The first frame of a packet and what follows it (RFC 6716, section 3.2).
fn first_frame(packet: &[u8]) -> Option<&[u8]> {
    let (&toc, rest) = packet.split_first()?;
    match toc & 0b11 {
        0 | 1 => Some(rest),
        2 => skip_length(rest),
        _ => {
            let (&count, mut rest) = rest.split_first()?;
            if count & 0x40 != 0 {
                // Padding stands at the end; 255 says that another byte of its length follows.
                let bytes = rest.iter().position(|byte| *byte != 255)? + 1;
                rest = rest.get(bytes..)?;
            }
            let lengths = if count & 0x80 != 0 { (count & 0x3f).saturating_sub(1) } else { 0 };
            (0..lengths).try_fold(rest, |rest, _| skip_length(rest))
        }
    }
}

/// Skips a frame length of one byte, or of two if the first is above 251.
fn skip_length(bytes: &[u8]) -> Option<&[u8]> {
    let first = *bytes.first()?;
    bytes.get(if first > 251 { 2 } else { 1 }..)
}

pub(crate) fn parse(payload: &Bytes) -> FramePart {
    FramePart {
        data: payload.clone(),
        starts: true,
        may_start: true,
        ends: true,
        keyframe: true,
        parameter_sets: false,
        picture_id: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_the_table_of_contents() {
        let millis = |packet: &[u8]| packet_duration(packet).map(|d| d.as_secs_f64() * 1e3);
        assert_eq!(millis(&[0x78, 0]), Some(20.0), "hybrid, one frame of 20 ms");
        assert_eq!(millis(&[0xfc]), Some(20.0), "CELT fullband stereo");
        assert_eq!(millis(&[0xe0]), Some(2.5), "CELT fullband, 2.5 ms");
        assert_eq!(millis(&[0x18]), Some(60.0), "SILK narrowband, 60 ms");
        assert_eq!(millis(&[0x79]), Some(40.0), "two frames of equal size");
        assert_eq!(millis(&[0x7b, 3]), Some(60.0), "three frames, told in the second byte");
        assert_eq!(millis(&[0x7b, 0]), None, "no frames");
        assert_eq!(millis(&[0x7b, 7]), None, "more than 120 ms");
        assert_eq!(millis(&[0x7b]), None, "truncated");
        assert_eq!(millis(&[]), None);
    }

    #[test]
    fn redundancy_is_read_from_the_flags_of_silk() {
        // SILK wideband, 20 ms, mono: voice flag, then LBRR flag.
        assert!(carries_redundancy(&[0x48, 0b1100_0000]));
        assert!(!carries_redundancy(&[0x48, 0b1000_0000]));
        // Stereo: voice and LBRR of the middle, then of the side.
        assert!(carries_redundancy(&[0x4c, 0b1011_0000]));
        assert!(!carries_redundancy(&[0x4c, 0b1010_0000]));
        // 60 ms: three voice flags first.
        assert!(carries_redundancy(&[0x58, 0b0001_0000]));
        assert!(!carries_redundancy(&[0x58, 0b1110_0000]));
        // Hybrid, two frames of which the length of the first takes two bytes; three frames with lengths and padding.
        assert!(carries_redundancy(&[0x7a, 252, 1, 0b0100_0000]));
        assert!(carries_redundancy(&[0x7b, 0xc3, 255, 3, 10, 252, 0, 0b0100_0000]));
        // CELT, and what is cut off.
        assert!(!carries_redundancy(&[0xfc, 0xff]));
        for packet in [&[][..], &[0x48], &[0x4a, 252], &[0x7b], &[0x7b, 0xc3, 255], &[0x7b, 0x83, 10]] {
            assert!(!carries_redundancy(packet), "{packet:02x?}");
        }
    }
}
