//! Whatever arrives, nothing panics and memory stays bounded.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use remotemedia_media::{Codec, RtpTimestamp};
use remotemedia_rtp::{AssemblerLimits, FrameAssembler, Packetizer, ReceivedPacket, is_keyframe, starts_keyframe};

use crate::stream::{frame, received};

const CODECS: [Codec; 4] = [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264];

/// Bytes that often look like the beginning of a payload.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let head = prop::sample::select(vec![0x90, 0x80, 0x10, 0x8a, 0xb8, 0xda, 0x9e, 0x2f, 0x78, 0x7c, 0x5c, 0x67, 0x65]);
    (head, prop::collection::vec(any::<u8>(), 0..60), any::<bool>()).prop_map(|(head, mut bytes, keep)| {
        if keep {
            bytes.insert(0, head);
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn junk_neither_panics_nor_piles_up(
        codec in prop::sample::select(CODECS.to_vec()),
        packets in prop::collection::vec((any::<u16>(), 0_u32..5, any::<bool>(), payload()), 1..300),
    ) {
        let limits = AssemblerLimits { packets: 64, bytes: 2_000, frames: 4, age: Duration::from_millis(500) };
        let mut assembler = FrameAssembler::with_limits(codec, limits);
        let start = Instant::now();
        for (i, (sequence, timestamp, marker, payload)) in packets.into_iter().enumerate() {
            let payload = Bytes::from(payload);
            let _ = starts_keyframe(codec, &payload);
            let _ = is_keyframe(codec, &payload);
            assembler.insert(ReceivedPacket {
                sequence: u64::from(sequence) % 200,
                timestamp: RtpTimestamp(timestamp),
                marker,
                payload,
                arrival: start + Duration::from_millis(i as u64),
            });
            // Start codes may make an H.264 frame longer than its packets.
            prop_assert!(assembler.buffered_bytes() <= 2 * 2_000 + 64 * 5, "{} bytes", assembler.buffered_bytes());
            let _ = assembler.gap();
            prop_assert!(assembler.missing().len() <= 64);
            if i % 50 == 49 {
                let _ = assembler.pop();
                assembler.give_up_before(u64::from(sequence));
            }
        }
    }

    #[test]
    fn junk_frames_are_cut_without_panic(
        codec in prop::sample::select(CODECS.to_vec()),
        data in prop::collection::vec(prop_oneof![Just(0_u8), Just(1_u8), any::<u8>()], 0..1_300),
    ) {
        let mut packetizer = Packetizer::new(codec, 0).with_payload_limit(64).unwrap();
        if let Ok(packets) = packetizer.packetize(&data.into(), RtpTimestamp(0)) {
            prop_assert!(!packets.is_empty());
            prop_assert!(codec == Codec::Opus || packets.iter().all(|p| p.payload.len() <= 64));
        }
    }

    #[test]
    fn a_payload_with_flipped_bytes_spoils_nothing_but_its_frame(
        codec in prop::sample::select(vec![Codec::Vp8, Codec::Vp9, Codec::H264]),
        at in 0_usize..40,
        flip in 1_u8..=255,
    ) {
        let mut packetizer = Packetizer::new(codec, 0);
        let mut packets = Vec::new();
        for i in 0..4 {
            let cut = packetizer.packetize(&frame(codec, true, 3_000, i), RtpTimestamp(i as u32)).unwrap();
            packets.extend(received(cut, 100 + packets.len() as u64, Instant::now()));
        }
        let mut bytes = packets[1].payload.to_vec();
        bytes[at] ^= flip;
        packets[1].payload = bytes.into();
        let mut assembler = FrameAssembler::new(codec);
        packets.into_iter().for_each(|packet| assembler.insert(packet));
        let back: Vec<_> = std::iter::from_fn(|| assembler.pop()).map(|f| f.timestamp.0).collect();
        prop_assert!(back.ends_with(&[1, 2, 3]), "{:?}", back);
    }
}

#[test]
fn limits_drop_the_oldest_and_count_it() {
    let limits = AssemblerLimits { packets: 32, bytes: 20_000, frames: 2, age: Duration::from_secs(1) };
    let mut assembler = FrameAssembler::with_limits(Codec::Vp8, limits);
    let mut packetizer = Packetizer::new(Codec::Vp8, 0);
    let start = Instant::now();

    // Frames that nobody pops.
    let mut sequence = 1;
    for i in 0..5 {
        let cut = packetizer.packetize(&frame(Codec::Vp8, i == 0, 500, i), RtpTimestamp(i as u32)).unwrap();
        received(cut, sequence, start).into_iter().for_each(|packet| assembler.insert(packet));
        sequence += 1;
    }
    assert_eq!(assembler.stats().frames_dropped, 3);
    let left: Vec<_> = std::iter::from_fn(|| assembler.pop()).map(|f| (f.timestamp.0, f.contiguous)).collect();
    assert_eq!(left, [(3, false), (4, true)]);

    // A frame longer than the byte limit.
    let cut = packetizer.packetize(&frame(Codec::Vp8, false, 30_000, 9), RtpTimestamp(9)).unwrap();
    let long = received(cut, sequence, start);
    sequence += long.len() as u64;
    for packet in long {
        assembler.insert(packet);
        assert!(assembler.buffered_bytes() <= 20_000);
    }
    assert!(assembler.pop().is_none());
    assert!(assembler.stats().packets_given_up >= 27);

    // An incomplete frame that grows old.
    let cut = packetizer.packetize(&frame(Codec::Vp8, false, 3_000, 9), RtpTimestamp(10)).unwrap();
    let old = received(cut, sequence, start);
    assembler.insert(old[0].clone());
    let cut = packetizer.packetize(&frame(Codec::Vp8, false, 300, 9), RtpTimestamp(11)).unwrap();
    let new = received(cut, sequence + old.len() as u64, start + Duration::from_millis(1_001));
    assembler.insert(new[0].clone());
    assert_eq!(assembler.pop().map(|f| (f.timestamp.0, f.contiguous)), None, "the hole behind the old packet is young");
    assert_eq!(assembler.gap().map(|gap| gap.next_complete), Some(Some(new[0].sequence)));
    let later = received(
        packetizer.packetize(&frame(Codec::Vp8, false, 300, 9), RtpTimestamp(12)).unwrap(),
        new[0].sequence + 1,
        start + Duration::from_millis(2_002),
    );
    assembler.insert(later[0].clone());
    let left: Vec<_> = std::iter::from_fn(|| assembler.pop()).map(|f| (f.timestamp.0, f.contiguous)).collect();
    assert_eq!(left, [(11, false), (12, true)]);
}

#[test]
fn a_jump_of_sequence_numbers_starts_afresh() {
    let mut assembler = FrameAssembler::new(Codec::Vp8);
    let mut packetizer = Packetizer::new(Codec::Vp8, 0);
    let mut expected = Vec::new();
    for (i, sequence) in [5, 1 << 20, 1 << 40, u64::MAX].into_iter().enumerate() {
        let cut = packetizer.packetize(&frame(Codec::Vp8, true, 500, 0), RtpTimestamp(i as u32)).unwrap();
        received(cut, sequence, Instant::now()).into_iter().for_each(|packet| assembler.insert(packet));
        expected.push(RtpTimestamp(i as u32));
    }
    let back: Vec<_> = std::iter::from_fn(|| assembler.pop()).map(|f| f.timestamp).collect();
    assert_eq!(back, expected);
}
