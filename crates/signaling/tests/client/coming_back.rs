//! Lost connections, killed servers, and what the user is told of them.

use std::time::Duration;

use remotemedia_signaling::{
    client::{ClientError, ClientEvent, EndReason, SignalingClient},
    protocol::LeftReason,
    server::{ServerConfig, SignalingServer, TokenRefusal, TokenRequest},
};
use tokio::net::TcpListener;

use crate::line::{Line, audio, config, join, next, next_of_peers, start, until_connected};

#[tokio::test]
async fn a_cut_connection_is_taken_over_with_the_session_key() {
    let (server, address) = start(ServerConfig::default()).await;
    let line = Line::to(address).await;
    let alice = join(address, "alice").await;
    let bob = join(line.address, "bob").await;
    assert!(matches!(next(&alice).await, ClientEvent::PeerAnnounced { .. }));
    for takeovers in 1..=3 {
        line.cut();
        assert!(matches!(next(&bob).await, ClientEvent::Disconnected { .. }));
        assert!(matches!(next(&bob).await, ClientEvent::Connected { .. }));
        let left = next(&alice).await;
        assert!(matches!(
            left,
            ClientEvent::PeerLeft { reason: LeftReason::ConnectionLost | LeftReason::Replaced, .. }
        ));
        assert!(matches!(next(&alice).await, ClientEvent::PeerAnnounced { resumed: true, .. }));
        assert_eq!(server.metrics().takeovers, takeovers);
    }
    alice.offer(bob.peer_id(), "v=0", "r").await.unwrap();
    assert!(matches!(next(&bob).await, ClientEvent::Offer(_)), "nothing was said twice: alice was there all the time");
}

#[tokio::test]
async fn what_happened_meanwhile_is_told_when_the_client_is_back() {
    let (_server, address) = start(ServerConfig::default()).await;
    let line = Line::to(address).await;
    let bob = join(line.address, "bob").await;
    let stays = join(address, "stays").await;
    let goes = join(address, "goes").await;
    for _ in 0..2 {
        assert!(matches!(next(&bob).await, ClientEvent::PeerAnnounced { .. }));
    }
    line.lead_to(None);
    line.cut();
    assert!(matches!(next(&bob).await, ClientEvent::Disconnected { .. }));
    assert!(matches!(bob.ping().await, Err(ClientError::NotConnected)));
    goes.shutdown().await;
    let _comes = join(address, "comes").await;
    line.lead_to(Some(address));
    until_connected(&bob).await;
    let ClientEvent::PeerLeft { peer_id, .. } = next(&bob).await else { panic!("one is gone") };
    assert_eq!(peer_id, "goes");
    let ClientEvent::PeerAnnounced { peer, .. } = next(&bob).await else { panic!("one has come") };
    assert_eq!(peer.peer_id, "comes");
    stays.offer(bob.peer_id(), "v=0", "r").await.unwrap();
    assert!(matches!(next(&bob).await, ClientEvent::Offer(_)));
}

/// A server in a runtime of its own, so that it can be killed without a word.
struct Doomed {
    runtime: tokio::runtime::Runtime,
    address: std::net::SocketAddr,
}

impl Doomed {
    fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let server = SignalingServer::new(ServerConfig::default());
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move { server.serve(listener).await });
        Self { runtime, address }
    }
}

#[test]
fn clients_come_back_to_a_server_that_was_killed_and_restarted() {
    let clients = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let first = Doomed::start();
    let second = Doomed::start();
    clients.block_on(async {
        let line = Line::to(first.address).await;
        let alice = join(line.address, "alice").await;
        let bob = join(line.address, "bob").await;
        assert!(matches!(next(&alice).await, ClientEvent::PeerAnnounced { .. }));
        line.lead_to(None);
        first.runtime.shutdown_background();
        for client in [&alice, &bob] {
            assert!(matches!(next(client).await, ClientEvent::Disconnected { .. }));
        }
        line.lead_to(Some(second.address));
        until_connected(&alice).await;
        until_connected(&bob).await;
        // The new server knows nothing of offers made at the old one.
        loop {
            match alice.answer(bob.peer_id(), "v=0", "old").await {
                Err(ClientError::Refused { source, .. }) if source.code == -32003 => break,
                Err(ClientError::PeerNotFound { .. }) => {}
                other => panic!("{other:?}"),
            }
        }
        alice.offer(bob.peer_id(), "v=0", "old").await.unwrap();
        while !matches!(next_of_peers(&bob).await, ClientEvent::Offer(_)) {}
        bob.answer(alice.peer_id(), "v=0", "old").await.unwrap();
    });
    second.runtime.shutdown_background();
}

#[tokio::test]
async fn a_server_that_says_nothing_any_more_counts_as_lost() {
    let (_server, address) = start(ServerConfig::default()).await;
    let line = Line::to(address).await;
    let mut config = config(line.address, "bob");
    config.ping_interval = Duration::from_millis(50);
    let bob = SignalingClient::new(config).unwrap();
    bob.announce(audio()).await.unwrap();
    until_connected(&bob).await;
    // The server's process stands still: the connection stays open, and nothing comes.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    line.lead_to(Some(silent.local_addr().unwrap()));
    line.cut();
    assert!(matches!(next(&bob).await, ClientEvent::Disconnected { .. }));
    let (_standing_still, _) = silent.accept().await.unwrap();
    line.lead_to(Some(address));
    line.cut();
    until_connected(&bob).await;
}

#[tokio::test]
async fn a_frozen_connection_is_noticed_by_the_pings() {
    let (_server, address) = start(ServerConfig::default()).await;
    // Speaks WebSocket, answers the announcement, and then reads and says nothing.
    let frozen = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let line = Line::to(frozen.local_addr().unwrap()).await;
    let mut config = config(line.address, "bob");
    config.ping_interval = Duration::from_millis(50);
    let bob = SignalingClient::new(config).unwrap();
    let freezing = async {
        use futures_util::{SinkExt, StreamExt};
        let (stream, _) = frozen.accept().await.unwrap();
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        socket.next().await.unwrap().unwrap();
        let reply = serde_json::json!({"jsonrpc": "2.0", "id": 1, "result": {"status": "registered", "peer_id": "bob",
            "room": "default", "server_time": "now", "session_key": "k", "peers": [], "ice_servers": []}});
        socket.send(tokio_tungstenite::tungstenite::Message::text(reply.to_string())).await.unwrap();
        socket
    };
    let (announced, _frozen_socket) = tokio::join!(bob.announce(audio()), freezing);
    announced.unwrap();
    until_connected(&bob).await;
    line.lead_to(Some(address));
    assert!(matches!(next(&bob).await, ClientEvent::Disconnected { .. }));
    until_connected(&bob).await;
    bob.ping().await.unwrap();
}

#[tokio::test]
async fn a_token_that_is_refused_on_the_way_back_ends_the_client() {
    let valid = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(true));
    let answer = std::sync::Arc::clone(&valid);
    let verifier = move |_: &TokenRequest<'_>| match answer.load(std::sync::atomic::Ordering::SeqCst) {
        true => Ok(()),
        false => Err(TokenRefusal::Expired),
    };
    let token_verifier = Some(std::sync::Arc::new(verifier) as _);
    let (_server, address) = start(ServerConfig { token_verifier, ..ServerConfig::default() }).await;
    let line = Line::to(address).await;
    let bob = join(line.address, "bob").await;
    valid.store(false, std::sync::atomic::Ordering::SeqCst);
    line.cut();
    assert!(matches!(next(&bob).await, ClientEvent::Disconnected { .. }));
    let reason = EndReason::NotAuthorized { reason: "expired_token".into() };
    assert_eq!(next(&bob).await, ClientEvent::Ended { reason });
    assert_eq!(bob.next_event().await, None);
    assert!(matches!(bob.ping().await, Err(ClientError::Closed)));
}
