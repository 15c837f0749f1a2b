//! The tests of the quickstart guide, by name. Each starts a signaling server of its own.

mod support;

use std::{sync::Arc, time::Instant};

use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    manifest::Manifest,
    transport::TransportData,
};
use remotemedia_webrtc::transport::{WebRtcTransport, WebRtcTransportConfig};
use support::{Signaling, in_time};

#[tokio::test]
async fn test_transport_creation() {
    let config = WebRtcTransportConfig {
        signaling_url: "ws://localhost:8080".to_string(),
        peer_id: "test-peer".to_string(),
        stun_servers: vec!["stun:stun.l.google.com:19302".to_string()],
        max_peers: 5,
        ..Default::default()
    };

    let transport = WebRtcTransport::new(config);
    assert!(transport.is_ok());
}

#[tokio::test]
async fn test_invalid_config() {
    let config = WebRtcTransportConfig { signaling_url: "invalid-url".to_string(), ..Default::default() };

    let transport = WebRtcTransport::new(config);
    assert!(transport.is_err());
}

#[tokio::test]
async fn test_1v1_connection() {
    let signaling = Signaling::start().await;
    let alice_config = WebRtcTransportConfig {
        signaling_url: signaling.url.clone(),
        peer_id: "alice".to_string(),
        stun_servers: vec![],
        ..Default::default()
    };
    let bob_config = WebRtcTransportConfig {
        signaling_url: signaling.url.clone(),
        peer_id: "bob".to_string(),
        stun_servers: vec![],
        ..Default::default()
    };

    let alice = WebRtcTransport::new(alice_config).unwrap();
    let bob = WebRtcTransport::new(bob_config).unwrap();

    alice.start().await.unwrap();
    bob.start().await.unwrap();

    let peer_id = in_time("the connection", alice.connect_peer("bob")).await.unwrap();
    assert_eq!(peer_id.as_str(), "bob");

    let peers = alice.list_peers().await.unwrap();
    assert_eq!(peers.len(), 1);
    assert_eq!(peers[0].peer_id, "bob");

    alice.disconnect_peer("bob").await.unwrap();
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test]
async fn test_audio_latency() {
    let signaling = Signaling::start().await;
    let transport = signaling.transport("alice").await;
    let manifest = Manifest::from_yaml(
        "pipeline:
           nodes: [{id: echo, type: Echo}]
           graph: [{from: input, to: echo}, {from: echo, to: output}]",
    );
    let mut session = transport.stream(Arc::new(manifest.unwrap())).await.unwrap();

    let start = Instant::now();
    let audio = RuntimeData::from(AudioFrame::new(vec![0.1; 960], 48_000, 1).unwrap());
    session.send_input(TransportData::new(audio)).await.unwrap();
    let output = session.recv_output().await.unwrap();
    let elapsed = start.elapsed();

    println!("Pipeline latency: {elapsed:?}");
    assert!(matches!(output.unwrap().data, RuntimeData::Audio { frame } if frame.samples()[0] == 0.1));
    assert!(elapsed.as_millis() < 50);
    transport.shutdown().await.unwrap();
}
