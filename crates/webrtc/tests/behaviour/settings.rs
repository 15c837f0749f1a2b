//! What fields of the configuration do that have no module of their own.

use std::time::Duration;

use remotemedia_codecs::test_media::Speech;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
use remotemedia_webrtc::{AudioCodec, ConnectionStage, JitterMode, WebRtcError, WebRtcTransportConfig};
use tokio::time::{Instant, interval};

use crate::world::{World, listen};

/// How long a call to a peer that never answers takes to fail, and what it says then.
fn unanswered(secs: u32) -> (Duration, WebRtcError) {
    run_virtual(161, move |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", |c| c.ice_timeout_secs = secs).await;
        // Registered, but nobody looks at what it is sent.
        let _bob = world.register("bob").await;
        let begin = Instant::now();
        let error = alice.connect_peer("bob").await.unwrap_err();
        let report = alice.diagnosis("bob").unwrap();
        assert_eq!((report.stage, report.description_received), (ConnectionStage::Signaling, false), "{report:?}");
        (begin.elapsed(), error)
    })
}

#[test]
fn an_attempt_to_connect_ends_after_ice_timeout_secs() {
    for secs in [1, 3, 25] {
        let (time, error) = unanswered(secs);
        println!("{secs} s: {time:?}, {error}");
        assert!(matches!(error, WebRtcError::ConnectionFailed { ref peer, .. } if peer == "bob"), "{error:?}");
        let limit = Duration::from_secs(secs.into());
        assert!(time.abs_diff(limit) <= Duration::from_millis(100), "{time:?} with {secs} s");
    }
}

/// How long two peers take to connect.
fn connecting(change: impl Fn(&mut WebRtcTransportConfig) + Send + 'static) -> Duration {
    run_virtual(162, move |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", &change).await;
        let bob = world.join_with("bob", &change).await;
        let begin = Instant::now();
        alice.connect_peer("bob").await.unwrap();
        let time = begin.elapsed();
        bob.shutdown().await.unwrap();
        time
    })
}

#[test]
fn servers_that_do_not_answer_delay_no_connection() {
    let without = connecting(|_| {});
    let with = connecting(|c| {
        // Addresses of the emulated network that no host has.
        c.stun_servers = vec!["stun:127.99.0.1:3478".into(), "stun:127.99.0.2:3478".into()];
        c.turn_servers = vec![remotemedia_webrtc::TurnServer {
            urls: vec!["turn:127.99.0.3:3478".into()],
            username: "u".into(),
            credential: "p".into(),
        }];
    });
    println!("{without:?} without servers, {with:?} with silent ones");
    assert!(with <= without + Duration::from_millis(20), "{with:?} instead of {without:?}");
}

/// Bytes that four seconds of speech take at a complexity, and what is heard of it.
fn speak(complexity: u8) -> (u64, Vec<f32>) {
    const SECONDS: usize = 4;
    run_virtual(163, move |network| async move {
        let world = World::clean(network);
        let codec = AudioCodec::opus().bitrate_kbps(24).complexity(complexity);
        let alice = world.join_with("alice", |c| (c.audio_codec, c.enable_video) = (codec, false)).await;
        // Nothing is stretched, so that what is heard depends on what was sent alone.
        let bob = world.join_with("bob", |c| c.jitter_mode = JitterMode::Fixed).await;
        alice.connect_peer("bob").await.unwrap();
        let end = Instant::now() + Duration::from_secs(SECONDS as u64 + 2);
        let sender = alice.clone();
        let microphone = tokio::spawn(async move {
            let mut clock = interval(Duration::from_millis(20));
            for chunk in Speech::new(7, 48_000).samples(48_000 * SECONDS).chunks_exact(960) {
                clock.tick().await;
                let frame = AudioFrame::new(chunk.to_vec(), 48_000, 1).unwrap();
                sender.send_to_peer("bob", &RuntimeData::from(frame)).await.unwrap();
            }
        });
        let heard = listen(&bob, "alice", end).await;
        microphone.await.unwrap();
        (alice.list_peers().await.unwrap()[0].metrics.bytes_sent, heard)
    })
}

#[test]
fn opus_complexity_changes_what_is_sent_and_heard() {
    let [low, again, high] = [0, 0, 10].map(speak);
    println!("{} bytes at complexity 0, {} at 10", low.0, high.0);
    assert!(low == again, "the same call sounds the same");
    assert!(low.0 != high.0 && low.1 != high.1, "complexity acts on nothing");
}
