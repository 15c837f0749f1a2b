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
}
