//! Several streams of a kind to one peer, told apart by the `stream_id` of their frames.

use std::{collections::BTreeSet, time::Duration};

use remotemedia_codecs::test_media::{Clip, draw_number, read_number};
use remotemedia_media::{MediaKind, StreamId};
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
use remotemedia_webrtc::{TransportEvent, WebRtcError, WebRtcTransport};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::world::{PICTURE, World, clip, picture};

const PATIENCE: Duration = Duration::from_secs(5);

fn name(text: &str) -> StreamId {
    StreamId::new(text).unwrap()
}

/// Shows pictures with numbers from `first` on, as that stream, until it is dropped.
async fn show(from: &WebRtcTransport, to: &str, stream: Option<&str>, clip: &Clip, first: u16) {
    let start = Instant::now();
    for n in 0u16.. {
        let mut frame = draw_number(&clip.frame(n.into()), first + n).unwrap();
        frame.stream_id = stream.map(name);
        from.send_to_peer(to, &RuntimeData::from(frame)).await.unwrap();
        sleep_until(start + PICTURE * u32::from(n + 1)).await;
    }
}

/// Sounds a sine of that frequency until it is dropped.
async fn sound(from: &WebRtcTransport, to: &str, stream: Option<&str>, hz: f32) {
    for part in 0usize.. {
        let sample = |n: usize| 0.3 * (n as f32 * hz * std::f32::consts::TAU / 48_000.0).sin();
        let samples: Vec<f32> = (part * 960..(part + 1) * 960).map(sample).collect();
        let mut frame = AudioFrame::new(samples, 48_000, 1).unwrap();
        frame.stream_id = stream.map(name);
        from.send_to_peer(to, &RuntimeData::from(frame)).await.unwrap();
    }
}

/// The number in the next picture that has one.
async fn number(viewer: &WebRtcTransport, peer: &str, stream: Option<&str>) -> u16 {
    loop {
        let frame = match stream {
            Some(stream) => viewer.recv_video_stream(peer, stream).await,
            None => viewer.recv_video(peer).await,
        };
        let frame = frame.unwrap().expect("the stream goes on");
        assert_eq!(frame.stream_id, stream.map(name));
        if let Some(number) = read_number(&frame).unwrap() {
            return number;
        }
    }
}

/// How loud `hz` is in a second of audio.
async fn loudness(listener: &WebRtcTransport, peer: &str, stream: Option<&str>, hz: f32) -> f32 {
    let mut samples = Vec::new();
    while samples.len() < 48_000 {
        let frame = match stream {
            Some(stream) => listener.recv_audio_stream(peer, stream).await,
            None => listener.recv_audio(peer).await,
        };
        let frame = frame.unwrap().expect("the stream goes on");
        assert_eq!(frame.stream_id, stream.map(name));
        let channels = usize::from(frame.channels());
        samples.extend(frame.samples().chunks_exact(channels).map(|moment| moment[0]));
    }
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let phase = n as f32 * hz * std::f32::consts::TAU / 48_000.0;
        re += sample * phase.cos();
        im += sample * phase.sin();
    }
    2.0 * (re * re + im * im).sqrt() / samples.len() as f32
}

/// Waits for that many streams to begin.
async fn added(events: &mut remotemedia_webrtc::TransportEvents, count: usize) -> BTreeSet<(String, StreamId)> {
    let mut streams = BTreeSet::new();
    let waiting = async {
        while streams.len() < count {
            if let Some(TransportEvent::StreamAdded { kind, stream, .. }) = events.next().await {
                streams.insert((kind.to_string(), stream));
            }
        }
    };
    timeout(PATIENCE, waiting).await.expect("the streams begin");
    streams
}

#[test]
fn a_camera_and_a_screen_arrive_apart_in_both_directions() {
    run_virtual(401, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let (mut at_alice, mut at_bob) = (alice.events(), bob.events());
        alice.connect_peer("bob").await.unwrap();
        let clip = clip();
        let sending = async {
            tokio::join!(
                show(&alice, "bob", None, &clip, 0),
                show(&alice, "bob", Some("screen"), &clip, 10_000),
                show(&bob, "alice", None, &clip, 20_000),
                show(&bob, "alice", Some("slides"), &clip, 30_000),
            )
        };
        let watching = async {
            let video = |stream| ("video".to_owned(), name(stream));
            assert_eq!(added(&mut at_bob, 1).await, [video("screen")].into());
            assert_eq!(added(&mut at_alice, 1).await, [video("slides")].into());
            assert_eq!(bob.streams("alice").unwrap(), [(MediaKind::Video, name("screen"))]);
            for _ in 0..25 {
                assert!(number(&bob, "alice", None).await < 10_000);
                assert!((10_000..20_000).contains(&number(&bob, "alice", Some("screen")).await));
                assert!((20_000..30_000).contains(&number(&alice, "bob", None).await));
                assert!(number(&alice, "bob", Some("slides")).await >= 30_000);
            }
        };
        tokio::select! {
            _ = sending => unreachable!("they go on for ever"),
            done = timeout(PATIENCE * 2, watching) => done.expect("pictures arrive"),
        }
    });
}

#[test]
fn two_voices_of_one_peer_are_heard_apart() {
    run_virtual(402, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let mut at_bob = bob.events();
        alice.connect_peer("bob").await.unwrap();
        let sending = async {
            tokio::join!(sound(&alice, "bob", None, 440.0), sound(&alice, "bob", Some("interpreter"), 1_000.0))
        };
        let listening = async {
            added(&mut at_bob, 1).await;
            let settle = sleep(Duration::from_secs(1));
            settle.await;
            let (main, other) = tokio::join!(
                loudness(&bob, "alice", None, 440.0),
                loudness(&bob, "alice", Some("interpreter"), 1_000.0)
            );
            assert!(main > 0.2 && other > 0.2, "{main} {other}");
            let (main, other) = tokio::join!(
                loudness(&bob, "alice", None, 1_000.0),
                loudness(&bob, "alice", Some("interpreter"), 440.0)
            );
            assert!(main < 0.01 && other < 0.01, "{main} {other}");
        };
        tokio::select! {
            _ = sending => unreachable!("they go on for ever"),
            done = timeout(PATIENCE * 4, listening) => done.expect("sound arrives"),
        }
    });
}

#[test]
fn a_peer_is_sent_four_named_streams_and_a_closed_one_makes_room() {
    run_virtual(403, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let mut at_bob = bob.events();
        alice.connect_peer("bob").await.unwrap();
        let clip = clip();
        let send = async |stream: &str| {
            let frame = picture(&clip, 1).with_stream_id(name(stream));
            alice.send_to_peer("bob", &RuntimeData::from(frame)).await
        };
        for stream in ["a", "b", "c", "d"] {
            send(stream).await.unwrap();
        }
        assert_eq!(added(&mut at_bob, 4).await.len(), 4);
        let refused = send("e").await.unwrap_err();
        assert!(matches!(refused, WebRtcError::TooManyStreams { limit: 4, .. }), "{refused:?}");
        alice.close_stream("b").unwrap();
        let ended = async {
            loop {
                if let Some(TransportEvent::StreamEnded { stream, .. }) = at_bob.next().await {
                    break stream;
                }
            }
        };
        assert_eq!(timeout(PATIENCE, ended).await.expect("the end is told"), "b");
        let gone = bob.recv_video_stream("alice", "b").await.unwrap_err();
        assert!(matches!(gone, WebRtcError::StreamNotFound { ref known, .. } if known.len() == 3), "{gone:?}");
        let showing = show(&alice, "bob", Some("e"), &clip, 500);
        let watching = async {
            assert_eq!(added(&mut at_bob, 1).await, [("video".to_owned(), name("e"))].into());
            assert!(number(&bob, "alice", Some("e")).await >= 500);
        };
        tokio::select! {
            () = showing => unreachable!("it goes on for ever"),
            done = timeout(PATIENCE * 2, watching) => done.expect("the new stream arrives"),
        }
    });
}

#[test]
fn a_named_stream_that_is_broadcast_reaches_a_peer_that_comes_later() {
    run_virtual(404, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let clip = clip();
        let casting = async {
            for n in 0u16.. {
                let frame = picture(&clip, n).with_stream_id(name("stage"));
                alice.broadcast(&RuntimeData::from(frame)).await.unwrap();
                sleep(PICTURE).await;
            }
        };
        let watching = async {
            let mut at_bob = bob.events();
            added(&mut at_bob, 1).await;
            number(&bob, "alice", Some("stage")).await;
            let carol = world.join("carol").await;
            let mut at_carol = carol.events();
            carol.connect_peer("alice").await.unwrap();
            added(&mut at_carol, 1).await;
            let first = number(&carol, "alice", Some("stage")).await;
            assert!(number(&carol, "alice", Some("stage")).await > first);
        };
        tokio::select! {
            () = casting => unreachable!("it goes on for ever"),
            done = timeout(PATIENCE * 3, watching) => done.expect("the stream arrives"),
        }
    });
}
