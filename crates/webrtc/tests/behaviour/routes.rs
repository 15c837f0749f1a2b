//! Pipelines that are attached to what peers send.

use std::{sync::Arc, time::Duration};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{data::RuntimeData, manifest::Manifest};
use remotemedia_webrtc::{DataChannelMessage, Route, Target, TransportEvent, VideoFrame, WebRtcError, WebRtcTransport};
use tokio::time::{Instant, sleep, timeout};

use crate::world::{PICTURE, World, level, listen, see, tone};

fn manifest(text: &str) -> Arc<Manifest> {
    Arc::new(Manifest::from_yaml(text).unwrap())
}

fn mirror() -> Arc<Manifest> {
    manifest(
        "pipeline:
  nodes:
    - { id: flip, type: VideoFlip }
    - { id: louder, type: Gain, params: { linear: 2 } }
  graph:
    - { from: input, to: flip }
    - { from: flip, to: louder }
    - { from: louder, to: output }",
    )
}

/// Mean luma of the left and of the right half.
fn halves(frame: &VideoFrame) -> (f64, f64) {
    let width = frame.width() as usize;
    let mean = |pixels: Vec<u8>| pixels.iter().map(|&p| f64::from(p)).sum::<f64>() / pixels.len().max(1) as f64;
    let half = |from: usize, to: usize| mean(frame.rows(0).flat_map(|row| row[from..to].to_vec()).collect());
    (half(0, width / 2), half(width / 2, width))
}

/// Black on the left, white on the right.
fn half_white() -> VideoFrame {
    let mut frame = vec![128; 320 * 180 * 3 / 2];
    for row in frame[..320 * 180].chunks_mut(320) {
        row[..160].fill(16);
        row[160..].fill(235);
    }
    VideoFrame::i420(320, 180, frame).unwrap()
}

/// Sends a tone and pictures to `peer` for as long as the answer lives.
fn keep_sending(sender: &WebRtcTransport, peer: &'static str) -> tokio::task::JoinHandle<()> {
    let sender = sender.clone();
    tokio::spawn(async move {
        let frame = RuntimeData::from(half_white());
        for n in 0.. {
            if n % 2 == 0 && sender.send_to_peer(peer, &frame).await.is_err() {
                return;
            }
            if sender.send_to_peer(peer, &tone(48_000, n * 960, 960, &[0.2])).await.is_err() {
                return;
            }
            sleep(PICTURE / 2).await;
        }
    })
}

#[test]
fn media_and_messages_come_back_through_the_pipeline_and_can_still_be_pulled() {
    run_virtual(301, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let attachment = bot.attach(mirror(), Route::from_all().with_messages()).await.unwrap();
        alice.connect_peer("bot").await.unwrap();
        let sending = keep_sending(&alice, "bot");
        // Both the pipeline and whoever pulls get them.
        let sent = see(&bot, "alice", Duration::from_secs(5)).await;
        assert!(halves(&sent).0 < 60.0 && halves(&sent).1 > 190.0, "{:?}", halves(&sent));
        let returned = see(&alice, "bot", Duration::from_secs(5)).await;
        assert!(halves(&returned).0 > 190.0 && halves(&returned).1 < 60.0, "{:?}", halves(&returned));
        listen(&alice, "bot", Instant::now() + Duration::from_secs(2)).await;
        let heard = level(&listen(&alice, "bot", Instant::now() + Duration::from_secs(1)).await);
        let expected = 0.4 / 2f32.sqrt();
        assert!((heard / expected - 1.0).abs() < 0.1, "twice as loud is {expected}, heard {heard}");
        let messages = [
            DataChannelMessage::Text { payload: "hello".into() },
            DataChannelMessage::Json { payload: serde_json::json!({"a": [1]}) },
            DataChannelMessage::Binary { payload: vec![7; 60_000] },
        ];
        for message in &messages {
            alice.send_data_channel_message("bot", message).await.unwrap();
            let (peer, echo) = alice.recv_data_channel_message().await.unwrap().unwrap();
            assert!(peer == "bot" && echo == *message);
        }
        let metrics = attachment.metrics("alice").unwrap();
        assert_eq!(metrics.nodes.iter().map(|n| &*n.id).collect::<Vec<_>>(), ["flip", "louder"]);
        assert!(metrics.nodes[0].calls > 100, "{metrics:?}");
        assert_eq!((metrics.audio_frames_dropped, metrics.video_frames_dropped), (0, 0));
        sending.abort();
    });
}

#[test]
fn each_peer_has_a_session_of_its_own_which_ends_when_it_leaves() {
    run_virtual(302, |network| async move {
        let world = World::clean(network);
        let bot = world.join("bot").await;
        let attachment = bot.attach(mirror(), Route::from_all()).await.unwrap();
        let mut events = bot.events();
        for name in ["alice", "carol"] {
            let peer = world.join(name).await;
            peer.connect_peer("bot").await.unwrap();
            let until = Instant::now() + Duration::from_secs(5);
            while attachment.session(name).is_none() && Instant::now() < until {
                sleep(Duration::from_millis(10)).await;
            }
            let session = attachment.session(name).expect("a session");
            assert_eq!(attachment.peers(), [name]);
            peer.shutdown().await.unwrap();
            while let Some(event) = events.next().await {
                if matches!(event, TransportEvent::PeerDisconnected { .. }) {
                    break;
                }
            }
            sleep(Duration::from_secs(3)).await;
            assert!(!session.is_active() && attachment.peers().is_empty(), "{name} left");
        }
    });
}

#[test]
fn what_comes_out_goes_where_the_route_says_and_nowhere_else() {
    run_virtual(304, |network| async move {
        let world = World::clean(network);
        let bot = world.join("bot").await;
        let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
        for peer in [&alice, &bob, &carol] {
            peer.connect_peer("bot").await.unwrap();
        }
        let route = Route::from_peers(["alice"]).unwrap().to_peers(["bob"]).unwrap();
        let attachment = bot.attach(mirror(), route).await.unwrap();
        let _alice = keep_sending(&alice, "bot");
        let _carol = keep_sending(&carol, "bot");
        see(&bob, "bot", Duration::from_secs(5)).await;
        for other in [&alice, &carol] {
            let nothing = timeout(Duration::from_secs(2), other.recv_video("bot")).await;
            assert!(nothing.is_err(), "{} was sent a picture", other.peer_id());
        }
        assert_eq!(attachment.peers(), ["alice"]);
        drop(attachment);
        sleep(Duration::from_secs(1)).await;
        while timeout(Duration::from_millis(500), bob.recv_video("bot")).await.is_ok() {}
        assert!(timeout(Duration::from_secs(2), bob.recv_video("bot")).await.is_err(), "it was detached");
    });
}

#[test]
fn a_refused_manifest_attaches_nothing_and_names_the_node() {
    run_virtual(305, |network| async move {
        let world = World::clean(network);
        let bot = world.transport("bot", |_| {}).await;
        assert!(matches!(bot.attach(mirror(), Route::from_all()).await, Err(WebRtcError::NotStarted)));
        bot.start().await.unwrap();
        let error = bot
            .attach(manifest("pipeline: { nodes: [{ id: broken, type: NoSuchCrop }] }"), Route::from_all())
            .await
            .unwrap_err();
        let text = error.to_string() + &format!("{:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(matches!(error, WebRtcError::Pipeline(_)) && text.contains("NoSuchCrop"), "{text}");
        assert!(Route::from_peers(["not a name"]).is_err());
    });
}

#[test]
fn a_route_to_all_reaches_everybody_and_one_that_is_kept_needs_no_handle() {
    run_virtual(307, |network| async move {
        let world = World::clean(network);
        let bot = world.join("bot").await;
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        for peer in [&alice, &bob] {
            peer.connect_peer("bot").await.unwrap();
        }
        let route = Route::from_peers(["alice"]).unwrap().to_all();
        bot.attach(mirror(), route).await.unwrap().keep();
        let sending = keep_sending(&alice, "bot");
        sleep(Duration::from_secs(2)).await;
        for peer in [&alice, &bob] {
            let returned = see(peer, "bot", Duration::from_secs(5)).await;
            assert!(halves(&returned).0 > 190.0 && halves(&returned).1 < 60.0, "{:?}", halves(&returned));
        }
        sending.abort();
    });
}

/// Two outputs of one graph, one of them upside down.
fn two_outputs() -> Arc<Manifest> {
    manifest(
        "pipeline:
  nodes:
    - { id: flip, type: VideoFlip }
    - { id: plain, type: Output }
    - { id: mirrored, type: Output }
  graph:
    - { from: input, to: plain }
    - { from: input, to: flip }
    - { from: flip, to: mirrored }",
    )
}

#[test]
fn each_output_of_a_graph_goes_to_those_that_the_route_names_for_it() {
    run_virtual(308, |network| async move {
        let world = World::clean(network);
        let bot = world.join("bot").await;
        let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
        for peer in [&alice, &bob, &carol] {
            peer.connect_peer("bot").await.unwrap();
        }
        let route = Route::from_peers(["alice"]).unwrap();
        let route =
            route.output("plain", Target::peer("bob").unwrap()).output("mirrored", Target::peer("carol").unwrap());
        let unknown = route.clone().output("sideways", Target::All);
        let refused = bot.attach(two_outputs(), unknown).await.unwrap_err();
        assert_eq!(refused.to_string(), "the pipeline has no output \"sideways\"; it has plain, mirrored");
        let attachment = bot.attach(two_outputs(), route).await.unwrap();
        assert!(matches!(attachment.replace(mirror()).await, Err(WebRtcError::UnknownOutput { .. })));
        let sending = keep_sending(&alice, "bot");
        let plain = halves(&*see(&bob, "bot", Duration::from_secs(5)).await);
        assert!(plain.0 < 60.0 && plain.1 > 190.0, "{plain:?}");
        let mirrored = halves(&*see(&carol, "bot", Duration::from_secs(5)).await);
        assert!(mirrored.0 > 190.0 && mirrored.1 < 60.0, "{mirrored:?}");
        assert!(timeout(Duration::from_secs(2), alice.recv_video("bot")).await.is_err(), "the sender gets neither");
        sending.abort();
    });
}
