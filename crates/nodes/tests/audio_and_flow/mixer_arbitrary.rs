use proptest::prelude::*;
use remotemedia_nodes::audio::{AudioMixer, MixMode, MixerConfig};
use remotemedia_runtime_core::{
    data::{AudioFrame, ControlMessage, RuntimeData},
    node::process_once,
};
use std::time::Duration;

#[derive(Clone, Debug)]
enum Event {
    Frame { sender: u8, rate: u32, channels: u16, length: usize, timestamp: Option<u64>, value: f32 },
    Left(u8),
    Ended(u8),
}

fn event() -> impl Strategy<Value = Event> {
    let rate = prop_oneof![Just(48_000u32), Just(44_100), Just(8_000), Just(16_000), 8_000..=192_000u32];
    let value = prop_oneof![-2.0..2.0f32, Just(f32::NAN), Just(f32::MAX)];
    let frame = (0..8u8, rate, 1..=8u16, 0..3_000usize, proptest::option::of(0..20_000u64), value).prop_map(
        |(sender, rate, channels, length, timestamp, value)| Event::Frame {
            sender,
            rate,
            channels,
            length,
            timestamp,
            value,
        },
    );
    prop_oneof![20 => frame, 1 => (0..8u8).prop_map(Event::Left), 1 => (0..8u8).prop_map(Event::Ended)]
}

fn config() -> impl Strategy<Value = MixerConfig> {
    let mode = prop_oneof![Just(MixMode::Sum), Just(MixMode::Average), Just(MixMode::Maximum)];
    let rate = prop_oneof![Just(48_000u32), Just(16_000)];
    (mode, any::<bool>(), rate, 1..=2u16, prop_oneof![Just(10u32), Just(20)], 0..=180u64).prop_map(
        |(mode, mix_minus, sample_rate, channels, frame_ms, wait)| MixerConfig {
            mode,
            mix_minus,
            sample_rate,
            channels,
            frame_ms,
            max_wait: Duration::from_millis(wait),
            ..MixerConfig::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_order_of_any_frames_gives_a_steady_stream_no_longer_than_what_came(
        config in config(),
        events in proptest::collection::vec(event(), 1..80),
    ) {
        let mut mixer = AudioMixer::new(config.clone());
        let mut came = Duration::ZERO;
        // The mix runs from the first input on, but nobody gets it before there is somebody to get it.
        let mut next: Option<Duration> = None;
        for event in events {
            let input: RuntimeData = match event {
                Event::Frame { sender, rate, channels, length, timestamp, value } => {
                    let samples = vec![value; length * usize::from(channels)];
                    let mut frame = AudioFrame::new(samples, rate, channels).unwrap();
                    frame.timestamp = timestamp.map(Duration::from_millis);
                    frame.source = (sender != 0).then(|| format!("p{sender}").parse().unwrap());
                    came += frame.duration();
                    frame.into()
                }
                Event::Left(peer) => message("peer_left", peer),
                Event::Ended(peer) => message("stream_ended", peer),
            };
            for output in process_once(&mut mixer, input).unwrap() {
                let Some(frame) = output.as_audio() else { continue };
                prop_assert!(frame.samples().iter().all(|sample| sample.abs() <= 1.0));
                prop_assert_eq!(frame.duration(), Duration::from_millis(config.frame_ms.into()));
                let timestamp = frame.timestamp.unwrap();
                // Mixes of several peers share their time.
                let end = timestamp + frame.duration();
                let follows = next.is_none_or(|next| timestamp == next || end == next);
                prop_assert!(follows, "{:?} after {:?}", timestamp, next);
                next = Some(end);
                // A resampler may round up to a block at each beginning of a stretch.
                prop_assert!(end <= came + config.max_wait + Duration::from_millis(1), "{:?} of {:?}", end, came);
            }
        }
    }
}

fn message(kind: &str, peer: u8) -> RuntimeData {
    ControlMessage::new(kind).with_payload(serde_json::json!({ "peer": format!("p{peer}") })).into()
}
