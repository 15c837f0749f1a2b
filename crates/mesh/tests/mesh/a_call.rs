//! Two meshes over an in-memory signaling server: media and messages both ways.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::Duration;

use bytes::Bytes;
use remotemedia_media::{Codec, MediaKind, RtpTimestamp};
use remotemedia_mesh::{Feedback, Mesh, MeshError, Message, TrackItem};
use remotemedia_rtp::OutgoingPacket;

use crate::hub::{Hub, connected, id, mesh, soon};

/// Sends packets whose payload is their number until `stop`.
async fn send_numbered(mesh: &Mesh, to: &str, codec: Codec, ticks: u32) {
    for number in 0u32.. {
        let payload = Bytes::copy_from_slice(&number.to_be_bytes());
        let packet = OutgoingPacket { timestamp: RtpTimestamp(number * ticks), marker: true, payload };
        mesh.send_media(&id(to), codec, &[packet], true).unwrap();
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Receives 20 packets of `codec` and checks that nothing is missing between them.
async fn receive_numbered(mesh: &Mesh, kind: MediaKind, expected: Codec, ticks: u32) {
    let mut track = loop {
        let track = mesh.next_track().await.unwrap();
        if track.kind() == kind {
            break track;
        }
    };
    let mut first = None;
    let mut last = None;
    for _ in 0..20 {
        let Some(TrackItem::Packet { codec, packet }) = track.recv().await else { continue };
        assert_eq!(codec, expected);
        let number = u32::from_be_bytes(packet.payload[..].try_into().unwrap());
        if let Some((sequence, before)) = last {
            assert_eq!(packet.sequence - sequence, u64::from(number - before), "numbers and sequence agree");
        }
        last = Some((packet.sequence, number));
        let (first_number, first_time) = *first.get_or_insert((number, packet.timestamp));
        assert_eq!(packet.timestamp.since(first_time), ((number - first_number) * ticks) as i32);
        assert!(packet.marker);
    }
    assert!(last.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn audio_and_video_flow_both_ways() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    for (mesh, peer) in [(&alice, "bob"), (&bob, "alice")] {
        let ready = soon("feedback", mesh.next_feedback()).await.unwrap();
        let expected = Feedback::MediaReady { peer: id(peer), audio: vec![Codec::Opus], video: vec![Codec::Vp8] };
        assert_eq!(ready, expected);
    }
    for (from, to, name) in [(&alice, &bob, "bob"), (&bob, &alice, "alice")] {
        for (codec, ticks) in [(Codec::Opus, 960), (Codec::Vp8, 3_000)] {
            let sending = send_numbered(from, name, codec, ticks);
            let receiving = receive_numbered(to, codec.kind(), codec, ticks);
            soon("media", async {
                tokio::select! {
                    () = sending => unreachable!(),
                    () = receiving => {}
                }
            })
            .await;
        }
    }
    alice.shutdown().await;
    bob.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_flow_both_ways_right_after_connecting() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    soon("connect", bob.connect(&id("alice"))).await.unwrap();
    connected(&alice, &bob).await;
    let text = Message::Text("hello, bob".into());
    let bytes = Message::Binary(Bytes::from_static(&[0, 255, 1]));
    soon("send", alice.send_message(&id("bob"), text.clone())).await.unwrap();
    soon("send", bob.send_message(&id("alice"), bytes.clone())).await.unwrap();
    assert_eq!(soon("receive", bob.recv_message()).await, Some((id("alice"), text)));
    assert_eq!(soon("receive", alice.recv_message()).await, Some((id("bob"), bytes)));
    alice.shutdown().await;
    assert!(matches!(alice.connect(&id("bob")).await, Err(MeshError::ShutDown)));
}
