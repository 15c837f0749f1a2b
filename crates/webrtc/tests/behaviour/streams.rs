//! Several streams of a kind to one peer, told apart by the `stream_id` of their frames.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use remotemedia_codecs::test_media::{Clip, draw_number, read_number};
use remotemedia_media::{MediaKind, PeerId, StreamId};
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    manifest::Manifest,
};
use remotemedia_webrtc::{
    Environment, Route, SharedSignaler, Signaler, SignalingError, SignalingEvent, SignalingMessage, TransportEvent,
    VideoCodec, WebRtcError, WebRtcTransport,
};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::world::{ONE_WAY, PICTURE, SIZE, World, clip, picture};

pub(crate) const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn name(text: &str) -> StreamId {
    StreamId::new(text).unwrap()
}

/// Shows pictures with numbers from `first` on, as that stream, until it is dropped.
pub(crate) async fn show(from: &WebRtcTransport, to: &str, stream: Option<&str>, clip: &Clip, first: u16) {
    let start = Instant::now();
    for n in 0u16.. {
        let mut frame = draw_number(&clip.frame(n.into()), first + n).unwrap();
        frame.stream_id = stream.map(name);
        from.send_to_peer(to, &RuntimeData::from(frame)).await.unwrap();
        sleep_until(start + PICTURE * u32::from(n + 1)).await;
    }
}

/// Sounds a sine of that frequency until it is dropped.
pub(crate) async fn sound(from: &WebRtcTransport, to: &str, stream: Option<&str>, hz: f32) {
    for part in 0usize.. {
        let sample = |n: usize| 0.3 * (n as f32 * hz * std::f32::consts::TAU / 48_000.0).sin();
        let samples: Vec<f32> = (part * 960..(part + 1) * 960).map(sample).collect();
        let mut frame = AudioFrame::new(samples, 48_000, 1).unwrap();
        frame.stream_id = stream.map(name);
        from.send_to_peer(to, &RuntimeData::from(frame)).await.unwrap();
    }
}

/// The number in the next picture that has one.
pub(crate) async fn number(viewer: &WebRtcTransport, peer: &str, stream: Option<&str>) -> u16 {
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

/// A second of audio, its first channel.
pub(crate) async fn second(listener: &WebRtcTransport, peer: &str, stream: Option<&str>) -> Vec<f32> {
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
    samples
}

/// How loud `hz` is in a second of audio.
async fn loudness(listener: &WebRtcTransport, peer: &str, stream: Option<&str>, hz: f32) -> f32 {
    amplitude(&second(listener, peer, stream).await, hz)
}

/// The amplitude of a sine of that frequency.
pub(crate) fn amplitude(samples: &[f32], hz: f32) -> f32 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, sample) in samples.iter().enumerate() {
        let phase = n as f32 * hz * std::f32::consts::TAU / 48_000.0;
        re += sample * phase.cos();
        im += sample * phase.sin();
    }
    2.0 * (re * re + im * im).sqrt() / samples.len() as f32
}

/// Waits for that many streams to begin.
pub(crate) async fn added(
    events: &mut remotemedia_webrtc::TransportEvents,
    count: usize,
) -> BTreeSet<(String, StreamId)> {
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

/// Looks at what arrives while `sending`, which goes on for ever.
pub(crate) async fn while_sending<T>(sending: impl Future, watching: impl Future<Output = T>) -> T {
    tokio::select! {
        _ = sending => unreachable!("it goes on for ever"),
        done = timeout(PATIENCE * 4, watching) => done.expect("everything arrives"),
    }
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
        while_sending(sending, watching).await;
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
        while_sending(sending, listening).await;
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
        while_sending(showing, watching).await;
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
        while_sending(casting, watching).await;
    });
}

/// Signaling of a peer that takes one stream of each kind, as some that are not of this library do: of any other its answers
/// say so.
struct OneOfEachKind(SharedSignaler);

#[async_trait]
impl Signaler for OneOfEachKind {
    async fn send(&self, to: &PeerId, mut message: SignalingMessage) -> Result<(), SignalingError> {
        if let SignalingMessage::Answer { sdp, .. } = &mut message {
            *sdp = take_one_of_each_kind(sdp);
        }
        self.0.0.send(to, message).await
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        self.0.0.next_event().await
    }
}

/// Makes every section but the first of its kind one through which nothing flows (RFC 3264, section 6.1).
fn take_one_of_each_kind(sdp: &str) -> String {
    let mut kinds = BTreeSet::new();
    let mut taken = true;
    let line = |line: &str| {
        if let Some(media) = line.strip_prefix("m=") {
            taken = kinds.insert(media.split(' ').next().unwrap_or_default().to_owned());
        }
        let is_direction = ["a=recvonly", "a=sendrecv", "a=sendonly"].contains(&line);
        if is_direction && !taken { "a=inactive\r\n".to_owned() } else { format!("{line}\r\n") }
    };
    sdp.lines().map(line).collect()
}

#[test]
fn a_named_stream_that_the_peer_turns_down_is_refused_by_name_and_the_main_one_goes_on() {
    run_virtual(405, |network| async move {
        let world = World::clean(network);
        let alice = world.join("alice").await;
        let choosy = |environment: &mut Environment| {
            let signaler = environment.signaler.take().expect("the world has one");
            environment.signaler = Some(SharedSignaler(Arc::new(OneOfEachKind(signaler))));
        };
        let bob = world.join_in("bob", |_| {}, choosy).await;
        alice.connect_peer("bob").await.unwrap();
        let clip = clip();
        let watching = async {
            number(&bob, "alice", None).await;
            for kind in [MediaKind::Video, MediaKind::Audio] {
                let frame = match kind {
                    MediaKind::Video => RuntimeData::from(picture(&clip, 1).with_stream_id(name("extra"))),
                    MediaKind::Audio => {
                        let mut frame = AudioFrame::new(vec![0.1; 960], 48_000, 1).unwrap();
                        frame.stream_id = Some(name("extra"));
                        RuntimeData::from(frame)
                    }
                };
                // The first is answered as soon as the peer is; those after it at once.
                for round_trips in [3, 0] {
                    let begin = Instant::now();
                    let refused = alice.send_to_peer("bob", &frame).await.unwrap_err();
                    let is_named = matches!(&refused, WebRtcError::StreamRefused { peer, kind: of, stream }
                        if peer == "bob" && *of == kind && *stream == "extra");
                    assert!(is_named, "{refused:?}");
                    assert!(begin.elapsed() <= ONE_WAY * 4 * round_trips, "{:?}", begin.elapsed());
                }
                let stats = alice.broadcast(&frame).await.unwrap();
                let failure = &stats.failed_peers[0];
                assert!(matches!(failure.error, WebRtcError::StreamRefused { .. }), "{failure:?}");
                assert_eq!((failure.peer_id.as_str(), stats.sent_count), ("bob", 0));
            }
            for _ in 0..25 {
                number(&bob, "alice", None).await;
            }
            assert_eq!(bob.streams("alice").unwrap(), []);
        };
        while_sending(show(&alice, "bob", None, &clip, 0), watching).await;
    });
}

#[test]
fn a_route_answers_each_stream_under_its_name_and_sends_what_a_node_names_as_a_stream_of_its_own() {
    run_virtual(406, |network| async move {
        let world = World::clean(network);
        let (alice, bot) = (world.join("alice").await, world.join("bot").await);
        let manifest = Manifest::from_yaml(
            "pipeline:
  nodes:
    - { id: back, type: Echo }
    - { id: card, type: TestCard, params: { width: 160, height: 96, fps: 15, stream_id: card } }
  graph:
    - { from: input, to: back }
    - { from: back, to: output }
    - { from: card, to: output }",
        );
        let _attachment = bot.attach(Arc::new(manifest.unwrap()), Route::from_all()).await.unwrap();
        let mut at_alice = alice.events();
        alice.connect_peer("bot").await.unwrap();
        let clip = clip();
        let sending = async {
            tokio::join!(show(&alice, "bot", None, &clip, 0), show(&alice, "bot", Some("screen"), &clip, 10_000))
        };
        let watching = async {
            let video = |stream| ("video".to_owned(), name(stream));
            assert_eq!(added(&mut at_alice, 2).await, [video("card"), video("screen")].into());
            for _ in 0..25 {
                assert!(number(&alice, "bot", None).await < 10_000);
                assert!(number(&alice, "bot", Some("screen")).await >= 10_000);
                let card = alice.recv_video_stream("bot", "card").await.unwrap().expect("the stream goes on");
                assert_eq!((card.width(), card.height()), (160, 96));
                assert_eq!(card.stream_id, Some(name("card")));
            }
            assert_eq!(bot.streams("alice").unwrap(), [(MediaKind::Video, name("screen"))]);
        };
        while_sending(sending, watching).await;
    });
}

#[test]
fn a_peer_that_leaves_while_a_stream_to_it_opens_is_not_found_as_soon_as_it_is_gone() {
    run_virtual(407, |network| async move {
        let world = World::clean(network);
        let alice = world.join("alice").await;
        let sound = AudioFrame::new(vec![0.1; 960], 48_000, 1).unwrap().with_stream_id(name("extra"));
        let frames = [RuntimeData::from(picture(&clip(), 1).with_stream_id(name("extra"))), RuntimeData::from(sound)];
        for (peer, frame) in ["bob", "carol"].into_iter().zip(frames) {
            let leaving = world.join(peer).await;
            alice.connect_peer(peer).await.unwrap();
            let begin = Instant::now();
            let (sent, left) = tokio::join!(alice.send_to_peer(peer, &frame), leaving.shutdown());
            left.unwrap();
            assert!(matches!(&sent, Err(WebRtcError::PeerNotFound(gone)) if gone == peer), "{sent:?}");
            assert!(begin.elapsed() <= ONE_WAY * 4, "{:?}", begin.elapsed());
        }
    });
}

#[test]
fn on_a_path_that_carries_it_each_of_several_streams_gets_the_bitrate_of_the_codec() {
    const KBPS: u32 = 400;
    run_virtual(408, |network| async move {
        let world = World::clean(network);
        let codec = VideoCodec::vp8().size(SIZE.0, SIZE.1).framerate(25).bitrate_kbps(KBPS);
        let alice = world.join_with("alice", |c| c.video_codec = codec).await;
        let _bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        let metrics = async || alice.list_peers().await.unwrap().remove(0).metrics;
        let clip = clip();
        let sending = async {
            tokio::join!(
                show(&alice, "bob", None, &clip, 0),
                show(&alice, "bob", Some("screen"), &clip, 0),
                show(&alice, "bob", Some("desk"), &clip, 0),
            )
        };
        let measuring = async {
            sleep(Duration::from_secs(10)).await;
            let before = metrics().await.bytes_sent;
            sleep(Duration::from_secs(5)).await;
            (metrics().await.bytes_sent - before) * 8 / 1_000 / 5
        };
        let sent = while_sending(sending, measuring).await;
        println!("three streams at {KBPS} kbit/s each: {sent} kbit/s");
        assert!(sent >= u64::from(KBPS) * 3 * 8 / 10, "{sent} kbit/s of three streams");
        // What is ended leaves room no longer.
        for stream in ["screen", "desk"] {
            alice.close_stream(stream).unwrap();
        }
        let watching = async {
            sleep(Duration::from_secs(2)).await;
            metrics().await.available_bitrate_kbps
        };
        let available = while_sending(show(&alice, "bob", None, &clip, 0), watching).await.unwrap();
        assert!(available <= (KBPS + 32) * 3 / 2 + 200, "{available} kbit/s");
    });
}
