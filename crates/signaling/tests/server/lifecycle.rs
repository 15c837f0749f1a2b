//! Sockets that come, go, break and are taken over.

use std::time::{Duration, Instant};

use axum::{Router, routing::get};
use futures_util::SinkExt;
use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tokio_tungstenite::tungstenite::Message;

use crate::raw_client::{PATIENCE, RawClient, start};

#[tokio::test]
async fn a_broken_socket_is_told_at_once_and_its_key_brings_the_peer_back() {
    let (server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::connect(address).await;
    let key = bob.announce("bob").await["session_key"].clone();
    assert_eq!(alice.push().await.0, "peer.announced");
    drop(bob); // no close frame, no peer.leave
    let lost = ("peer.left".to_owned(), json!({"peer_id": "bob", "reason": "connection_lost"}));
    assert_eq!(alice.push().await, lost);
    assert_eq!((server.metrics().peers, server.metrics().reserved), (1, 1));

    let announce = |key| json!({"peer_id": "bob", "capabilities": ["audio"], "session_key": key});
    let mut thief = RawClient::connect(address).await;
    let exists = (-32000, json!({"reason": "peer_exists", "peer_id": "bob"}));
    assert_eq!(thief.err("peer.announce", announce(json!("0".repeat(32)))).await, exists);
    let mut bob = RawClient::connect(address).await;
    let new_key = bob.ok("peer.announce", announce(key.clone())).await["session_key"].clone();
    assert_ne!(new_key, key);
    let (method, params) = alice.push().await;
    assert_eq!((method.as_str(), &params["resumed"]), ("peer.announced", &json!(true)));
    assert_eq!(thief.err("peer.announce", announce(key)).await, exists, "a used key opens nothing");
}

#[tokio::test]
async fn a_takeover_closes_the_old_socket_with_4001_and_survives_its_late_close() {
    let (server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut old = RawClient::connect(address).await;
    let key = old.announce("bob").await["session_key"].clone();
    assert_eq!(alice.push().await.0, "peer.announced");
    let mut new = RawClient::connect(address).await;
    new.ok("peer.announce", json!({"peer_id": "bob", "capabilities": ["audio"], "session_key": key})).await;
    assert_eq!(old.close_code().await, 4001);
    drop(old);
    assert_eq!(alice.push().await.1, json!({"peer_id": "bob", "reason": "replaced"}));
    assert_eq!(alice.push().await.1["resumed"], true);
    alice.ok("peer.offer", crate::raw_client::description("alice", "bob", "r")).await;
    assert_eq!(new.push().await.0, "peer.offer");
    while server.metrics().connections != 2 {
        tokio::task::yield_now().await;
    }
    assert_eq!(alice.ok("peer.list", json!({})).await["peers"][0]["peer_id"], "bob");
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_gone() {
    let config = ServerConfig {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_millis(300),
        ..ServerConfig::default()
    };
    let (_server, address) = start(config).await;
    // A client that reads answers pings by itself; one that does not read does not.
    let deaf = RawClient::join(address, "deaf").await;
    let mut alice = RawClient::join(address, "alice").await;
    assert_eq!(alice.push().await, ("peer.left".to_owned(), json!({"peer_id": "deaf", "reason": "timeout"})));
    alice.ok("peer.ping", json!({})).await;
    drop(deaf);
}

#[tokio::test]
async fn shutdown_closes_every_socket_within_a_second() {
    let (server, address) = start(ServerConfig::default()).await;
    let mut reads = RawClient::join(address, "reads").await;
    let _ignores = RawClient::join(address, "ignores").await;
    let _half_open = TcpStream::connect(address).await.unwrap();
    let reading = tokio::spawn(async move {
        reads.push().await;
        reads.close_code().await
    });
    let started = Instant::now();
    server.shutdown().await;
    assert!(started.elapsed() < PATIENCE / 6, "{:?}", started.elapsed());
    assert_eq!(reading.await.unwrap(), 1001);
    assert_eq!(server.metrics().connections, 0);
    server.shutdown().await;
    assert!(TcpStream::connect(address).await.is_err(), "the listener is closed");
}

#[tokio::test]
async fn dropping_the_last_handle_closes_the_sockets() {
    let server = SignalingServer::new(ServerConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = tokio::spawn(axum::serve(listener, server.router()).into_future());
    let mut alice = RawClient::join(address, "alice").await;
    drop(server);
    alice.ok("peer.ping", json!({})).await; // the router is a handle too
    serving.abort();
    assert_eq!(alice.close_code().await, 1001);
}

#[tokio::test]
async fn the_router_lives_beside_other_routes() {
    let server = SignalingServer::new(ServerConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/health", get(|| async { "fine" })).merge(server.router());
    let serving = server.clone();
    tokio::spawn(async move { serving.serve_router(listener, router).await });
    assert!(http(address, "GET /health HTTP/1.1").await.ends_with("fine"));
    assert!(http(address, "GET / HTTP/1.1").await.starts_with("HTTP/1.1 426 "));
    let (mut socket, _) = tokio_tungstenite::connect_async(format!("ws://{address}/signal")).await.unwrap();
    socket.send(Message::text(r#"{"jsonrpc":"2.0","id":1,"method":"peer.ping"}"#)).await.unwrap();
}

#[tokio::test]
async fn one_socket_too_many_gets_503() {
    let (server, address) = start(ServerConfig { max_connections: 1, ..ServerConfig::default() }).await;
    let first = RawClient::connect(address).await;
    let refused = tokio_tungstenite::connect_async(format!("ws://{address}/")).await.unwrap_err();
    let tokio_tungstenite::tungstenite::Error::Http(response) = refused else { panic!("{refused}") };
    assert_eq!(response.status(), 503);
    drop(first);
    while server.metrics().connections > 0 {
        tokio::task::yield_now().await;
    }
    RawClient::connect(address).await;
}

#[tokio::test]
async fn an_operator_can_remove_a_peer() {
    let (server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::join(address, "bob").await;
    assert!(server.kick(&"default".parse().unwrap(), &"bob".parse().unwrap()));
    assert_eq!(bob.close_code().await, 1008);
    assert_eq!(alice.push().await.0, "peer.announced");
    assert_eq!(alice.push().await.1, json!({"peer_id": "bob", "reason": "kicked"}));
}

async fn http(address: std::net::SocketAddr, request_line: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let request = format!("{request_line}\r\nhost: test\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    tokio::time::timeout(PATIENCE, stream.read_to_string(&mut response)).await.unwrap().unwrap();
    response
}
