//! Whatever is cut into packets comes back whole, in order, whatever the network did to the packets.

use std::time::{Duration, Instant};

use crate::stream::{frame, received};
use bytes::Bytes;
use proptest::prelude::*;
use remotemedia_media::{Codec, EncodedFrame, RtpTimestamp};
use remotemedia_rtp::{AssemblerLimits, FrameAssembler, Packetizer, ReceivedPacket};

const VIDEO: [Codec; 3] = [Codec::Vp8, Codec::Vp9, Codec::H264];

fn drain(assembler: &mut FrameAssembler) -> Vec<EncodedFrame> {
    std::iter::from_fn(|| assembler.pop()).collect()
}

/// A stream of frames with the given lengths, the first one a keyframe, and its packets.
fn stream(codec: Codec, limit: usize, lengths: &[usize]) -> (Vec<Bytes>, Vec<Vec<ReceivedPacket>>) {
    let mut packetizer = Packetizer::new(codec, 32_766).with_payload_limit(limit).expect("a legal limit");
    let frames: Vec<Bytes> = lengths.iter().enumerate().map(|(i, len)| frame(codec, i == 0, *len, i as u64)).collect();
    let start = Instant::now();
    let mut sequence = 65_530;
    let packets = frames.iter().enumerate().map(|(i, frame)| {
        let timestamp = RtpTimestamp(u32::MAX - 3_000) + i as u32 * 3_000;
        let cut = packetizer.packetize(frame, timestamp).expect("a frame with content");
        assert!(cut.iter().all(|p| p.payload.len() <= limit || codec == Codec::Opus), "a payload above {limit} bytes");
        assert!(cut.iter().rev().skip(1).all(|p| !p.marker || codec == Codec::Opus), "a marker inside a frame");
        let packets = received(cut, sequence, start + Duration::from_millis(33 * i as u64));
        sequence += packets.len() as u64;
        packets
    });
    let packets = packets.collect();
    (frames, packets)
}

#[test]
fn every_codec_returns_its_frames_in_order() {
    for codec in [Codec::Opus, Codec::Vp8, Codec::Vp9, Codec::H264] {
        let (frames, packets) = stream(codec, 1_150, &[1_200, 60, 1_149, 1_150, 1_151, 23]);
        let mut assembler = FrameAssembler::new(codec);
        packets.into_iter().flatten().for_each(|packet| assembler.insert(packet));
        let back = drain(&mut assembler);
        assert_eq!(back.iter().map(|f| f.data.clone()).collect::<Vec<_>>(), frames, "{codec}");
        let flags: Vec<_> = back.iter().map(|f| (f.keyframe, f.contiguous)).collect();
        let later = codec == Codec::Opus;
        assert_eq!(flags[0], (true, false), "{codec}");
        assert!(flags[1..].iter().all(|f| *f == (later, true)), "{codec}: {flags:?}");
        assert_eq!(assembler.buffered_bytes(), 0, "{codec}");
    }
}

#[test]
fn packets_of_a_frame_are_of_nearly_equal_size() {
    for codec in VIDEO {
        let (_, packets) = stream(codec, 1_150, &[10_000, 10_000]);
        let lengths: Vec<usize> = packets[1].iter().map(|p| p.payload.len()).collect();
        let (min, max) = (lengths.iter().min().unwrap(), lengths.iter().max().unwrap());
        assert!(max - min <= 1, "{codec}: {lengths:?}");
        assert_eq!(lengths.len(), 9, "{codec}: {lengths:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn frames_survive_any_order_and_duplication(
        codec in prop::sample::select(VIDEO.to_vec()),
        limit in prop::sample::select(vec![64_usize, 500, 1_150, 1_400, 9_000]),
        lengths in prop::collection::vec(prop_oneof![1_usize..3_000, 20_000_usize..60_000], 1..5),
        seed in any::<u64>(),
    ) {
        let (frames, packets) = stream(codec, limit, &lengths);
        let mut packets: Vec<_> = packets.into_iter().flatten().collect();
        // The first packet comes first: with nothing known in front of it, any frame start may begin the stream.
        shuffle(&mut packets[1..], seed);
        let limits = AssemblerLimits { packets: 16_384, ..AssemblerLimits::default() };
        let mut assembler = FrameAssembler::with_limits(codec, limits);
        let mut back = Vec::new();
        for (i, packet) in packets.iter().enumerate() {
            assembler.insert(packet.clone());
            if i % 3 == 0 {
                assembler.insert(packet.clone());
            }
            back.extend(drain(&mut assembler));
        }
        prop_assert_eq!(back.len(), frames.len());
        prop_assert!(back.iter().zip(&frames).all(|(f, data)| f.data == data), "a frame came back changed");
        prop_assert!(back[1..].iter().all(|f| f.contiguous));
    }

    #[test]
    fn a_single_large_frame_survives(
        codec in prop::sample::select(VIDEO.to_vec()),
        limit in 200_usize..1_500,
        len in 1_usize..200_000,
    ) {
        let (frames, packets) = stream(codec, limit, &[len]);
        let mut assembler = FrameAssembler::new(codec);
        packets.into_iter().flatten().for_each(|packet| assembler.insert(packet));
        let back = assembler.pop().expect("a frame");
        prop_assert!(back.data == frames[0], "the frame came back changed");
        prop_assert!(back.keyframe);
    }

    #[test]
    fn lost_packets_lose_their_frames_only_and_the_next_frame_tells(
        codec in prop::sample::select(VIDEO.to_vec()),
        lengths in prop::collection::vec(1_usize..5_000, 4..20),
        loss in prop::collection::vec(0_u8..10, 200),
    ) {
        let (frames, packets) = stream(codec, 1_150, &lengths);
        let mut assembler = FrameAssembler::new(codec);
        let mut expected = Vec::new();
        let mut previous_whole = false;
        let mut losses = loss.iter().cycle();
        for (i, frame_packets) in packets.iter().enumerate() {
            // Without the packet of its parameter sets an H.264 keyframe still has its slices; that is another test's matter.
            let kept = frame_packets.iter().enumerate().filter(|(at, _)| *losses.next().unwrap() != 0 || (i, *at) == (0, 0));
            let kept: Vec<_> = kept.map(|(_, packet)| packet).collect();
            let whole = kept.len() == frame_packets.len();
            if whole {
                expected.push((i, previous_whole));
            }
            previous_whole = whole;
            kept.into_iter().for_each(|packet| assembler.insert(packet.clone()));
            assembler.give_up_before(frame_packets.last().unwrap().sequence + 1);
        }
        let back = drain(&mut assembler);
        prop_assert_eq!(back.len(), expected.len());
        for (frame, (i, contiguous)) in back.iter().zip(&expected) {
            prop_assert!(frame.data == frames[*i], "frame {} came back changed", i);
            prop_assert_eq!(frame.contiguous, *contiguous);
        }
    }
}

fn shuffle<T>(items: &mut [T], seed: u64) {
    let mut state = seed | 1;
    for i in (1..items.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        items.swap(i, (state >> 33) as usize % (i + 1));
    }
}
