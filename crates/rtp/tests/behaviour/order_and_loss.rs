//! How the assembler waits, what it says meanwhile, and when it goes on.

use std::time::{Duration, Instant};

use remotemedia_media::{Codec, RtpTimestamp};
use remotemedia_rtp::{FrameAssembler, Packetizer, ReceivedPacket};

use crate::stream::{frame, packet, received};

const VIDEO: [Codec; 3] = [Codec::Vp8, Codec::Vp9, Codec::H264];

/// One frame per entry, with the given keyframe flag and length; packets numbered from 1,000.
fn frames(codec: Codec, frames: &[(bool, usize)]) -> Vec<Vec<ReceivedPacket>> {
    let mut packetizer = Packetizer::new(codec, 100);
    let start = Instant::now();
    let mut sequence = 1_000;
    let cut = frames.iter().enumerate().map(|(i, (keyframe, len))| {
        let data = frame(codec, *keyframe, *len, i as u64);
        let packets = packetizer.packetize(&data, RtpTimestamp(i as u32 * 3_000)).expect("a frame with content");
        let packets = received(packets, sequence, start + Duration::from_millis(33 * i as u64));
        sequence += packets.len() as u64;
        packets
    });
    cut.collect()
}

fn popped(assembler: &mut FrameAssembler) -> Vec<(u32, bool)> {
    std::iter::from_fn(|| assembler.pop()).map(|f| (f.timestamp.0 / 3_000, f.contiguous)).collect()
}

#[test]
fn a_hole_holds_frames_back_until_it_is_filled() {
    for codec in VIDEO {
        let stream = frames(codec, &[(true, 3_000), (false, 3_000), (false, 900), (false, 900)]);
        let mut assembler = FrameAssembler::new(codec);
        let lost = stream[1][1].clone();
        for packet in stream.iter().flatten().filter(|packet| packet.sequence != lost.sequence) {
            assembler.insert(packet.clone());
        }
        assert_eq!(popped(&mut assembler), [(0, false)], "{codec}");
        assert_eq!(assembler.missing(), [lost.sequence..=lost.sequence], "{codec}");
        let gap = assembler.gap().expect("a gap");
        assert_eq!(gap.first_missing, lost.sequence);
        assert_eq!(gap.since, stream[1][2].arrival, "known since the packet behind it came");
        assert_eq!(gap.next_complete, Some(stream[2][0].sequence));

        assembler.insert(ReceivedPacket { arrival: lost.arrival + Duration::from_millis(80), ..lost.clone() });
        assert_eq!(popped(&mut assembler), [(1, true), (2, true), (3, true)], "{codec}");
        assert_eq!((assembler.gap(), assembler.missing()), (None, vec![]));
    }
}

#[test]
fn giving_up_goes_on_with_the_next_whole_frame_and_says_so() {
    for codec in VIDEO {
        let stream = frames(codec, &[(true, 900), (false, 3_000), (false, 900), (false, 900)]);
        let mut assembler = FrameAssembler::new(codec);
        stream
            .iter()
            .flatten()
            .filter(|p| p.sequence != stream[1][1].sequence)
            .for_each(|p| assembler.insert(p.clone()));
        let next = assembler.gap().and_then(|gap| gap.next_complete).unwrap();
        assembler.give_up_before(next);
        assert_eq!(popped(&mut assembler), [(0, false), (2, false), (3, true)], "{codec}");
        assert_eq!(assembler.stats().packets_given_up, 2, "{codec}");
        assembler.insert(stream[1][1].clone());
        assert_eq!((assembler.stats().late, assembler.pop()), (1, None), "{codec}");
    }
}

#[test]
fn a_complete_keyframe_ends_the_wait() {
    for codec in VIDEO {
        let stream = frames(codec, &[(true, 900), (false, 900), (false, 900), (true, 4_000), (false, 900)]);
        let mut assembler = FrameAssembler::new(codec);
        let lost = stream[1][0].sequence;
        let (last, others) = stream[3].split_last().unwrap();
        let early = stream[..3].iter().flatten().chain(others).filter(|p| p.sequence != lost);
        early.for_each(|p| assembler.insert(p.clone()));
        assert_eq!(popped(&mut assembler), [(0, false)], "{codec}: the keyframe is not complete");
        assembler.insert(last.clone());
        assert_eq!(popped(&mut assembler), [(3, false)], "{codec}");
        stream[4].iter().for_each(|p| assembler.insert(p.clone()));
        assert_eq!(popped(&mut assembler), [(4, true)], "{codec}");
    }
}

#[test]
fn packets_without_payload_count_as_received() {
    for codec in VIDEO {
        let stream = frames(codec, &[(true, 2_000), (false, 900), (false, 900)]);
        let mut assembler = FrameAssembler::new(codec);
        // Each packet moves back by the probes in front of it: two behind the first frame, one inside it.
        let mut sequence = 10;
        for (i, packet) in stream.iter().flatten().enumerate() {
            assembler.insert(ReceivedPacket { sequence, ..packet.clone() });
            sequence += 1;
            let probes = match i {
                0 => 1,
                1 => 2,
                _ => 0,
            };
            for _ in 0..probes {
                assembler.insert(ReceivedPacket {
                    sequence,
                    payload: Default::default(),
                    marker: true,
                    ..packet.clone()
                });
                sequence += 1;
            }
        }
        assert_eq!(popped(&mut assembler), [(0, false), (1, true), (2, true)], "{codec}");
        assert_eq!(assembler.stats().empty, 3);
    }
}

#[test]
fn picture_numbers_prove_that_lost_padding_held_nothing() {
    for codec in [Codec::Vp8, Codec::Vp9] {
        let stream = frames(codec, &[(true, 2_000), (false, 900), (false, 900)]);
        let mut assembler = FrameAssembler::new(codec);
        for packet in stream.iter().flatten() {
            let padding = if packet.timestamp.0 == 0 { 0 } else { 5 };
            assembler.insert(ReceivedPacket { sequence: packet.sequence + padding, ..packet.clone() });
        }
        assert_eq!(popped(&mut assembler), [(0, false), (1, true), (2, true)], "{codec}");
    }
}

#[test]
fn a_new_timestamp_ends_a_frame_whose_marker_is_missing() {
    for codec in VIDEO {
        let stream = frames(codec, &[(true, 2_000), (false, 900)]);
        let mut assembler = FrameAssembler::new(codec);
        for packet in stream.iter().flatten() {
            assembler.insert(ReceivedPacket { marker: false, ..packet.clone() });
        }
        assert_eq!(popped(&mut assembler), [(0, false)], "{codec}: the second one may go on");
        let sequence = stream[1][0].sequence + 1;
        assembler.insert(ReceivedPacket { sequence, timestamp: RtpTimestamp(6_000), ..stream[0][0].clone() });
        assert_eq!(popped(&mut assembler), [(1, true)], "{codec}");
    }
}

#[test]
fn a_receiver_that_joins_inside_a_frame_begins_with_the_next() {
    for codec in VIDEO {
        let stream = frames(codec, &[(true, 4_000), (true, 900)]);
        let mut assembler = FrameAssembler::new(codec);
        stream.iter().flatten().skip(2).for_each(|p| assembler.insert(p.clone()));
        assert_eq!(popped(&mut assembler), [(1, false)], "{codec}");
    }
}

#[test]
fn the_very_first_packets_may_come_in_any_order() {
    for codec in VIDEO {
        let stream = frames(codec, &[(true, 4_000)]);
        let mut assembler = FrameAssembler::new(codec);
        stream[0].iter().rev().filter(|p| p.sequence != 1_001).for_each(|p| assembler.insert(p.clone()));
        assembler.insert(stream[0][1].clone());
        assert_eq!(popped(&mut assembler), [(0, false)], "{codec}");
    }
}

#[test]
fn duplicates_change_nothing() {
    let stream = frames(Codec::Vp8, &[(true, 4_000), (false, 900)]);
    let mut assembler = FrameAssembler::new(Codec::Vp8);
    stream.iter().flatten().flat_map(|p| [p, p]).for_each(|p| assembler.insert(p.clone()));
    assert_eq!(popped(&mut assembler), [(0, false), (1, true)]);
    let stats = assembler.stats();
    assert_eq!((stats.frames, stats.keyframes, stats.duplicates + stats.late), (2, 1, 5));
}

#[test]
fn an_h264_keyframe_needs_parameter_sets_from_somewhere() {
    let idr: &[u8] = &[0x65, 0x88, 0x80];
    let mut assembler = FrameAssembler::new(Codec::H264);
    assembler.insert(packet(1, 0, true, idr));
    assert_eq!(assembler.pop().map(|f| f.keyframe), Some(false), "no parameter sets yet");
    assembler.insert(packet(2, 3_000, false, &[0x67, 0x42]));
    assembler.insert(packet(3, 3_000, false, &[0x68, 0xce]));
    assembler.insert(packet(4, 3_000, true, idr));
    assert_eq!(assembler.pop().map(|f| f.keyframe), Some(true));
    assembler.insert(packet(5, 6_000, true, idr));
    assert_eq!(assembler.pop().map(|f| f.keyframe), Some(true), "those of the frame before");

    // A hole that may hold new parameter sets is waited for, though slices behind it are complete.
    assembler.insert(packet(7, 9_000, true, idr));
    assert_eq!(assembler.pop(), None);
    assembler.insert(packet(6, 9_000, false, &[0x67, 0x42]));
    assert_eq!(assembler.pop().map(|f| f.first_sequence), Some(6));
}

#[test]
fn opus_packets_are_put_in_order_and_wait_for_each_other() {
    let mut assembler = FrameAssembler::new(Codec::Opus);
    for sequence in [10, 12, 13] {
        assembler.insert(packet(sequence, sequence as u32 * 960, false, &[0x78, sequence as u8]));
    }
    assert_eq!(assembler.pop().map(|f| f.first_sequence), Some(10));
    assert_eq!(assembler.pop(), None);
    assembler.insert(packet(11, 11 * 960, false, &[0x78, 11]));
    let rest: Vec<_> = std::iter::from_fn(|| assembler.pop()).map(|f| (f.first_sequence, f.contiguous)).collect();
    assert_eq!(rest, [(11, true), (12, true), (13, true)]);
}
