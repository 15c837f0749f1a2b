//! An agent that speaks is interrupted by a caller who begins to speak.

use std::{sync::Arc, time::Duration};

use remotemedia_codecs::test_media::Speech;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{data::RuntimeData, manifest::Manifest};
use remotemedia_webrtc::{AudioFrame, Route, Target, TransportEvent};
use tokio::time::{Instant, sleep};

use crate::world::World;

const EARS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/voice_agent.yaml");
const ROUNDS: u64 = 80;
const FRAME: usize = 960;

/// From the first sample of the caller's speech, as it is handed to the transport, to the last of the agent's that leaves.
fn from_onset_to_silence(seed: u64) -> Duration {
    run_virtual(seed, move |network| async move {
        let world = World::clean(network);
        let (agent, caller) = (world.join("agent").await, world.join("caller").await);
        let _ears = agent.attach(Arc::new(Manifest::from_file(EARS).unwrap()), Route::from_all()).await.unwrap();
        let mut events = agent.events();
        caller.connect_peer("agent").await.unwrap();
        let speaker = agent.speaker(Target::peer("caller").unwrap()).unwrap();
        let answer = Speech::new(seed + 1_000, 48_000).samples(48_000 * 20);
        speaker.play(AudioFrame::new(answer, 48_000, 1).unwrap()).await;

        // The phase of the onset within a frame, and of the frames to those of the playout, differ from round to round.
        let silence = Duration::from_micros(1_500_000 + 1_700 * seed);
        let mouth = caller.clone();
        let talking = tokio::spawn(async move {
            let begin = Instant::now() + silence;
            let mut voice = Speech::new(seed, 48_000);
            // The generator may begin with a pause, which is none of the detector's delay.
            let mut first = Vec::new();
            while first.is_empty() {
                let samples = voice.samples(48);
                if samples.iter().any(|sample| sample.abs() > 0.02) {
                    first = samples;
                }
            }
            let mut onset = None;
            let mut room = Room(seed as u32 + 1);
            loop {
                let speaks = Instant::now() >= begin;
                let samples = match (speaks, onset) {
                    (false, _) => vec![0.0; FRAME],
                    (true, None) => {
                        onset = Some(Instant::now());
                        let mut samples = std::mem::take(&mut first);
                        samples.extend(voice.samples(FRAME - samples.len()));
                        samples
                    }
                    (true, Some(_)) => voice.samples(FRAME),
                };
                // A room is never as still as zeros: -70 dBFS.
                let samples: Vec<f32> = samples.into_iter().map(|sample| sample + room.next_noise()).collect();
                let frame = RuntimeData::from(AudioFrame::new(samples, 48_000, 1).unwrap());
                mouth.send_to_peer("agent", &frame).await.unwrap();
                if let Some(onset) = onset.filter(|onset: &Instant| onset.elapsed() > Duration::from_secs(2)) {
                    return onset;
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        loop {
            match events.next().await.expect("the agent runs") {
                TransportEvent::PipelineControl { message, .. } if &*message.message_type == "speech_start" => break,
                _ => {}
            }
        }
        assert!(speaker.queued() > Duration::from_secs(10), "it was interrupted in the middle");
        // Flushed at the first poll; a frame that fades out and two of silence leave with it.
        let silent = Instant::now();
        let heard = speaker.interrupt().await.heard("caller");
        assert!(heard > Duration::from_secs(1), "{heard:?}");
        silent - talking.await.unwrap()
    })
}

/// White noise.
struct Room(u32);

impl Room {
    fn next_noise(&mut self) -> f32 {
        self.0 = self.0.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (self.0 as f32 / u32::MAX as f32 - 0.5) * 0.001
    }
}

#[test]
fn the_agent_falls_silent_within_a_quarter_of_a_second() {
    let mut delays: Vec<Duration> = (0..ROUNDS).map(from_onset_to_silence).collect();
    delays.sort();
    let p = |share: usize| delays[delays.len() * share / 100];
    println!("from onset to silence: p50 {:.0?}, p95 {:.0?}, worst {:.0?}", p(50), p(95), delays[delays.len() - 1]);
    assert!(p(95) <= Duration::from_millis(250), "{delays:?}");
}
