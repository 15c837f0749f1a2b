//! Our payloads are read by the `rtc` crate's readers, and its payloads by ours.

use std::time::Instant;

use bytes::Bytes;
use remotemedia_media::{Codec, RtpTimestamp};
use remotemedia_rtp::{FrameAssembler, OutgoingPacket, Packetizer};
use rtc::rtp::{
    codec::{
        h264::{H264Packet, H264Payloader},
        vp8::{Vp8Packet, Vp8Payloader},
        vp9::{Vp9Packet, Vp9Payloader},
    },
    packetizer::{Depacketizer, Payloader},
};

use crate::stream::{frame, received};

const LENGTHS: [usize; 5] = [40, 1_100, 1_200, 5_000, 60_000];

#[test]
fn our_payloads_are_read_by_theirs() {
    for (codec, mut reader) in [
        (Codec::Vp8, Box::<Vp8Packet>::default() as Box<dyn Depacketizer>),
        (Codec::Vp9, Box::<Vp9Packet>::default()),
        (Codec::H264, Box::<H264Packet>::default()),
    ] {
        let mut packetizer = Packetizer::new(codec, 77);
        for (i, len) in LENGTHS.into_iter().enumerate() {
            // Their VP9 reader keeps the references of all packets it ever read and then gives up: keyframes have none.
            let data = frame(codec, codec == Codec::Vp9 || i == 0, len, i as u64);
            let packets = packetizer.packetize(&data, RtpTimestamp(0)).unwrap();
            let read: Vec<u8> = packets.iter().flat_map(|p| reader.depacketize(&p.payload).unwrap().to_vec()).collect();
            assert!(read == data, "{codec}, {len} bytes");
        }
    }
}

#[test]
fn their_payloads_are_read_by_ours() {
    let mut vp8 = Vp8Payloader::default();
    vp8.enable_picture_id = true;
    for (codec, mut payloader) in [
        (Codec::Vp8, Box::new(vp8) as Box<dyn Payloader>),
        (Codec::Vp9, Box::<Vp9Payloader>::default()),
        (Codec::H264, Box::<H264Payloader>::default()),
    ] {
        let mut assembler = FrameAssembler::new(codec);
        let mut sequence = 7;
        for (i, len) in LENGTHS.into_iter().enumerate() {
            let data = frame(codec, i == 0, len, i as u64);
            let payloads: Vec<Bytes> = payloader.payload(1_150, &data).unwrap();
            let last = payloads.len() - 1;
            let packets = payloads.into_iter().enumerate().map(|(at, payload)| OutgoingPacket {
                timestamp: RtpTimestamp(i as u32),
                marker: at == last,
                payload,
            });
            let packets = received(packets.collect(), sequence, Instant::now());
            sequence += packets.len() as u64;
            packets.into_iter().for_each(|packet| assembler.insert(packet));
            let back = assembler.pop().unwrap_or_else(|| panic!("{codec}: no frame of {len} bytes"));
            assert!(back.data == data, "{codec}, {len} bytes");
            assert_eq!(back.keyframe, i == 0, "{codec}");
        }
    }
}
