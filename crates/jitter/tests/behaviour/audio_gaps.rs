//! Pauses, late packets, jumps and other things that are not sound.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::prelude::*;
use remotemedia_jitter::{
    AudioPacket, AudioPlayout, PacketDecoder, PlayoutConfig, PlayoutConfigError, Pulled, UndecodablePacket,
};
use remotemedia_media::RtpTimestamp;

/// Decodes its first byte as level of 20 ms; conceals with minus that.
#[derive(Default)]
struct Level {
    last: f32,
}

impl PacketDecoder for Level {
    fn decode(&mut self, payload: &[u8], out: &mut Vec<f32>) -> Result<(), UndecodablePacket> {
        if payload[0] == 0xff {
            return Err(UndecodablePacket);
        }
        self.last = f32::from(payload[0]) / 100.0;
        out.extend([self.last; 960]);
        Ok(())
    }

    fn conceal(&mut self, samples: usize, out: &mut Vec<f32>) {
        out.extend(std::iter::repeat_n(-self.last, samples));
    }

    fn can_recover(&self, _next: &[u8]) -> bool {
        false
    }

    fn recover(&mut self, _next: &[u8], _samples: usize, _out: &mut Vec<f32>) -> bool {
        false
    }
}

struct Stage {
    playout: AudioPlayout<Level>,
    start: Instant,
    now: Instant,
}

impl Stage {
    fn new() -> Self {
        let config = PlayoutConfig { start: Duration::ZERO, ..PlayoutConfig::opus(1) };
        let start = Instant::now();
        // Pulls are 5 ms behind the arrivals, which is delay enough.
        let now = start + Duration::from_millis(5);
        Self { playout: AudioPlayout::new(config, Level::default()).expect("legal"), start, now }
    }

    /// Inserts packet `sequence`, sent at `sent` ms and arriving at `arrival` ms.
    fn insert(&mut self, sequence: u64, sent: u32, arrival: u64, payload: &'static [u8]) {
        self.playout.insert(AudioPacket {
            sequence,
            timestamp: RtpTimestamp(sent * 48),
            payload: Bytes::from_static(payload),
            arrival: self.start + Duration::from_millis(arrival),
        });
    }

    /// Pulls 10 ms and answers the middle sample and what the pull said.
    fn pull(&mut self) -> (f32, Pulled) {
        let mut out = [9.0; 480];
        let pulled = self.playout.pull(self.now, &mut out);
        self.now += Duration::from_millis(10);
        (out[240], pulled)
    }

    fn levels(&mut self, pulls: usize) -> Vec<f32> {
        (0..pulls).map(|_| (self.pull().0 * 100.0).round()).collect()
    }
}

#[test]
fn before_the_first_packet_there_is_silence_that_counts_for_nothing() {
    let mut stage = Stage::new();
    assert_eq!(stage.levels(3), [0.0; 3]);
    assert_eq!(stage.pull().1, Pulled::default());
    assert_eq!(stage.playout.stats(), Default::default());
}

#[test]
fn samples_come_with_their_media_time() {
    let mut stage = Stage::new();
    stage.insert(1, 1_000, 0, &[50]);
    stage.insert(2, 1_020, 0, &[60]);
    let times: Vec<_> = (0..4).map(|_| stage.pull().1.timestamp.map(|t| t.0 / 48)).collect();
    assert_eq!(times, [Some(1_000), Some(1_010), Some(1_020), Some(1_030)]);
}

#[test]
fn a_pause_of_the_sender_is_comfort_and_no_loss() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    assert_eq!(stage.levels(2), [50.0, 50.0]);
    assert_eq!(stage.levels(38), [-50.0; 38], "nothing comes for 380 ms");
    stage.insert(2, 400, 400, &[60]);
    assert_eq!(stage.levels(2), [60.0, 60.0]);
    let stats = stage.playout.stats();
    assert_eq!((stats.concealed_samples, stats.concealment_events, stats.packets_lost), (0, 0, 0));
    assert_eq!(stats.comfort_samples, 38 * 480);
}

#[test]
fn a_pause_of_the_sender_of_seconds_is_no_loss_either_once_its_end_tells() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.levels(2 + 298);
    let stats = stage.playout.stats();
    assert_eq!((stats.concealed_samples, stats.concealment_events), (298 * 480, 1), "nothing tells yet");
    assert!(stats.silent_concealed_samples > 0);
    stage.insert(2, 3_000, 3_000, &[60]);
    assert_eq!(stage.levels(2), [60.0, 60.0]);
    let stats = stage.playout.stats();
    assert_eq!((stats.concealed_samples, stats.silent_concealed_samples), (0, 0));
    assert_eq!((stats.concealment_events, stats.packets_lost), (0, 0));
    assert_eq!(stats.comfort_samples, 298 * 480);
    // What is lost after it counts anew.
    assert_eq!(stage.levels(2), [-60.0, -60.0]);
    stage.insert(4, 3_040, 3_040, &[60]);
    assert_eq!(stage.levels(2), [60.0, 60.0]);
    let stats = stage.playout.stats();
    assert_eq!((stats.concealed_samples, stats.concealment_events, stats.packets_lost), (960, 1, 1));
}

#[test]
fn what_is_made_up_fades_out_when_nothing_comes_any_more_and_sound_comes_back_at_once() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.levels(2);
    let made_up = stage.levels(300);
    assert!(made_up[..99].iter().all(|level| *level == -50.0), "{made_up:?}");
    assert!(made_up[..160].is_sorted(), "{made_up:?}");
    assert!(made_up[152..].iter().all(|level| *level == 0.0), "{made_up:?}");
    assert!(made_up.windows(2).all(|two| two[1] - two[0] <= 2.0), "no step: {made_up:?}");
    stage.insert(2, 3_020, 3_020, &[60]);
    assert_eq!(stage.levels(2), [60.0, 60.0]);
}

#[test]
fn after_an_outage_nothing_is_made_up_in_front_of_what_comes_again() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.levels(302);
    for (sequence, sent) in (152..160).zip((3_020..).step_by(20)) {
        stage.insert(sequence, sent, u64::from(sent), &[60]);
    }
    let levels = stage.levels(16);
    assert!(levels.iter().all(|level| *level >= 0.0), "{levels:?}");
    assert!(levels.contains(&60.0), "{levels:?}");
}

#[test]
fn a_missing_packet_is_concealed_and_counted() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.insert(3, 40, 0, &[60]);
    stage.insert(4, 60, 0, &[60]);
    assert_eq!(stage.levels(6), [50.0, 50.0, -50.0, -50.0, 60.0, 60.0]);
    stage.insert(2, 20, 60, &[55]);
    let stats = stage.playout.stats();
    assert_eq!((stats.concealed_samples, stats.concealment_events), (960, 1));
    assert_eq!((stats.packets_lost, stats.packets_discarded), (1, 1), "when it came it was too late");
    assert_eq!(stats.silent_concealed_samples, 0);
}

#[test]
fn a_packet_that_comes_late_with_nothing_behind_it_still_plays() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    assert_eq!(stage.levels(5), [50.0, 50.0, -50.0, -50.0, -50.0]);
    stage.insert(2, 20, 50, &[60]);
    stage.insert(3, 40, 50, &[70]);
    assert_eq!(stage.levels(4), [60.0, 60.0, 70.0, 70.0]);
    let stats = stage.playout.stats();
    assert_eq!((stats.concealed_samples, stats.packets_lost, stats.packets_discarded), (3 * 480, 0, 0));
}

#[test]
fn what_was_concealed_while_waiting_stands_for_what_was_lost() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    assert_eq!(stage.levels(4), [50.0, 50.0, -50.0, -50.0]);
    // Packet 2 is lost; the third comes on time and is not delayed by it.
    stage.insert(3, 40, 40, &[60]);
    assert_eq!(stage.levels(2), [60.0, 60.0]);
    assert_eq!(stage.playout.stats().concealed_samples, 960);
    assert_eq!(stage.playout.stats().packets_lost, 1);
}

#[test]
fn a_long_outage_counts_as_concealment_even_if_nothing_ends_it() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.levels(150);
    let stats = stage.playout.stats();
    assert!(stats.concealed_samples >= 48_000, "{}", stats.concealed_samples);
    assert_eq!(stats.concealment_events, 1);
}

#[test]
fn padding_is_neither_sound_nor_loss() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.insert(2, 0, 0, &[]);
    stage.insert(3, 20, 0, &[60]);
    assert_eq!(stage.levels(4), [50.0, 50.0, 60.0, 60.0]);
    let stats = stage.playout.stats();
    assert_eq!((stats.packets_lost, stats.concealed_samples), (0, 0));
}

#[test]
fn an_undecodable_packet_is_concealed() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.insert(2, 20, 0, &[0xff]);
    stage.insert(3, 40, 0, &[60]);
    assert_eq!(stage.levels(6), [50.0, 50.0, -50.0, -50.0, 60.0, 60.0]);
    assert_eq!(stage.playout.stats().packets_undecodable, 1);
}

#[test]
fn a_jump_of_the_timestamp_begins_anew() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    assert_eq!(stage.levels(2), [50.0, 50.0]);
    stage.insert(2, 9_000_000, 20, &[60]);
    stage.insert(3, 9_000_020, 20, &[70]);
    assert_eq!(stage.levels(4), [60.0, 60.0, 70.0, 70.0]);
    let stats = stage.playout.stats();
    assert_eq!((stats.resets, stats.packets_lost, stats.concealed_samples), (1, 0, 0));
}

#[test]
fn packets_from_before_a_jump_are_not_taken_for_later_ones() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.levels(2);
    stage.insert(3, 9_000_000, 20, &[60]);
    stage.insert(2, 20, 20, &[55]);
    stage.insert(4, 9_000_020, 20, &[70]);
    assert_eq!(stage.levels(4), [60.0, 60.0, 70.0, 70.0]);
    assert_eq!(stage.playout.stats().packets_discarded, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_nothing_panics_and_samples_are_finite(
        packets in prop::collection::vec(
            (0_u64..60, prop_oneof![0_u32..60 * 960, any::<u32>()], 0_u64..3_000, 0_u8..=255, 0_usize..3),
            1..200,
        ),
        pull in 1_usize..2_000,
    ) {
        let start = Instant::now();
        let mut playout = AudioPlayout::new(PlayoutConfig::opus(2), Level::default()).unwrap();
        let mut out = vec![0.0; pull];
        for (i, (sequence, timestamp, arrival, level, len)) in packets.into_iter().enumerate() {
            let sequence = if i % 50 == 49 { u64::MAX - sequence } else { sequence };
            playout.insert(AudioPacket {
                sequence,
                timestamp: RtpTimestamp(timestamp),
                payload: vec![level; len].into(),
                arrival: start + Duration::from_millis(arrival),
            });
            out.fill(f32::NAN);
            playout.pull(start + Duration::from_millis(i as u64 * 7), &mut out);
            prop_assert!(out.iter().all(|sample| sample.abs() <= 3.0), "{:?}", out);
        }
        let stats = playout.stats();
        prop_assert!(stats.concealed_samples >= stats.silent_concealed_samples);
    }
}

#[test]
fn duplicates_are_counted_and_ignored() {
    let mut stage = Stage::new();
    stage.insert(1, 0, 0, &[50]);
    stage.insert(1, 0, 0, &[50]);
    assert_eq!((stage.playout.stats().packets_duplicated, stage.playout.waiting_packets()), (1, 1));
}

#[test]
fn a_flood_is_bounded() {
    let mut stage = Stage::new();
    for sequence in 0..5_000 {
        stage.insert(sequence, sequence as u32 * 20, 0, &[50]);
        assert!(stage.playout.waiting_packets() <= 512);
    }
    assert!(stage.pull().1.timestamp.is_some());
}

#[test]
fn values_out_of_range_are_refused_by_name() {
    let refuse = |config| AudioPlayout::new(config, Level::default()).map(|_| ()).unwrap_err();
    let opus = PlayoutConfig::opus(2);
    assert_eq!(
        refuse(PlayoutConfig { sample_rate: 0, ..opus }),
        PlayoutConfigError::Rate { field: "sample_rate", hertz: 0 }
    );
    assert_eq!(refuse(PlayoutConfig { channels: 0, ..opus }), PlayoutConfigError::Channels { channels: 0 });
    let (min, max) = (Duration::from_millis(600), Duration::from_millis(500));
    assert_eq!(refuse(PlayoutConfig { min, ..opus }), PlayoutConfigError::Bounds { min, max });
}
