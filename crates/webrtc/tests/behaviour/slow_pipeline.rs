//! A pipeline that is slower than what its peer sends.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{
    data::RuntimeData,
    manifest::Manifest,
    node::{AsyncEmitter, AsyncNode, NodeRegistry, NodeResult, NodeType},
};
use remotemedia_webrtc::{Route, WebRtcTransport};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use crate::{
    shared_routes::echo,
    world::{PICTURE, World, clip, picture, tone, watch},
};

/// Takes twice as long over everything as there is between two frames of sound.
struct Slow;

const PACE: Duration = Duration::from_millis(40);

#[async_trait]
impl AsyncNode for Slow {
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
        tokio::time::sleep(PACE).await;
        out.emit(input).await;
        Ok(())
    }
}

/// What waits for a pipeline at most: two seconds of sound, eight pictures.
const MOST_WAITING: (u64, u64) = (100, 8);

/// What the pipeline itself holds.
const QUEUE: u64 = 4;

const SECONDS: u64 = 20;

/// Sends sound and numbered pictures to the bot from now on. Answers when it sent each picture.
fn send(peer: &WebRtcTransport) -> JoinHandle<Vec<Instant>> {
    let peer = peer.clone();
    tokio::spawn(async move {
        let (clip, begin, mut sent) = (clip(), Instant::now(), Vec::new());
        for n in 0..SECONDS as usize * 50 {
            sleep_until(begin + PICTURE / 2 * n as u32).await;
            peer.send_to_peer("bot", &tone(48_000, n * 960, 960, &[0.3])).await.unwrap();
            if n % 2 == 0 {
                sent.push(Instant::now());
                peer.send_to_peer("bot", &RuntimeData::from(picture(&clip, n as u16 / 2))).await.unwrap();
            }
        }
        sent
    })
}

#[test]
fn a_pipeline_that_is_too_slow_loses_the_oldest_of_its_own_peer_counts_them_and_holds_up_nobody_else() {
    run_virtual(431, |network| async move {
        let world = World::clean(network);
        let mut registry = NodeRegistry::with_builtin();
        registry.register(NodeType::asynchronous("Slow", |_| Ok(Slow)));
        let bot = world.join_in("bot", |_| {}, |environment| environment.nodes = Some(Arc::new(registry))).await;
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let attachment = bot.attach(echo(), Route::from_all()).await.unwrap();
        for peer in [&alice, &bob] {
            peer.connect_peer("bot").await.unwrap();
        }
        while attachment.peers().len() < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let slow = Manifest::from_yaml(&format!("nodes: [{{ id: s, type: Slow, queue: {QUEUE} }}]")).unwrap();
        attachment.replace_for("alice", Arc::new(slow)).await.unwrap();
        let end = Instant::now() + Duration::from_secs(SECONDS);
        let sending = [&alice, &bob].map(send);
        let watching = [&alice, &bob].map(|peer| {
            let peer = peer.clone();
            tokio::spawn(async move { watch(&peer, "bot", end).await })
        });
        sleep_until(end).await;
        let metrics = ["alice", "bob"].map(|peer| attachment.metrics(peer).unwrap());
        let mut ages = Vec::new();
        for (sending, watching) in sending.into_iter().zip(watching) {
            let sent = sending.await.unwrap();
            let seen = watching.await.unwrap();
            assert!(seen.is_sorted_by_key(|(number, ..)| *number));
            let age = |(number, at, _): &(u16, Instant, _)| *at - sent[usize::from(*number)];
            ages.push((seen.len() as u64, seen.iter().map(age).max().unwrap()));
        }
        let [slow, quick] = &metrics;
        println!("slow: {slow:?}, {:?}; the other one: {quick:?}, {:?}", ages[0], ages[1]);
        // What was sent has gone through, was dropped and counted, or waits.
        let (sounds, pictures) = (SECONDS * 50, SECONDS * 25);
        let (calls, dropped) = (slow.nodes[0].calls, slow.audio_frames_dropped + slow.video_frames_dropped);
        let waiting = (sounds + pictures).checked_sub(calls + dropped).expect("nothing is counted twice");
        assert!(calls.abs_diff(SECONDS * 25) <= 5, "{calls}: it is as slow as it is meant to be");
        assert!(slow.audio_frames_dropped > 0 && slow.video_frames_dropped > 0);
        // The last few are still on their way, or in the playout.
        assert!((50..=MOST_WAITING.0 + MOST_WAITING.1 + QUEUE + 10).contains(&waiting), "{waiting} wait");
        // The newest are kept: a picture waits for the seven before it, for sound in between, and for what is inside.
        let longest = PACE * (MOST_WAITING.1 * 3 + QUEUE) as u32;
        assert!(ages[0].1 <= longest, "a picture came back after {:?}", ages[0].1);

        assert_eq!((quick.audio_frames_dropped, quick.video_frames_dropped), (0, 0));
        assert!(ages[1].0 >= pictures - 20, "{} of {pictures} came back", ages[1].0);
        assert!(ages[1].1 <= Duration::from_millis(150), "a picture of the other peer came back after {:?}", ages[1].1);
    });
}
