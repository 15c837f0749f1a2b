//! Peers that are not of this library: a bare peer connection of the WebRTC stack, calling and called.
#![allow(clippy::unwrap_used, clippy::large_futures, reason = "a test fails by panicking")]

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use remotemedia_media::Codec;
use remotemedia_mesh::{
    Feedback, IceCandidate, IncomingTrack, Mesh, MeshError, MeshEvent, Message, Signaler, SignalingEvent,
    SignalingMessage,
};
use rtc::{
    media_stream::MediaStreamTrack,
    rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication,
    rtp,
    rtp_transceiver::{
        RTCRtpTransceiverDirection, RTCRtpTransceiverInit,
        rtp_sender::{RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind},
    },
};
use tokio::sync::mpsc;
use webrtc::{
    data_channel::{DataChannel, DataChannelEvent},
    media_stream::{
        track_local::{TrackLocal, static_rtp::TrackLocalStaticRTP},
        track_remote::{TrackRemote, TrackRemoteEvent},
    },
    peer_connection::{
        MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceCandidateInit,
        RTCPeerConnectionIceEvent, RTCSessionDescription, Registry, register_default_interceptors,
    },
};

use crate::{
    hub::{Hub, Member, config, event, id, mesh, soon},
    mesh_with,
    video::{send_video, video_numbers, video_track},
};

const SSRC: u32 = 0x1234_5678;

enum Happened {
    Candidate(String),
    Track(Arc<dyn TrackRemote>),
    Channel(Arc<dyn DataChannel>),
}

struct Handler(mpsc::UnboundedSender<Happened>);

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let _ = self.0.send(Happened::Candidate(event.candidate.to_json().unwrap().candidate));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.0.send(Happened::Track(track));
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        let _ = self.0.send(Happened::Channel(channel));
    }
}

/// A bare peer connection named `bob` in a room, with default codecs and interceptors.
struct Foreigner {
    pc: Arc<dyn PeerConnection>,
    video: Arc<TrackLocalStaticRTP>,
    /// What VP8 is called: as the stack that offers first has it.
    payload_type: u8,
    member: Arc<Member>,
    happened: mpsc::UnboundedReceiver<Happened>,
    request_id: String,
    tracks: Vec<Arc<dyn TrackRemote>>,
    channels: Vec<Arc<dyn DataChannel>>,
}

impl Foreigner {
    async fn new(hub: &Hub) -> Self {
        let (sender, happened) = mpsc::unbounded_channel();
        let mut engine = MediaEngine::default();
        engine.register_default_codecs().unwrap();
        let registry = register_default_interceptors(Registry::new(), &mut engine).unwrap();
        let building = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(Handler(sender)))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build();
        let pc = Box::pin(building).await.unwrap();
        let codec = RTCRtpCodec { mime_type: "video/VP8".into(), clock_rate: 90_000, ..Default::default() };
        let coding = RTCRtpEncodingParameters {
            rtp_coding_parameters: RTCRtpCodingParameters { ssrc: Some(SSRC), ..Default::default() },
            active: true,
            codec,
            ..Default::default()
        };
        let (stream, track) = ("s".to_owned(), "foreign-video".to_owned());
        let track = MediaStreamTrack::new(stream, track, "v".into(), RtpCodecKind::Video, vec![coding]);
        Self {
            pc: Arc::new(pc),
            video: Arc::new(TrackLocalStaticRTP::new(track)),
            payload_type: 96,
            member: hub.join("bob"),
            happened,
            request_id: "foreign-1".into(),
            tracks: Vec::new(),
            channels: Vec::new(),
        }
    }

    async fn offer(&mut self) {
        let offer = self.pc.create_offer(None).await.unwrap();
        self.pc.set_local_description(offer.clone()).await.unwrap();
        self.send(SignalingMessage::Offer { sdp: offer.sdp, request_id: self.request_id.clone() }).await;
    }

    async fn send(&self, message: SignalingMessage) {
        self.member.send(&id("alice"), message).await.unwrap();
    }

    /// Handles signaling and events until `done` says so.
    async fn run(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let mut early = Vec::new();
        let deadline = tokio::time::Instant::now() + crate::hub::PATIENCE;
        while !done(self) {
            let member = self.member.clone();
            tokio::select! {
                event = member.next_event() => match event.unwrap() {
                    SignalingEvent::Message { message: SignalingMessage::Offer { sdp, request_id }, .. } => {
                        self.request_id = request_id.clone();
                        self.pc.set_remote_description(RTCSessionDescription::offer(sdp).unwrap()).await.unwrap();
                        if self.video.ctx_is_free().await {
                            self.pc.add_track(self.video.clone()).await.unwrap();
                        }
                        let answer = self.pc.create_answer(None).await.unwrap();
                        self.pc.set_local_description(answer.clone()).await.unwrap();
                        self.send(SignalingMessage::Answer { sdp: answer.sdp, request_id }).await;
                        for candidate in early.drain(..) {
                            self.pc.add_ice_candidate(candidate).await.unwrap();
                        }
                    }
                    SignalingEvent::Message { message: SignalingMessage::Answer { sdp, .. }, .. } => {
                        self.pc.set_remote_description(RTCSessionDescription::answer(sdp).unwrap()).await.unwrap();
                    }
                    SignalingEvent::Message { message: SignalingMessage::Candidate(candidate), .. } => {
                        let candidate = RTCIceCandidateInit { candidate: candidate.candidate, ..Default::default() };
                        if self.pc.remote_description().await.is_some() {
                            self.pc.add_ice_candidate(candidate).await.unwrap();
                        } else {
                            early.push(candidate);
                        }
                    }
                    _ => {}
                },
                happened = self.happened.recv() => match happened.unwrap() {
                    Happened::Candidate(candidate) => {
                        let (sdp_mid, request_id) = (Some("0".to_owned()), self.request_id.clone());
                        let candidate = IceCandidate {
                            candidate, sdp_mid, sdp_m_line_index: Some(0), user_fragment: None, request_id,
                        };
                        self.send(SignalingMessage::Candidate(candidate)).await;
                    }
                    Happened::Track(track) => self.tracks.push(track),
                    Happened::Channel(channel) => self.channels.push(channel),
                },
                () = tokio::time::sleep(Duration::from_millis(5)) => {}
                () = tokio::time::sleep_until(deadline) => panic!("timed out: {what}"),
            }
        }
    }

    /// Sends VP8 packets for ever.
    async fn send_video(&self) {
        for number in 0u32.. {
            let header = rtp::header::Header {
                version: 2,
                payload_type: self.payload_type,
                sequence_number: number as u16,
                timestamp: number * 900,
                ssrc: SSRC,
                marker: true,
                ..Default::default()
            };
            let payload = Bytes::copy_from_slice(&number.to_be_bytes());
            let _ = self.video.write_rtp(rtp::Packet { header, payload }).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[async_trait]
trait Unbound {
    async fn ctx_is_free(&self) -> bool;
}

#[async_trait]
impl Unbound for TrackLocalStaticRTP {
    /// Whether it belongs to no peer connection yet: then writing fails.
    async fn ctx_is_free(&self) -> bool {
        let packet = rtp::Packet::default();
        self.write_rtp(packet).await.is_err()
    }
}

async fn opened(channel: &dyn DataChannel) {
    soon("the channel opens", async {
        while !matches!(channel.poll().await.expect("the channel lives"), DataChannelEvent::OnOpen) {}
    })
    .await;
}

async fn message(channel: &dyn DataChannel) -> (bool, Vec<u8>) {
    soon("a message", async {
        loop {
            if let DataChannelEvent::OnMessage(message) = channel.poll().await.expect("the channel lives") {
                return (message.is_string, message.data.to_vec());
            }
        }
    })
    .await
}

/// The track that the mesh hands out while the foreigner sends, once 20 packets came through.
async fn track_from(bob: &Foreigner, alice: &Mesh) -> IncomingTrack {
    let received = async {
        let mut track = video_track(alice).await;
        video_numbers(&mut track, 20).await;
        track
    };
    tokio::select! {
        () = bob.send_video() => unreachable!(),
        track = received => track,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreign_caller_gets_media_messages_and_keyframe_requests() {
    let hub = Hub::default();
    let alice = mesh(&hub, "alice").await;
    let mut events = alice.events();
    let mut bob = Foreigner::new(&hub).await;
    bob.pc.add_track(bob.video.clone()).await.unwrap();
    let chat = bob.pc.create_data_channel("chat", None).await.unwrap();
    bob.offer().await;
    bob.run("connected", |_| !alice.peers().is_empty()).await;
    event(&mut events, |e| matches!(e, MeshEvent::PeerConnected { .. })).await;
    opened(&*chat).await;

    // Messages are plain, in both directions, on the channel that the caller opened.
    chat.send_text("hello").await.unwrap();
    chat.send(BytesMut::from(&[1u8, 2, 3][..])).await.unwrap();
    let binary = Message::Binary(Bytes::from_static(&[1, 2, 3]));
    assert_eq!(soon("text", alice.recv_message()).await, Some((id("bob"), Message::Text("hello".into()))));
    assert_eq!(soon("binary", alice.recv_message()).await, Some((id("bob"), binary.clone())));
    soon("send", alice.send_message(&id("bob"), Message::Text("hi".into()))).await.unwrap();
    soon("send", alice.send_message(&id("bob"), binary)).await.unwrap();
    assert_eq!(message(&*chat).await, (true, b"hi".to_vec()));
    assert_eq!(message(&*chat).await, (false, vec![1, 2, 3]));
    let large = Message::Binary(vec![0; 300_000].into());
    match soon("send", alice.send_message(&id("bob"), large)).await {
        Err(MeshError::MessageTooLarge { limit, .. }) => assert_eq!(limit, 65_536),
        other => panic!("{other:?}"),
    }

    // Media, and a request for a keyframe each way.
    let ready = soon("feedback", alice.next_feedback()).await.unwrap();
    assert_eq!(ready, Feedback::MediaReady { peer: id("bob"), audio: vec![], video: vec![Codec::Vp8] });
    let sending = {
        let alice = alice.clone();
        tokio::spawn(async move { send_video(&alice, "bob").await })
    };
    let mut track = track_from(&bob, &alice).await;
    bob.run("alice's track", |bob| !bob.tracks.is_empty()).await;
    let remote = bob.tracks[0].clone();
    let ssrc = soon("a packet", async {
        loop {
            if let Some(TrackRemoteEvent::OnRtpPacket(packet)) = remote.poll().await {
                break packet.header.ssrc;
            }
        }
    })
    .await;
    remote.write_rtcp(vec![Box::new(PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc })]).await.unwrap();
    soon("the request arrives", async {
        while soon("feedback", alice.next_feedback()).await
            != Some(Feedback::KeyframeRequested { peer: id("bob"), stream: None })
        {}
    })
    .await;
    // It closes without a word: the channel tells.
    sending.abort();
    bob.pc.close().await.unwrap();
    event(&mut events, |e| matches!(e, MeshEvent::PeerDisconnected { .. })).await;
    soon("the track ends", async { while track.recv().await.is_some() {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreigner_that_only_watches_at_first_can_show_something_later() {
    let hub = Hub::default();
    let alice = mesh(&hub, "alice").await;
    let mut bob = Foreigner::new(&hub).await;
    let only_watches = RTCRtpTransceiverInit { direction: RTCRtpTransceiverDirection::Recvonly, ..Default::default() };
    bob.pc.add_transceiver_from_kind(RtpCodecKind::Video, Some(only_watches)).await.unwrap();
    bob.pc.create_data_channel("chat", None).await.unwrap();
    bob.offer().await;
    bob.run("connected", |_| !alice.peers().is_empty()).await;
    let ready = soon("feedback", alice.next_feedback()).await.unwrap();
    assert_eq!(ready, Feedback::MediaReady { peer: id("bob"), audio: vec![], video: vec![Codec::Vp8] });
    bob.pc.add_track(bob.video.clone()).await.unwrap();
    bob.offer().await;
    let described = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let look = {
        let (pc, described) = (bob.pc.clone(), described.clone());
        tokio::spawn(async move {
            let shows = |sdp: &str| sdp.split("m=video").nth(1).is_some_and(|video| video.contains("a=sendrecv"));
            while !pc.remote_description().await.is_some_and(|answer| shows(&answer.sdp)) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            described.store(true, std::sync::atomic::Ordering::Relaxed);
        })
    };
    bob.run("the answer", |_| described.load(std::sync::atomic::Ordering::Relaxed)).await;
    look.await.unwrap();
    track_from(&bob, &alice).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreigner_that_leaves_the_choice_to_us_is_the_dtls_client() {
    let hub = Hub::default();
    let alice = mesh(&hub, "alice").await;
    let mut bob = Foreigner::new(&hub).await;
    bob.pc.add_track(bob.video.clone()).await.unwrap();
    bob.pc.create_data_channel("chat", None).await.unwrap();
    bob.offer().await;
    let roles =
        |sdp: &str| sdp.lines().filter_map(|l| l.strip_prefix("a=setup:").map(str::to_owned)).collect::<Vec<_>>();
    let offered = roles(&bob.pc.local_description().await.unwrap().sdp);
    assert_eq!(offered, ["actpass", "actpass"], "as browsers offer");
    bob.run("connected", |_| !alice.peers().is_empty()).await;
    let answered = roles(&bob.pc.remote_description().await.unwrap().sdp);
    assert_eq!(answered, ["passive", "passive"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreigner_can_be_called() {
    let hub = Hub::default();
    let mut config = config("alice");
    config.video = vec![Codec::Vp9, Codec::Vp8];
    let alice = mesh_with(&hub, config).await;
    let mut bob = Foreigner::new(&hub).await;
    bob.payload_type = 120;
    let calling = {
        let alice = alice.clone();
        tokio::spawn(async move { alice.connect(&id("bob")).await })
    };
    bob.run("connected", |_| !alice.peers().is_empty()).await;
    soon("the call", calling).await.unwrap().unwrap();
    bob.run("our channels", |bob| bob.channels.len() == 2).await;
    let mut labels = Vec::new();
    for channel in &bob.channels {
        labels.push(channel.label().await.unwrap());
    }
    let at = labels.iter().position(|l| l == "remotemedia").expect("the message channel");
    let channel = bob.channels[at].clone();
    soon("send", alice.send_message(&id("bob"), Message::Text("plain".into()))).await.unwrap();
    assert_eq!(message(&*channel).await, (true, b"plain".to_vec()));
    channel.send_text("answer").await.unwrap();
    assert_eq!(soon("receive", alice.recv_message()).await, Some((id("bob"), Message::Text("answer".into()))));
    let mut track = track_from(&bob, &alice).await;
    assert!(alice.peers()[0].metrics.connect_time > Duration::ZERO);
    alice.shutdown().await;
    soon("the track ends", async { while track.recv().await.is_some() {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_foreigner_that_offers_layers_of_simulcast_is_answered_without_and_sends_one_stream() {
    let hub = Hub::default();
    let alice = mesh(&hub, "alice").await;
    let mut bob = Foreigner::new(&hub).await;
    bob.pc.add_track(bob.video.clone()).await.unwrap();
    let offer = bob.pc.create_offer(None).await.unwrap();
    bob.pc.set_local_description(offer.clone()).await.unwrap();
    // The stack under test offers no layers that browsers would: theirs are added to what it offers.
    let layers = "a=rid:q send\r\na=rid:h send\r\na=simulcast:send q;h\r\na=rtcp-mux\r\n";
    let sdp = offer.sdp.replacen("a=rtcp-mux\r\n", layers, 1);
    assert!(sdp.contains("a=simulcast:"));
    bob.send(SignalingMessage::Offer { sdp, request_id: bob.request_id.clone() }).await;
    bob.run("connected", |_| !alice.peers().is_empty()).await;
    let answer = bob.pc.remote_description().await.unwrap().sdp;
    assert!(!answer.contains("a=simulcast") && !answer.contains("a=rid"), "{answer}");
    track_from(&bob, &alice).await;
}
