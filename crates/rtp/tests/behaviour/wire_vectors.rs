//! Payloads written by hand after the RFCs and after what browsers send, read and written.

use bytes::Bytes;
use remotemedia_media::{Codec, EncodedFrame, RtpTimestamp};
use remotemedia_rtp::{FrameAssembler, PacketizeError, Packetizer, is_keyframe, starts_keyframe};

use crate::stream::{frame, packet};

/// The frames out of payloads of one timestamp, the last with the marker.
fn assemble(codec: Codec, payloads: &[&[u8]]) -> (Vec<EncodedFrame>, FrameAssembler) {
    let mut assembler = FrameAssembler::new(codec);
    for (i, payload) in payloads.iter().enumerate() {
        assembler.insert(packet(i as u64, 0, i + 1 == payloads.len(), payload));
    }
    let frames = std::iter::from_fn(|| assembler.pop()).collect();
    (frames, assembler)
}

fn data(codec: Codec, payloads: &[&[u8]]) -> Option<Vec<u8>> {
    let (frames, _) = assemble(codec, payloads);
    assert!(frames.len() <= 1, "{frames:?}");
    frames.first().map(|frame| frame.data.to_vec())
}

const VP8_KEY: [u8; 10] = [0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 64, 0, 48, 0];

#[test]
fn vp8_descriptors_of_every_length_are_read() {
    let descriptors: [&[u8]; 8] = [
        &[0x10],                               // none but the first byte
        &[0x90, 0x80, 0x11],                   // 7-bit picture id
        &[0x90, 0x80, 0x92, 0x34],             // 15-bit picture id: Firefox, aiortc
        &[0x90, 0xe0, 0x92, 0x34, 0x05, 0x20], // with TL0PICIDX and temporal layer: Chromium
        &[0x90, 0xf0, 0x92, 0x34, 0x05, 0x2f], // and KEYIDX
        &[0x90, 0x20, 0x40],                   // temporal layer alone
        &[0x90, 0x10, 0x01],                   // KEYIDX alone
        &[0xb0, 0x00],                         // extension without content, droppable
    ];
    for descriptor in descriptors {
        let payload = [descriptor, &VP8_KEY].concat();
        let (frames, _) = assemble(Codec::Vp8, &[&payload]);
        assert_eq!(frames.len(), 1, "{descriptor:02x?}");
        assert_eq!(frames[0].data, VP8_KEY[..], "{descriptor:02x?}");
        assert!(frames[0].keyframe, "{descriptor:02x?}");
        assert!(starts_keyframe(Codec::Vp8, &Bytes::from(payload)));
        for cut in 0..=descriptor.len() {
            let (frames, assembler) = assemble(Codec::Vp8, &[&descriptor[..cut]]);
            assert!(frames.is_empty(), "{descriptor:02x?} cut to {cut}");
            assert_eq!(assembler.stats().malformed + assembler.stats().empty, 1);
        }
    }
}

#[test]
fn a_vp8_partition_is_no_frame() {
    // Partition 1 begins with S set too: as the first packet heard it must not pass for a frame.
    assert_eq!(data(Codec::Vp8, &[&[0x11, 1, 2, 3]]), None);
    assert_eq!(data(Codec::Vp8, &[&[0x10, 0x11, 2], &[0x00, 3], &[0x11, 4]]), Some(vec![0x11, 2, 3, 4]));
}

#[test]
fn vp8_payloads_written_carry_a_15_bit_picture_id() {
    let mut packetizer = Packetizer::new(Codec::Vp8, 0xffff).with_payload_limit(64).unwrap();
    let first = packetizer.packetize(&frame(Codec::Vp8, true, 100, 1), RtpTimestamp(0)).unwrap();
    assert_eq!(first[0].payload[..5], [0x90, 0x80, 0xff, 0xff, 0x10]);
    assert_eq!(first[1].payload[..4], [0x80, 0x80, 0xff, 0xff]);
    assert_eq!((first.len(), first[0].marker, first[1].marker), (2, false, true));
    let second = packetizer.packetize(&frame(Codec::Vp8, false, 30, 1), RtpTimestamp(0)).unwrap();
    assert_eq!(second[0].payload[..4], [0x90, 0x80, 0x80, 0x00], "the number wraps at 2^15");
}

/// A VP9 keyframe of 1280x720, profile 0.
const VP9_KEY: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x4f, 0xf0, 0x2c, 0xf0, 0x55];
const VP9_INTER: [u8; 3] = [0x86, 0x00, 0x40];

#[test]
fn vp9_descriptors_of_both_modes_are_read() {
    let keyframes: [&[u8]; 6] = [
        &[0x8c, 0x92, 0x34],                                           // picture id alone
        &[0x8c, 0x34],                                                 // 7-bit picture id
        &[0xac, 0x92, 0x34, 0x00, 0x07],                               // layer indices and TL0PICIDX
        &[0x9e, 0x92, 0x34, 0x10, 5, 0, 2, 0xd0],                      // flexible, structure with a size
        &[0xae, 0x92, 0x34, 0x00, 0x07, 0x18, 5, 0, 2, 0xd0, 1, 4, 1], // Chromium: size and a group of one picture
        // Three spatial layers with their sizes and a group of two: T, U and R differ.
        &[0xae, 0x92, 0x34, 0x00, 0x07, 0x58, 1, 0x40, 0, 0xb4, 2, 0x80, 1, 0x68, 5, 0, 2, 0xd0, 2, 0x08, 1, 2, 0x30],
    ];
    for descriptor in keyframes {
        let payload = [descriptor, &VP9_KEY].concat();
        let (frames, _) = assemble(Codec::Vp9, &[&payload]);
        assert_eq!(frames.len(), 1, "{descriptor:02x?}");
        assert_eq!((&frames[0].data[..], frames[0].keyframe), (&VP9_KEY[..], true), "{descriptor:02x?}");
        for cut in 0..=descriptor.len() {
            let (frames, _) = assemble(Codec::Vp9, &[&descriptor[..cut]]);
            assert!(frames.is_empty(), "{descriptor:02x?} cut to {cut}");
        }
    }
    let predicted: [&[u8]; 3] = [
        &[0xdc, 0x92, 0x35, 0x02],             // flexible, one reference
        &[0xdc, 0x92, 0x35, 0x03, 0x05, 0x06], // three references
        &[0xec, 0x92, 0x35, 0x00, 0x08],       // not flexible
    ];
    for descriptor in predicted {
        let (frames, _) = assemble(Codec::Vp9, &[&[descriptor, &VP9_INTER].concat()]);
        assert_eq!(frames.len(), 1, "{descriptor:02x?}");
        assert_eq!((&frames[0].data[..], frames[0].keyframe), (&VP9_INTER[..], false), "{descriptor:02x?}");
    }
    let four_references = [&[0xdc, 0x92, 0x35, 0x03, 0x05, 0x07, 0x08][..], &VP9_INTER].concat();
    assert_eq!(data(Codec::Vp9, &[&four_references]), None, "the format allows three");
}

#[test]
fn vp9_spatial_layers_make_one_frame() {
    let base = [&[0xac, 0x92, 0x34, 0x00, 0x07][..], &VP9_KEY].concat();
    let upper = [&[0xec, 0x92, 0x34, 0x03, 0x07][..], &VP9_INTER].concat();
    assert_eq!(data(Codec::Vp9, &[&base, &upper]), Some([&VP9_KEY[..], &VP9_INTER].concat()));
    assert_eq!(data(Codec::Vp9, &[&upper]), None, "an upper layer begins no picture");
}

#[test]
fn the_vp9_bitstream_tells_a_keyframe_where_the_sender_never_sets_p() {
    let payload = [&[0x9c, 0x92, 0x34][..], &VP9_INTER].concat();
    assert!(!starts_keyframe(Codec::Vp9, &payload.clone().into()));
    let (frames, _) = assemble(Codec::Vp9, &[&payload]);
    assert!(!frames[0].keyframe);
    assert!(is_keyframe(Codec::Vp9, &VP9_KEY) && !is_keyframe(Codec::Vp9, &VP9_INTER));
    assert!(!is_keyframe(Codec::Vp9, &[0x88]), "shows an existing frame");
}

#[test]
fn vp9_payloads_written_are_flexible_with_size_on_keyframes() {
    let mut packetizer = Packetizer::new(Codec::Vp9, 0x1234).with_payload_limit(64).unwrap();
    let mut key = VP9_KEY.to_vec();
    key.resize(100, 0x55);
    let first = packetizer.packetize(&key.into(), RtpTimestamp(0)).unwrap();
    assert_eq!(first[0].payload[..9], [0x9a, 0x92, 0x34, 0x10, 5, 0, 2, 0xd0, 0x82]);
    assert_eq!(first[1].payload[..3], [0x94, 0x92, 0x34]);
    assert_eq!((first.len(), first[0].marker, first[1].marker), (2, false, true));
    let second = packetizer.packetize(&VP9_INTER.to_vec().into(), RtpTimestamp(0)).unwrap();
    assert_eq!(second[0].payload[..], [0xdc, 0x92, 0x35, 0x02, 0x86, 0x00, 0x40]);
}

#[test]
fn vp9_keyframe_headers_of_other_profiles_give_their_size() {
    // Profile 1, 4:4:4: two bits of subsampling and a reserved one push the size by three bits.
    let mut bits = String::from("10100010") + "010010011000001101000010" + "010" + "0" + "000";
    bits += &format!("{:016b}{:016b}", 639, 359);
    let bytes: Vec<u8> = bits
        .as_bytes()
        .chunks(8)
        .map(|byte| u8::from_str_radix(&format!("{:0<8}", std::str::from_utf8(byte).unwrap()), 2).unwrap())
        .collect();
    let packets = Packetizer::new(Codec::Vp9, 0).packetize(&bytes.into(), RtpTimestamp(0)).unwrap();
    assert_eq!(packets[0].payload[..8], [0x9e, 0x80, 0, 0x10, 2, 0x80, 1, 0x68]);
}

const SPS: [u8; 4] = [0x67, 0x42, 0xe0, 0x1f];
const PPS: [u8; 3] = [0x68, 0xce, 0x3c];
const START: [u8; 4] = [0, 0, 0, 1];

#[test]
fn h264_units_come_single_aggregated_and_in_fragments() {
    let stap: &[u8] = &[0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 3, 0x68, 0xce, 0x3c];
    let fragments: [&[u8]; 3] = [&[0x7c, 0x85, 0x88, 1], &[0x7c, 0x05, 2], &[0x7c, 0x45, 3, 4]];
    let expected = [&START[..], &SPS, &START, &PPS, &START, &[0x65, 0x88, 1, 2, 3, 4]].concat();
    let (frames, _) = assemble(Codec::H264, &[stap, fragments[0], fragments[1], fragments[2]]);
    assert_eq!((&frames[0].data[..], frames[0].keyframe), (&expected[..], true));
    assert!(starts_keyframe(Codec::H264, &Bytes::copy_from_slice(stap)));

    let single = [&START[..], &[0x41, 0x9a, 7]].concat();
    assert_eq!(data(Codec::H264, &[&[0x41, 0x9a, 7]]), Some(single));
}

#[test]
fn h264_oddities_are_taken_as_they_are_meant() {
    let unit = [&START[..], &[0x65, 0x88, 1]].concat();
    assert_eq!(data(Codec::H264, &[&[0x7c, 0xc5, 0x88, 1]]), Some(unit.clone()), "start and end in one fragment");
    assert_eq!(data(Codec::H264, &[&[0x7c, 0x85, 0x88], &[0x7c, 0x45, 1]]), Some(unit.clone()));
    assert_eq!(data(Codec::H264, &[&[0x7c, 0x85, 0x88, 1], &[0x7c, 0x45]]), Some(unit.clone()), "an empty fragment");
    assert_eq!(data(Codec::H264, &[&[0x78, 0, 0, 0, 3, 0x65, 0x88, 1, 0, 0]]), Some(unit.clone()), "empty units");
    assert_eq!(data(Codec::H264, &[&[0x65, 0x88, 1], &[0x09]]), Some(unit.clone()), "a unit of a header alone");
    assert_eq!(data(Codec::H264, &[&[0x65, 0x88, 1], &[0x1f, 0x66]]), Some(unit), "a type that is ignored");
}

#[test]
fn h264_payloads_that_break_the_format_spoil_their_frame() {
    let slice: &[u8] = &[0x65, 0x88, 1];
    let broken: [&[u8]; 7] = [
        &[0x78, 0, 9, 0x67],    // a length beyond the end
        &[0x78, 0],             // half a length
        &[0x78, 0, 1, 0x67, 0], // half a length behind a unit
        &[0x7c],                // no fragment header
        &[0x7c, 0x05, 1],       // a fragment without a beginning
        &[0x7d, 0x85, 0, 0, 1], // FU-B
        &[0x79, 0, 0, 0, 1, 1], // STAP-B
    ];
    for payload in broken {
        let (frames, assembler) = assemble(Codec::H264, &[slice, payload]);
        assert!(frames.is_empty(), "{payload:02x?}");
        assert_eq!(assembler.stats().packets_given_up, 2, "{payload:02x?}");
    }
}

#[test]
fn h264_payloads_written_aggregate_parameter_sets_and_leave_out_padding() {
    let delimiter: &[u8] = &[0, 0, 0, 1, 0x09, 0xf0];
    let filler: &[u8] = &[0, 0, 1, 0x0c, 0xff, 0xff, 0x80];
    let mut idr = vec![0x65, 0x88];
    idr.resize(150, 0x55);
    // Three-byte start codes, padding zeros before and behind, an empty unit.
    let unit = [delimiter, &START, &SPS, &[0, 0], &START, &PPS, &[0, 0, 1], &[0, 0, 1], &idr, filler, &[0, 0]].concat();
    let mut packetizer = Packetizer::new(Codec::H264, 0).with_payload_limit(64).unwrap();
    let packets = packetizer.packetize(&unit.into(), RtpTimestamp(0)).unwrap();
    assert_eq!(packets[0].payload[..], [0x78, 0, 4, 0x67, 0x42, 0xe0, 0x1f, 0, 3, 0x68, 0xce, 0x3c]);
    let heads: Vec<_> = packets[1..].iter().map(|p| (p.payload[0], p.payload[1], p.payload.len(), p.marker)).collect();
    assert_eq!(heads, [(0x7c, 0x85, 52, false), (0x7c, 0x05, 52, false), (0x7c, 0x45, 51, true)]);
}

#[test]
fn a_single_h264_unit_is_not_copied() {
    let unit = frame(Codec::H264, false, 500, 0);
    let packets = Packetizer::new(Codec::H264, 0).packetize(&unit, RtpTimestamp(0)).unwrap();
    assert_eq!(packets.len(), 1);
    assert_eq!(packets[0].payload.as_ptr(), unit[4..].as_ptr());
}

#[test]
fn frames_that_cannot_be_sent_are_refused_with_the_reason() {
    let cut = |codec, bytes: &'static [u8]| {
        Packetizer::new(codec, 0).packetize(&Bytes::from_static(bytes), RtpTimestamp(0)).map(|packets| packets.len())
    };
    assert_eq!(cut(Codec::Vp8, b""), Err(PacketizeError::Empty { codec: Codec::Vp8 }));
    assert_eq!(cut(Codec::H264, b"\0\0\x01\x09\xf0"), Err(PacketizeError::Empty { codec: Codec::H264 }));
    assert_eq!(cut(Codec::H264, b"\0\0\0\x05\x65\x88\x80\x10\x10"), Err(PacketizeError::NoStartCode));
    assert_eq!(cut(Codec::Opus, &[0x78; 1_371]), Err(PacketizeError::OpusTooLong { bytes: 1_371 }));
    assert_eq!(
        Packetizer::new(Codec::Vp8, 0).with_payload_limit(63).map(|_| ()),
        Err(PacketizeError::PayloadLimit { bytes: 63 })
    );
}

#[test]
fn the_marker_of_opus_opens_each_talk_spurt() {
    let mut packetizer = Packetizer::new(Codec::Opus, 0);
    let voice = Bytes::from_static(&[0x78, 1, 2, 3]);
    let mut marker = |timestamp| packetizer.packetize(&voice, RtpTimestamp(timestamp)).unwrap()[0].marker;
    assert!(marker(u32::MAX - 959));
    assert!(!marker(0), "20 ms later, over the wrap");
    assert!(!marker(960));
    assert!(marker(960 * 20), "after silence");
    assert!(!marker(960 * 21));
}
