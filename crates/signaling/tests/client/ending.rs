//! How clients end.

use std::time::{Duration, Instant};

use remotemedia_signaling::{
    client::{ClientError, ClientEvent, EndReason, SignalingClient},
    protocol::LeftReason,
    server::ServerConfig,
};
use tokio::net::TcpListener;

use crate::line::{PATIENCE, audio, config, join, next, start};

fn left(peer: &str) -> ClientEvent {
    ClientEvent::PeerLeft { peer_id: peer.parse().unwrap(), reason: LeftReason::Left }
}

#[tokio::test]
async fn shutdown_leaves_the_room_and_ends_the_events() {
    let (server, address) = start(ServerConfig::default()).await;
    let alice = join(address, "alice").await;
    let bob = join(address, "bob").await;
    assert!(matches!(next(&alice).await, ClientEvent::PeerAnnounced { .. }));
    let started = Instant::now();
    bob.shutdown().await;
    assert!(started.elapsed() < PATIENCE / 6, "{:?}", started.elapsed());
    assert_eq!(next(&alice).await, left("bob"));
    assert_eq!(bob.next_event().await, None);
    assert!(matches!(bob.ping().await, Err(ClientError::Closed)));
    bob.shutdown().await;
    while server.metrics().connections > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn dropping_the_last_handle_leaves_the_room() {
    let (_server, address) = start(ServerConfig::default()).await;
    let alice = join(address, "alice").await;
    let bob = join(address, "bob").await;
    assert!(matches!(next(&alice).await, ClientEvent::PeerAnnounced { .. }));
    let clone = bob.clone();
    drop(bob);
    clone.ping().await.unwrap();
    drop(clone);
    assert_eq!(next(&alice).await, left("bob"));
}

#[tokio::test]
async fn shutdown_ends_though_the_server_stands_still() {
    let (_server, address) = start(ServerConfig::default()).await;
    let line = crate::line::Line::to(address).await;
    let bob = join(line.address, "bob").await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    line.lead_to(Some(silent.local_addr().unwrap()));
    line.cut();
    let (_standing_still, _) = silent.accept().await.unwrap();
    let started = Instant::now();
    bob.shutdown().await;
    assert!(started.elapsed() < PATIENCE / 6, "{:?}", started.elapsed());
    assert!(matches!(bob.ping().await, Err(ClientError::Closed)));
}

#[tokio::test]
async fn a_client_that_was_never_started_ends_too() {
    let (_server, address) = start(ServerConfig::default()).await;
    let bob = SignalingClient::new(config(address, "bob")).unwrap();
    assert!(matches!(bob.ping().await, Err(ClientError::NotConnected)));
    bob.leave().await.unwrap();
    bob.shutdown().await;
    assert_eq!(bob.next_event().await, None);
    assert!(matches!(bob.announce(audio()).await, Err(ClientError::Closed)));
}

#[tokio::test]
async fn dropping_the_first_announce_takes_the_attempt_back() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let bob = SignalingClient::new(config(silent.local_addr().unwrap(), "bob")).unwrap();
    let dropped = tokio::time::timeout(Duration::from_millis(50), bob.announce(audio())).await;
    assert!(dropped.is_err());
    let (mut stream, _) = silent.accept().await.unwrap();
    let mut taken_in = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut taken_in);
    tokio::time::timeout(PATIENCE, reading).await.expect("the client hangs up").unwrap();
}

#[tokio::test]
async fn a_client_that_is_taken_over_does_not_fight() {
    let (server, address) = start(ServerConfig::default()).await;
    let first = SignalingClient::new(config(address, "bob")).unwrap();
    let key = first.announce(audio()).await.unwrap().session_key;
    assert!(matches!(next(&first).await, ClientEvent::Connected { .. }));
    let (mut thief, _) = tokio_tungstenite::connect_async(format!("ws://{address}")).await.unwrap();
    let announce = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "peer.announce",
        "params": {"peer_id": "bob", "capabilities": ["audio"], "session_key": key}});
    let announce = tokio_tungstenite::tungstenite::Message::text(announce.to_string());
    futures_util::SinkExt::send(&mut thief, announce).await.unwrap();
    assert_eq!(next(&first).await, ClientEvent::Ended { reason: EndReason::TakenOver });
    assert_eq!(first.next_event().await, None);
    assert_eq!(server.metrics().takeovers, 1);
}

#[tokio::test]
async fn a_client_that_is_removed_stays_away() {
    let (server, address) = start(ServerConfig::default()).await;
    let bob = join(address, "bob").await;
    assert!(server.kick(&"default".parse().unwrap(), bob.peer_id()));
    assert_eq!(next(&bob).await, ClientEvent::Ended { reason: EndReason::Kicked });
    assert_eq!(server.metrics().peers, 0);
}
