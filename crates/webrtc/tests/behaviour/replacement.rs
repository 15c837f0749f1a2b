//! An attached pipeline is replaced in the middle of a call.

use std::{sync::Arc, time::Duration};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{data::RuntimeData, manifest::Manifest, node::NodeRegistry};
use remotemedia_webrtc::{Route, WebRtcError, WebRtcTransport};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::world::{PICTURE, World, clip, listen, picture, tone, watch};

fn manifest(text: &str) -> Arc<Manifest> {
    Arc::new(Manifest::from_yaml(text).unwrap())
}

#[test]
fn a_pipeline_is_replaced_in_the_middle_without_losing_a_picture() {
    run_virtual(303, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let attachment = bot.attach(manifest("pipeline: { nodes: [{ id: e, type: Echo }] }"), Route::from_all()).await;
        let attachment = attachment.unwrap();
        alice.connect_peer("bot").await.unwrap();
        let (clip, sender) = (clip(), alice.clone());
        let sending = tokio::spawn(async move {
            for number in 0..200 {
                sender.send_to_peer("bot", &RuntimeData::from(picture(&clip, number))).await.unwrap();
                sleep(PICTURE).await;
            }
        });
        let watcher = alice.clone();
        let seen = tokio::spawn(async move { watch(&watcher, "bot", Instant::now() + Duration::from_secs(10)).await });
        let other = manifest(
            "pipeline: { nodes: [{ id: p, type: PassThrough }, { id: q, type: Echo }], graph: [{ from: input, to: p }, { from: p, to: q }, { from: q, to: output }] }",
        );
        for _ in 0..20 {
            sleep(Duration::from_millis(300)).await;
            attachment.replace_for("alice", Arc::clone(&other)).await.unwrap();
        }
        assert_eq!(attachment.metrics("alice").unwrap().nodes.len(), 2);
        sending.await.unwrap();
        let numbers: Vec<u16> = seen.await.unwrap().into_iter().map(|(number, ..)| number).collect();
        let first = numbers[0];
        assert!(first < 30, "the first picture that came back was number {first}");
        assert_eq!(numbers, (first..200).collect::<Vec<_>>());
        let unknown = attachment.replace_for("nobody", other).await;
        assert!(matches!(unknown, Err(WebRtcError::PeerNotFound(name)) if name == "nobody"));
        attachment.detach().await;
    });
}

/// Sends a steady tone to `peer` for as long as the answer lives.
fn keep_sounding(sender: &WebRtcTransport, peer: &'static str) -> JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        for n in 0.. {
            if sender.send_to_peer(peer, &tone(48_000, n * 960, 960, &[0.4])).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    })
}

/// The largest difference between two neighbouring samples.
fn largest_step(samples: &[f32]) -> f32 {
    samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

#[test]
fn a_hundred_replacements_make_no_click() {
    run_virtual(331, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let loud = manifest("pipeline: { nodes: [{ id: e, type: Echo }] }");
        let quiet = manifest("pipeline: { nodes: [{ id: down, type: Gain, params: { linear: 0.25 } }] }");
        let attachment = bot.attach(Arc::clone(&loud), Route::from_all()).await.unwrap();
        alice.connect_peer("bot").await.unwrap();
        let sounding = keep_sounding(&alice, "bot");
        listen(&alice, "bot", Instant::now() + Duration::from_secs(2)).await;
        let own = largest_step(&listen(&alice, "bot", Instant::now() + Duration::from_secs(1)).await);
        let listener = alice.clone();
        let heard =
            tokio::spawn(async move { listen(&listener, "bot", Instant::now() + Duration::from_secs(12)).await });
        for round in 0..100 {
            sleep(Duration::from_millis(97)).await;
            let next = if round % 2 == 0 { &quiet } else { &loud };
            attachment.replace(Arc::clone(next)).await.unwrap();
        }
        let heard = heard.await.unwrap();
        let step = largest_step(&heard);
        println!("largest step: {step:.4}; of the tone alone: {own:.4}");
        // Opus rings where the loudness changes: the samples that go into it make no step (see `route::splice`).
        assert!(step <= own * 1.5, "{step} instead of {own}");
        let quietest = heard.chunks_exact(480).map(crate::world::level).fold(f32::MAX, f32::min);
        assert!(quietest < 0.1, "the quiet pipeline was heard: {quietest}");
        sounding.abort();
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
            let message = remotemedia_webrtc::DataChannelMessage::Text { payload: "text".into() };
            alice.send_data_channel_message("bot", &message).await.unwrap();
            let (_, answer) = alice.recv_data_channel_message().await.unwrap().unwrap();
            let expected = remotemedia_webrtc::DataChannelMessage::Text { payload: format!("text {number}") };
            assert_eq!(answer, expected);
            attachment.replace(Arc::clone(next)).await.unwrap();
            assert!(Arc::ptr_eq(&attachment.manifest("alice").unwrap(), next));
        }
        let broken = manifest("pipeline: { nodes: [{ id: c, type: Cuont }] }");
        let refused = attachment.replace(broken).await;
        assert!(matches!(refused, Err(WebRtcError::Pipeline(_))));
        assert!(Arc::ptr_eq(&attachment.manifest("alice").unwrap(), &two), "the old one goes on");
    });
}
