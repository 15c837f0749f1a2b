//! Which codecs two meshes agree on, and that media flows in each.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use remotemedia_media::{Codec, RtpTimestamp};
use remotemedia_mesh::{Feedback, Mesh, MeshError, Signaler, SignalingEvent, SignalingMessage, TrackItem};
use remotemedia_rtp::OutgoingPacket;

use crate::{
    hub::{Hub, config, connected, id, soon},
    mesh_with,
};

async fn pair(alice: &[Codec], bob: &[Codec]) -> (Mesh, Mesh) {
    let hub = Hub::default();
    let mut meshes = Vec::new();
    for (name, video) in [("alice", alice), ("bob", bob)] {
        let mut config = config(name);
        config.video = video.to_vec();
        meshes.push(mesh_with(&hub, config).await);
    }
    let (bob, alice) = (meshes.pop().unwrap(), meshes.pop().unwrap());
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    (alice, bob)
}

async fn video_of(mesh: &Mesh) -> Vec<Codec> {
    match soon("feedback", mesh.next_feedback()).await.unwrap() {
        Feedback::MediaReady { video, .. } => video,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_offer_has_the_numbers_that_firefox_goes_back_to_in_its_own() {
    let hub = Hub::default();
    let bob = hub.join("bob");
    let mut config = config("alice");
    config.video = vec![Codec::Vp9, Codec::Vp8, Codec::H264];
    let alice = mesh_with(&hub, config).await;
    let _calling = {
        let alice = alice.clone();
        tokio::spawn(async move { alice.connect(&id("bob")).await })
    };
    let sdp = soon("an offer", async {
        loop {
            let event = bob.next_event().await.unwrap();
            if let SignalingEvent::Message { message: SignalingMessage::Offer { sdp, .. }, .. } = event {
                break sdp;
            }
        }
    })
    .await;
    for line in ["rtpmap:111 opus/", "rtpmap:120 VP8/", "rtpmap:121 VP9/", "rtpmap:126 H264/"] {
        assert!(sdp.contains(&format!("a={line}")), "{line} in {sdp}");
    }
    for (retransmission, of) in [(124, 120), (125, 121), (127, 126)] {
        assert!(sdp.contains(&format!("a=rtpmap:{retransmission} rtx/90000\r\n")), "{retransmission} in {sdp}");
        assert!(sdp.contains(&format!("a=fmtp:{retransmission} apt={of}\r\n")), "{of} in {sdp}");
    }
    alice.shutdown().await;
}

async fn arrives(from: &Mesh, to: &Mesh, name: &str, codec: Codec) {
    let sending = async {
        for number in 0u32.. {
            let timestamp = RtpTimestamp(number * 3_000);
            let packet = OutgoingPacket { timestamp, marker: true, payload: Bytes::from_static(b"frame") };
            from.send_media(&id(name), codec, &[packet], true).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let receiving = async {
        let mut track = to.next_track().await.unwrap();
        loop {
            if let Some(TrackItem::Packet { codec: came, .. }) = track.recv().await {
                break assert_eq!(came, codec);
            }
        }
    };
    soon("video", async {
        tokio::select! {
            () = sending => unreachable!(),
            () = receiving => {}
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_that_both_have_can_be_sent() {
    let all = [Codec::Vp9, Codec::Vp8, Codec::H264];
    for codec in all {
        let (alice, bob) = pair(&all, &all).await;
        assert_eq!(video_of(&alice).await, all);
        assert_eq!(video_of(&bob).await, all);
        arrives(&alice, &bob, "bob", codec).await;
        arrives(&bob, &alice, "alice", codec).await;
        alice.shutdown().await;
        bob.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_codec_can_be_changed_while_video_flows() {
    let all = [Codec::Vp8, Codec::Vp9, Codec::H264];
    let (alice, bob) = pair(&all, &all).await;
    let mut track = None;
    for codec in [Codec::Vp8, Codec::H264, Codec::Vp9, Codec::Vp8] {
        let sending = async {
            for number in 0u32.. {
                let timestamp = RtpTimestamp(number * 3_000);
                let packet = OutgoingPacket { timestamp, marker: true, payload: Bytes::from_static(b"frame") };
                alice.send_media(&id("bob"), codec, &[packet], true).unwrap();
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let receiving = async {
            let track = match &mut track {
                Some(track) => track,
                None => track.insert(bob.next_track().await.unwrap()),
            };
            // Half a second of it: past the negotiation that the change leads to.
            let mut last = None;
            let mut packets = 0;
            while packets < 100 {
                match track.recv().await.expect("the same track goes on") {
                    TrackItem::Packet { codec: came, packet } if came == codec => {
                        assert!(last.is_none_or(|l| packet.sequence > l), "numbers go on");
                        last = Some(packet.sequence);
                        packets += 1;
                    }
                    _ => {}
                }
            }
        };
        soon("video", async {
            tokio::select! {
                () = sending => unreachable!(),
                () = receiving => {}
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_offerers_order_of_preference_rules() {
    let (alice, bob) = pair(&[Codec::Vp9, Codec::Vp8], &[Codec::Vp8, Codec::Vp9]).await;
    assert_eq!(video_of(&alice).await, [Codec::Vp9, Codec::Vp8]);
    assert_eq!(video_of(&bob).await, [Codec::Vp9, Codec::Vp8]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_our_favourite_gets_what_it_has() {
    let (alice, bob) = pair(&[Codec::Vp9, Codec::H264], &[Codec::H264]).await;
    assert_eq!(video_of(&alice).await, [Codec::H264]);
    match alice.send_media(&id("bob"), Codec::Vp9, &[], true) {
        Err(MeshError::CodecNotNegotiated { codec: Codec::Vp9, accepted, .. }) => assert_eq!(accepted, [Codec::H264]),
        other => panic!("{other:?}"),
    }
    arrives(&alice, &bob, "bob", Codec::H264).await;
    arrives(&bob, &alice, "alice", Codec::H264).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_without_a_common_video_codec_still_talk() {
    let (alice, bob) = pair(&[Codec::Vp9], &[Codec::H264]).await;
    assert_eq!(video_of(&alice).await, []);
    assert_eq!(video_of(&bob).await, []);
    let result = bob.send_media(&id("alice"), Codec::H264, &[], true);
    assert!(matches!(result, Err(MeshError::CodecNotNegotiated { .. })), "{result:?}");
    arrives(&alice, &bob, "bob", Codec::Opus).await;
    // Later descriptions can be made as well.
    alice.restart_ice(&id("bob")).await.unwrap();
    arrives(&bob, &alice, "alice", Codec::Opus).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_without_video_is_called_all_the_same() {
    for (alice, bob) in [(&[Codec::Vp8][..], &[][..]), (&[][..], &[Codec::Vp8][..])] {
        let (alice, bob) = pair(alice, bob).await;
        assert_eq!(video_of(&alice).await, []);
        arrives(&bob, &alice, "alice", Codec::Opus).await;
        arrives(&alice, &bob, "bob", Codec::Opus).await;
    }
}
