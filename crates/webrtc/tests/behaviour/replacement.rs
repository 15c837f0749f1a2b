//! An attached pipeline is replaced in the middle of a call.

use std::{sync::Arc, time::Duration};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{data::RuntimeData, manifest::Manifest, node::NodeRegistry};
use remotemedia_webrtc::{
    AudioCodec, AudioFrame, DataChannelMessage, Route, WebRtcError, WebRtcTransport, WebRtcTransportConfig,
};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep, sleep_until},
};

use crate::{
    shared_routes::ask,
    world::{PICTURE, World, clip, level, listen, picture, watch},
};

/// Samples of 20 ms.
const FRAME: usize = 960;

fn manifest(text: &str) -> Arc<Manifest> {
    Arc::new(Manifest::from_yaml(text).unwrap())
}

fn text(payload: &str) -> DataChannelMessage {
    DataChannelMessage::Text { payload: payload.into() }
}

/// Sound as Opus carries it with the least roughness of its own.
fn transparent(config: &mut WebRtcTransportConfig) {
    config.audio_codec = AudioCodec::Opus { sample_rate: 48_000, channels: 1, bitrate_kbps: 510, complexity: 10 };
}

const LOUD: f32 = 0.4;
const QUIET: f32 = 0.1;

/// One sample of the tone at full loudness. Single precision would make it rough after some seconds.
fn tone_at(n: usize) -> f32 {
    (n as f64 * 440.0 * std::f64::consts::TAU / 48_000.0).sin() as f32
}

/// Fifteen seconds of the tone, now loud, now quiet, but without a step: what is joined leans over to what follows for ten
/// milliseconds. What is heard of it shows how rough Opus makes such sound.
fn changes_without_a_step() -> Vec<f32> {
    // No multiple of a period or of a frame, so that every phase is met.
    const PIECE: usize = 4_870;
    const LEAN: usize = 480;
    let (mut samples, mut offset): (Vec<f32>, f32) = (Vec::new(), 0.0);
    for n in 0..48_000 * 15 {
        let sample = tone_at(n) * if (n / PIECE).is_multiple_of(2) { LOUD } else { QUIET };
        let into = n % PIECE;
        if into == 0 {
            offset = samples.last().map_or(0.0, |last| last - sample);
        }
        let share = 0.5 + 0.5 * (std::f32::consts::PI * into.min(LEAN) as f32 / LEAN as f32).cos();
        samples.push(sample + offset * share);
    }
    samples
}

/// Sends the bot `sound` in real time.
fn play(sender: &WebRtcTransport, sound: Vec<f32>) -> JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        let begin = Instant::now();
        for (number, frame) in sound.chunks_exact(FRAME).enumerate() {
            sleep_until(begin + Duration::from_millis(20) * number as u32).await;
            let frame = AudioFrame::new(frame, 48_000, 1).unwrap();
            sender.send_to_peer("bot", &RuntimeData::from(frame)).await.unwrap();
        }
    })
}

/// Shows the bot so many numbered pictures.
fn show(sender: &WebRtcTransport, pictures: u16) -> JoinHandle<()> {
    let (sender, clip) = (sender.clone(), clip());
    tokio::spawn(async move {
        for number in 0..pictures {
            sender.send_to_peer("bot", &RuntimeData::from(picture(&clip, number))).await.unwrap();
            sleep(PICTURE).await;
        }
    })
}

/// The largest difference between two neighbouring samples.
fn largest_step(samples: &[f32]) -> f32 {
    samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

/// How many periods the tone is at most away, in a frame, from where the one before it leads. A frame is 8.8 periods: where
/// one is missing the tone slips by a fifth of a period.
fn largest_slip(samples: &[f32]) -> f64 {
    let period = 48_000.0 / 440.0;
    let phase = |(number, frame): (usize, &[f32])| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in frame.iter().enumerate() {
            let angle = std::f64::consts::TAU * (number * FRAME + n) as f64 / period;
            re += f64::from(*sample) * angle.cos();
            im += f64::from(*sample) * angle.sin();
        }
        im.atan2(re) / std::f64::consts::TAU
    };
    let phases: Vec<f64> = samples.chunks_exact(FRAME).enumerate().map(phase).collect();
    let slip = |pair: &[f64]| (pair[1] - pair[0] - (pair[1] - pair[0]).round()).abs();
    phases.windows(2).map(slip).fold(0.0, f64::max)
}

#[test]
fn a_hundred_replacements_in_a_call_lose_nothing_and_forget_nothing_and_make_no_click() {
    run_virtual(331, |network| async move {
        let world = World::clean(network);
        let bot = world.join_in("bot", transparent, |environment| environment.nodes = Some(with_counter())).await;
        let alice = world.join_with("alice", transparent).await;
        let loud = manifest(
            "pipeline: { nodes: [{ id: c, type: Count }, { id: e, type: Echo }], graph: [{ from: input, to: c }, { from: c, to: e }, { from: e, to: output }] }",
        );
        let quiet = manifest(
            "pipeline: { nodes: [{ id: c, type: Count }, { id: down, type: Gain, params: { linear: 0.25 } }], graph: [{ from: input, to: c }, { from: c, to: down }, { from: down, to: output }] }",
        );
        let route = Route::from_peers(["alice"]).unwrap().with_messages();
        let attachment = bot.attach(Arc::clone(&loud), route).await.unwrap();
        let carol = world.join_with("carol", transparent).await;
        let _untouched = bot.attach(Arc::clone(&loud), Route::from_peers(["carol"]).unwrap()).await.unwrap();
        for peer in [&alice, &carol] {
            peer.connect_peer("bot").await.unwrap();
        }
        let end = Instant::now() + Duration::from_secs(15);
        play(&alice, (0..48_000 * 15).map(|n| LOUD * tone_at(n)).collect());
        let changes = changes_without_a_step();
        assert!(largest_step(&changes) <= LOUD * largest_step(&[0.0, tone_at(1)]) * 1.05);
        play(&carol, changes);
        let rough = tokio::spawn(async move {
            // Neither the beginning nor the end of the sound.
            listen(&carol, "bot", end - Duration::from_secs(13)).await;
            listen(&carol, "bot", end - Duration::from_millis(500)).await
        });
        let showing = show(&alice, 350);
        let watcher = alice.clone();
        let seen = tokio::spawn(async move { watch(&watcher, "bot", end).await });
        listen(&alice, "bot", Instant::now() + Duration::from_secs(2)).await;
        let calm = listen(&alice, "bot", Instant::now() + Duration::from_secs(1)).await;
        let listener = alice.clone();
        let heard = tokio::spawn(async move { listen(&listener, "bot", end - Duration::from_millis(500)).await });
        for round in 1..=100 {
            // With the way there and back, a hundredth of a second at a time further into a frame and a picture.
            sleep(Duration::from_millis(61)).await;
            let next = if round % 2 == 0 { &loud } else { &quiet };
            attachment.replace(Arc::clone(next)).await.unwrap();
            assert_eq!(ask(&alice, "text").await, text(&format!("text {round}")));
        }
        let metrics = attachment.metrics("alice").unwrap();
        assert_eq!((metrics.audio_frames_dropped, metrics.video_frames_dropped), (0, 0));
        assert!(Instant::now() < end - Duration::from_secs(1), "all of it is looked at");
        showing.await.unwrap();
        let (heard, rough) = (heard.await.unwrap(), rough.await.unwrap());

        let numbers: Vec<u16> = seen.await.unwrap().into_iter().map(|(number, ..)| number).collect();
        let first = numbers[0];
        assert!(first < 30, "the first picture that came back was number {first}");
        assert_eq!(numbers, (first..350).collect::<Vec<_>>());
        let (slip, own_slip) = (largest_slip(&heard), largest_slip(&calm));
        println!("largest slip: {slip:.3} periods; without replacements {own_slip:.3}");
        assert!(own_slip < 0.05 && slip < 0.1, "a piece of the sound is missing: it slips by {slip} periods");
        let [step, own, rough] = [&heard, &calm, &rough].map(|samples| largest_step(samples));
        println!("largest step: {step:.4}; of the tone alone {own:.4}; of changes without a step {rough:.4}");
        assert!(step <= rough * 1.05, "{step} instead of {rough}");
        let quietest = heard.chunks_exact(480).map(level).fold(f32::MAX, f32::min);
        assert!(quietest < QUIET, "the quiet pipeline was heard: {quietest}");
    });
}

#[test]
fn the_pipeline_of_one_peer_is_replaced() {
    run_virtual(303, |network| async move {
        let world = World::clean(network);
        let bot = world.join("bot").await;
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let one = manifest("pipeline: { nodes: [{ id: e, type: Echo }] }");
        let attachment = bot.attach(Arc::clone(&one), Route::from_all().with_messages()).await.unwrap();
        for peer in [&alice, &bob] {
            peer.connect_peer("bot").await.unwrap();
            assert_eq!(ask(peer, "hello").await, text("hello"));
        }
        let two = manifest(
            "pipeline: { nodes: [{ id: p, type: PassThrough }, { id: q, type: Echo }], graph: [{ from: input, to: p }, { from: p, to: q }, { from: q, to: output }] }",
        );
        attachment.replace_for("alice", Arc::clone(&two)).await.unwrap();
        assert_eq!(attachment.metrics("alice").unwrap().nodes.len(), 2);
        assert_eq!(attachment.metrics("bob").unwrap().nodes.len(), 1);
        assert!(Arc::ptr_eq(&attachment.manifest("bob").unwrap(), &one));
        let unknown = attachment.replace_for("nobody", two).await;
        assert!(matches!(unknown, Err(WebRtcError::PeerNotFound(name)) if name == "nobody"));
        attachment.detach().await;
    });
}

/// A registry with a node that numbers the texts that it sees.
fn with_counter() -> Arc<NodeRegistry> {
    let mut registry = NodeRegistry::with_builtin();
    let mut count = 0;
    registry.register_fn("Count", move |input, out| {
        match input.as_text() {
            Some(text) => {
                count += 1;
                out.emit(format!("{text} {count}"));
            }
            None => out.emit(input),
        }
        Ok(())
    });
    Arc::new(registry)
}

#[test]
fn a_node_that_both_pipelines_have_keeps_its_state() {
    run_virtual(332, |network| async move {
        let world = World::clean(network);
        let bot = world.join_in("bot", |_| {}, |environment| environment.nodes = Some(with_counter())).await;
        let alice = world.join("alice").await;
        let one = manifest("pipeline: { nodes: [{ id: c, type: Count }] }");
        let two = manifest(
            "pipeline: { nodes: [{ id: c, type: Count }, { id: e, type: Echo }], graph: [{ from: input, to: c }, { from: c, to: e }, { from: e, to: output }] }",
        );
        let attachment = bot.attach(Arc::clone(&one), Route::from_all().with_messages()).await.unwrap();
        alice.connect_peer("bot").await.unwrap();
        for (number, next) in [(1, &two), (2, &one), (3, &two)] {
            assert_eq!(ask(&alice, "text").await, text(&format!("text {number}")));
            attachment.replace(Arc::clone(next)).await.unwrap();
            assert!(Arc::ptr_eq(&attachment.manifest("alice").unwrap(), next));
        }
        let broken = manifest("pipeline: { nodes: [{ id: c, type: Cuont }] }");
        let refused = attachment.replace(broken).await;
        assert!(matches!(refused, Err(WebRtcError::Pipeline(_))));
        assert!(Arc::ptr_eq(&attachment.manifest("alice").unwrap(), &two), "the old one goes on");
    });
}
