//! Frames and packets for the tests of this crate.

use std::time::{Duration, Instant};

use bytes::Bytes;
use remotemedia_media::{Codec, RtpTimestamp};
use remotemedia_rtp::{OutgoingPacket, ReceivedPacket};

/// A frame of `len` bytes with a real header of `codec` in front: 64x48 pixels where the header tells.
pub(crate) fn frame(codec: Codec, keyframe: bool, len: usize, seed: u64) -> Bytes {
    let mut noise = seed.wrapping_mul(2).wrapping_add(1);
    let mut body = || {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        // Never zero: an encoder escapes what would look like a start code.
        (noise >> 56) as u8 | 1
    };
    let mut data = match (codec, keyframe) {
        (Codec::Opus, _) => vec![0x78],
        (Codec::Vp8, true) => vec![0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 64, 0, 48, 0],
        (Codec::Vp8, false) => vec![0x11, 0x02, 0x00],
        // Frame marker, profile 0, shown; sync code, colours, 64x48.
        (Codec::Vp9, true) => vec![0x82, 0x49, 0x83, 0x42, 0x00, 0x03, 0xf0, 0x02, 0xf0],
        (Codec::Vp9, false) => vec![0x86, 0x00],
        (Codec::H264, true) => {
            vec![0, 0, 0, 1, 0x67, 0x42, 0xe0, 0x1f, 0x8c, 0, 0, 0, 1, 0x68, 0xce, 0x3c, 0x80, 0, 0, 0, 1, 0x65, 0x88]
        }
        (Codec::H264, false) => vec![0, 0, 0, 1, 0x41, 0x9a],
        _ => unreachable!("no such codec in the tests"),
    };
    while data.len() < len {
        data.push(body());
    }
    data.into()
}

/// Gives packets extended sequence numbers from `first` on, arriving a millisecond apart from `start`.
pub(crate) fn received(packets: Vec<OutgoingPacket>, first: u64, start: Instant) -> Vec<ReceivedPacket> {
    let receive = |(i, packet): (usize, OutgoingPacket)| ReceivedPacket {
        sequence: first + i as u64,
        timestamp: packet.timestamp,
        marker: packet.marker,
        payload: packet.payload,
        arrival: start + Duration::from_millis(i as u64),
    };
    packets.into_iter().enumerate().map(receive).collect()
}

/// One packet out of its bytes.
pub(crate) fn packet(sequence: u64, timestamp: u32, marker: bool, payload: &[u8]) -> ReceivedPacket {
    ReceivedPacket {
        sequence,
        timestamp: RtpTimestamp(timestamp),
        marker,
        payload: Bytes::copy_from_slice(payload),
        arrival: Instant::now(),
    }
}
