//! Pictures come out in an order that a decoder can use, or not at all.

use std::time::{Duration, Instant};

use bytes::Bytes;
use remotemedia_jitter::{VideoBufferConfig, VideoFrameBuffer};
use remotemedia_media::{Codec, EncodedFrame, RtpTimestamp};

fn frame(sequence: u64, keyframe: bool, contiguous: bool) -> EncodedFrame {
    EncodedFrame {
        codec: Codec::Vp8,
        data: Bytes::from_static(&[1; 100]),
        keyframe,
        contiguous,
        timestamp: RtpTimestamp(sequence as u32 * 3_000),
        first_sequence: sequence,
        last_sequence: sequence,
        arrival: Instant::now(),
    }
}

fn popped(buffer: &mut VideoFrameBuffer, now: Instant) -> Vec<u64> {
    std::iter::from_fn(|| buffer.pop(now)).map(|frame| frame.first_sequence).collect()
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[test]
fn frames_without_a_gap_are_released_at_once() {
    let (mut buffer, now) = (VideoFrameBuffer::new(VideoBufferConfig::default()), Instant::now());
    buffer.insert(frame(1, true, false), now);
    assert_eq!(popped(&mut buffer, now), [1]);
    buffer.insert(frame(2, false, true), now);
    // What its sender calls contiguous may have had padding in front.
    buffer.insert(frame(5, false, true), now);
    assert_eq!(popped(&mut buffer, now), [2, 5]);
    assert_eq!(buffer.next_request(), None);
}

#[test]
fn frames_out_of_order_are_put_in_order() {
    let (mut buffer, now) = (VideoFrameBuffer::new(VideoBufferConfig::default()), Instant::now());
    buffer.insert(frame(1, true, false), now);
    buffer.insert(frame(3, false, false), now);
    assert_eq!(popped(&mut buffer, now), [1]);
    buffer.insert(frame(2, false, false), now);
    assert_eq!(popped(&mut buffer, now), [2, 3]);
    buffer.insert(frame(2, false, false), now);
    assert_eq!((popped(&mut buffer, now).len(), buffer.stats().frames_late), (0, 1));
}

#[test]
fn nothing_begins_without_a_keyframe() {
    let (mut buffer, now) = (VideoFrameBuffer::new(VideoBufferConfig::default()), Instant::now());
    buffer.insert(frame(1, false, false), now);
    buffer.insert(frame(2, false, true), now);
    assert_eq!(popped(&mut buffer, now), []);
    assert!(!buffer.take_keyframe_request(now + ms(99)));
    assert!(buffer.take_keyframe_request(now + ms(100)));
    buffer.insert(frame(3, true, true), now + ms(150));
    assert_eq!(popped(&mut buffer, now + ms(150)), [3]);
    assert_eq!(buffer.stats().frames_dropped, 2);
}

#[test]
fn behind_a_gap_a_keyframe_is_asked_for_at_a_pace() {
    let (mut buffer, start) = (VideoFrameBuffer::new(VideoBufferConfig::default()), Instant::now());
    buffer.insert(frame(1, true, false), start);
    assert_eq!(popped(&mut buffer, start), [1]);
    let mut asked = Vec::new();
    for i in 0..100 {
        let now = start + ms(10 * i);
        buffer.insert(frame(3 + i, false, i > 0), now);
        assert_eq!(popped(&mut buffer, now), []);
        if buffer.take_keyframe_request(now) {
            asked.push(10 * i);
        }
    }
    assert_eq!(asked, [100, 400, 700]);
    buffer.insert(frame(103, true, true), start + ms(1_000));
    assert_eq!(popped(&mut buffer, start + ms(1_000)), [103], "the keyframe ends the wait");
    assert!(!buffer.take_keyframe_request(start + ms(5_000)));
}

#[test]
fn a_retransmission_ends_the_wait_without_a_keyframe() {
    let (mut buffer, now) = (VideoFrameBuffer::new(VideoBufferConfig::default()), Instant::now());
    buffer.insert(frame(1, true, false), now);
    popped(&mut buffer, now);
    buffer.insert(frame(3, false, false), now);
    buffer.insert(frame(2, false, false), now + ms(250));
    assert_eq!(popped(&mut buffer, now + ms(250)), [2, 3]);
    assert_eq!(buffer.next_request(), None);
}

#[test]
fn a_source_that_is_stuck_counts_as_a_gap() {
    let (mut buffer, now) = (VideoFrameBuffer::new(VideoBufferConfig::default()), Instant::now());
    buffer.insert(frame(1, true, false), now);
    popped(&mut buffer, now);
    buffer.set_source_stuck(Some(now + ms(20)));
    assert_eq!(buffer.next_request(), Some(now + ms(120)));
    buffer.set_source_stuck(None);
    assert_eq!(buffer.next_request(), None);
}

#[test]
fn a_failed_decoder_gets_a_keyframe_at_once() {
    let (mut buffer, now) = (VideoFrameBuffer::new(VideoBufferConfig::default()), Instant::now());
    buffer.insert(frame(1, true, false), now);
    popped(&mut buffer, now);
    buffer.decoder_failed(now);
    assert!(buffer.take_keyframe_request(now));
    buffer.insert(frame(2, false, true), now);
    assert_eq!(popped(&mut buffer, now), []);
    buffer.insert(frame(3, true, true), now);
    assert_eq!(popped(&mut buffer, now), [3]);
}

#[test]
fn a_full_buffer_drops_what_is_in_front_of_the_newest_keyframe() {
    let config = VideoBufferConfig { max_frames: 4, ..VideoBufferConfig::default() };
    let (mut buffer, now) = (VideoFrameBuffer::new(config), Instant::now());
    for sequence in 1..=4 {
        buffer.insert(frame(sequence, sequence == 1 || sequence == 3, true), now);
    }
    buffer.insert(frame(5, false, true), now);
    assert_eq!(popped(&mut buffer, now), [3, 4, 5]);

    // Without a keyframe in sight the oldest goes, and only a keyframe helps.
    for sequence in 7..=11 {
        buffer.insert(frame(sequence, false, true), now);
    }
    assert_eq!(popped(&mut buffer, now), []);
    assert!(buffer.len() <= 4);
    buffer.insert(frame(12, true, true), now);
    assert_eq!(popped(&mut buffer, now), [12]);

    let config = VideoBufferConfig { max_bytes: 250, ..VideoBufferConfig::default() };
    let mut buffer = VideoFrameBuffer::new(config);
    (1..=5).for_each(|sequence| buffer.insert(frame(sequence, true, true), now));
    assert_eq!(popped(&mut buffer, now), [5]);
}
