//! What the pacer promises: its rate, its bound, its order, and that nothing goes missing without being said.

use std::{
    collections::HashSet,
    time::{Duration, Instant},
};

use proptest::prelude::*;
use remotemedia_congestion::{Pacer, PacerPacket, Priority, ProbeCluster, ProbeId};
use remotemedia_media::Bitrate;

const BOUND: Duration = Duration::from_millis(100);

fn packet(item: u32, priority: Priority, size: usize, frame: u64) -> PacerPacket<u32> {
    PacerPacket { item, size, priority, frame }
}

/// Pops whenever the pacer asks to be popped; answers items with the time they left.
fn drain(pacer: &mut Pacer<u32>, now: &mut Instant) -> Vec<(u32, Instant)> {
    let mut out = Vec::new();
    loop {
        while let Some(paced) = pacer.pop(*now) {
            out.push((paced.item, *now));
        }
        let Some(due) = pacer.next_deadline() else { return out };
        assert!(due > *now, "a deadline that does not move is a busy loop");
        *now = due;
    }
}

#[test]
fn video_leaves_at_the_rate() {
    let mut now = Instant::now();
    let start = now;
    let mut pacer = Pacer::new(Bitrate::from_kbps(1_000), BOUND);
    for i in 0..8 {
        assert!(pacer.push(now, packet(i, Priority::Video, 1_250, 0)).is_empty());
    }
    let out = drain(&mut pacer, &mut now);
    assert_eq!(out.len(), 8);
    // 10 ms each; the first two within the burst.
    let last = out[7].1 - start;
    assert!((Duration::from_millis(55)..=Duration::from_millis(75)).contains(&last), "{last:?}");
}

#[test]
fn audio_never_waits_behind_video() {
    let now = Instant::now();
    let mut pacer = Pacer::new(Bitrate::from_kbps(500), BOUND);
    for i in 0..4 {
        pacer.push(now, packet(i, Priority::Video, 1_250, 0));
    }
    while pacer.pop(now).is_some() {}
    pacer.push(now, packet(99, Priority::Audio, 120, 0));
    let paced = pacer.pop(now).expect("audio leaves at once");
    assert_eq!((paced.item, paced.waited), (99, Duration::ZERO));
}

#[test]
fn retransmissions_go_before_video_and_padding_last() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(Bitrate::from_kbps(1_000), BOUND);
    pacer.push(now, packet(3, Priority::Padding, 1_000, 0));
    pacer.push(now, packet(2, Priority::Video, 1_000, 0));
    pacer.push(now, packet(1, Priority::Retransmission, 1_000, 0));
    let items: Vec<_> = drain(&mut pacer, &mut now).into_iter().map(|(item, _)| item).collect();
    assert_eq!(items, [1, 2, 3]);
}

#[test]
fn beyond_the_bound_the_oldest_frame_goes_as_a_whole() {
    let now = Instant::now();
    let mut pacer = Pacer::new(Bitrate::from_kbps(1_000), BOUND);
    let mut dropped = Vec::new();
    // 50 ms a frame: the third does not fit.
    for i in 0..15 {
        dropped.extend(pacer.push(now, packet(i, Priority::Video, 1_250, u64::from(i / 5))));
    }
    let items: Vec<_> = dropped.iter().map(|p| p.item).collect();
    assert_eq!(items, [0, 1, 2, 3, 4]);
    assert_eq!((pacer.stats().dropped_frames, pacer.stats().dropped_packets), (1, 5));
}

#[test]
fn a_frame_larger_than_the_bound_is_sent_faster_instead() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(Bitrate::from_kbps(500), BOUND);
    for i in 0..60 {
        assert!(pacer.push(now, packet(i, Priority::Video, 1_200, 7)).is_empty());
    }
    assert_eq!(drain(&mut pacer, &mut now).len(), 60);
    assert!(pacer.stats().longest_wait <= BOUND, "{:?}", pacer.stats().longest_wait);
}

#[test]
fn a_frame_that_has_begun_to_leave_is_finished() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(Bitrate::from_kbps(500), BOUND);
    let mut left = Vec::new();
    // A keyframe of 60 packets and a small frame every 33 ms: the keyframe alone takes 1.1 s at this rate.
    for frame in 0..6 {
        let packets = if frame == 0 { 60 } else { 1 };
        for i in 0..packets {
            assert!(pacer.push(now, packet(100 * frame + i, Priority::Video, 1_200, frame.into())).is_empty());
            left.extend(pacer.pop(now).map(|p| p.item));
        }
        let next = now + Duration::from_millis(33);
        while let Some(due) = pacer.next_deadline().filter(|due| *due <= next) {
            now = due;
            left.extend(pacer.pop(now).map(|p| p.item));
        }
        now = next;
    }
    left.extend(drain(&mut pacer, &mut now).into_iter().map(|(item, _)| item));
    assert_eq!(left.len(), 65);
    assert!(left.is_sorted(), "{left:?}");
}

#[test]
fn a_probe_leaves_at_its_rate_and_asks_for_padding() {
    let mut now = Instant::now();
    let mut pacer = Pacer::new(Bitrate::from_kbps(500), BOUND);
    pacer.probe(ProbeCluster { id: ProbeId(4), rate: Bitrate::from_kbps(4_000), min_packets: 5, min_bytes: 7_500 });
    pacer.push(now, packet(0, Priority::Video, 1_000, 0));
    let (start, mut bytes, mut packets) = (now, 0, 0);
    loop {
        if pacer.padding_wanted(now) > 0 {
            pacer.push(now, packet(1, Priority::Padding, 1_000, 0));
        }
        if let Some(paced) = pacer.pop(now) {
            assert_eq!(paced.probe, Some(ProbeId(4)));
            bytes += 1_000;
            packets += 1;
        } else if let Some(due) = pacer.next_deadline() {
            now = due;
        } else {
            break;
        }
    }
    assert_eq!((packets, bytes), (8, 8_000));
    let rate = 7_000.0 * 8.0 / (now - start).as_secs_f64();
    assert!((3.4e6..=4.6e6).contains(&rate), "{rate}");
    assert_eq!(pacer.padding_wanted(now), 0);
}

proptest! {
    #[test]
    fn nothing_waits_beyond_the_bound_or_goes_missing(
        kbps in 50u32..20_000,
        packets in proptest::collection::vec((0u64..40_000, 0u8..3, 40usize..1_500), 1..400),
    ) {
        let mut now = Instant::now();
        let mut pacer = Pacer::new(Bitrate::from_kbps(kbps), BOUND);
        let (mut left, mut dropped) = (HashSet::new(), HashSet::new());
        let mut take = |pacer: &mut Pacer<u32>, now: Instant| {
            while let Some(paced) = pacer.pop(now) {
                assert!(paced.waited <= BOUND + Duration::from_millis(1), "{:?}", paced.waited);
                assert!(left.insert(paced.item), "{} twice", paced.item);
            }
        };
        let count = packets.len();
        for (index, (gap, kind, size)) in packets.into_iter().enumerate() {
            let next = now + Duration::from_micros(gap);
            while let Some(due) = pacer.next_deadline().filter(|due| *due <= next) {
                now = due;
                take(&mut pacer, now);
            }
            now = next;
            let priority = [Priority::Audio, Priority::Retransmission, Priority::Video][usize::from(kind)];
            let item = u32::try_from(index).unwrap();
            for gone in pacer.push(now, packet(item, priority, size, index as u64 / 7)) {
                assert!(dropped.insert(gone.item));
            }
            take(&mut pacer, now);
        }
        while let Some(due) = pacer.next_deadline() {
            now = due;
            take(&mut pacer, now);
        }
        prop_assert_eq!(pacer.stats().dropped_packets, dropped.len() as u64);
        prop_assert_eq!(left.len() + dropped.len(), count);
        prop_assert!(left.is_disjoint(&dropped));
    }
}
