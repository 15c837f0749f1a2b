//! What goes wrong has a name and says what to do.

use std::time::Duration;

use remotemedia_signaling::{
    client::{ClientConfig, ClientError, SignalingClient},
    server::ServerConfig,
};
use tokio::net::TcpListener;

use crate::line::{audio, config, join, start};

fn with_url(url: &str) -> Result<SignalingClient, ClientError> {
    SignalingClient::new(ClientConfig::new(url, "bob".parse().unwrap()))
}

#[test]
fn a_url_is_checked_before_anything_runs() {
    for url in ["invalid-url", "localhost:8080", "http://localhost:8080", "ws://", "", "ws://:80", "wss://bad host/"] {
        let error = with_url(url).unwrap_err();
        assert!(matches!(error, ClientError::InvalidUrl { .. }), "{url}: {error}");
        assert!(error.to_string().contains("ws://host:port"), "{error}");
    }
    for url in ["ws://localhost", "wss://example.org/signal?x=1", "ws://127.0.0.1:8080/", "ws://[::1]:8080"] {
        with_url(url).unwrap();
    }
}

#[tokio::test]
async fn nobody_listening_is_unreachable() {
    // A port that was free a moment ago, and that nobody listens on while its socket is bound.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let bob = SignalingClient::new(config(address, "bob")).unwrap();
    for _ in 0..2 {
        let error = bob.announce(audio()).await.unwrap_err();
        assert!(matches!(error, ClientError::Unreachable { .. }), "{error}");
        assert!(error.to_string().contains(&address.to_string()), "{error}");
    }
    assert!(matches!(bob.ping().await, Err(ClientError::NotConnected)));
}

#[tokio::test]
async fn a_password_in_the_url_is_in_no_error_and_in_no_printed_configuration() {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    let mut config = config(address, "bob");
    config.url = format!("ws://bob:s3cret@{address}");
    let unreachable = SignalingClient::new(config.clone()).unwrap().announce(audio()).await.unwrap_err();
    let invalid = with_url("http://bob:s3cret@localhost").unwrap_err();
    for text in [format!("{config:?}"), format!("{unreachable} {unreachable:?}"), format!("{invalid} {invalid:?}")] {
        assert!(text.contains("bob:…@") && !text.contains("s3cret"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_does_not_answer_is_a_timeout() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = config(silent.local_addr().unwrap(), "bob");
    config.request_timeout = Duration::from_millis(50);
    let error = SignalingClient::new(config).unwrap().announce(audio()).await.unwrap_err();
    assert!(matches!(error, ClientError::ConnectTimeout { .. }), "{error}");
}

#[tokio::test]
async fn something_else_than_a_websocket_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, axum::Router::new()).into_future());
    let error = SignalingClient::new(config(address, "bob")).unwrap().announce(audio()).await.unwrap_err();
    assert!(matches!(error, ClientError::NotAWebSocket { status: 404, .. }), "{error}");
}

#[tokio::test]
async fn refusals_of_the_server_are_typed() {
    let (_server, address) = start(ServerConfig { max_peers_per_room: 1, ..ServerConfig::default() }).await;
    let bob = join(address, "bob").await;
    let twin = SignalingClient::new(config(address, "bob")).unwrap();
    let error = twin.announce(audio()).await.unwrap_err();
    assert!(matches!(&error, ClientError::NameTaken { peer_id } if peer_id == "bob"), "{error}");
    let carol = SignalingClient::new(config(address, "carol")).unwrap();
    assert!(matches!(carol.announce(audio()).await, Err(ClientError::Full { limit: 1 })));
    let error = bob.offer(&"nobody".parse().unwrap(), "v=0", "r").await.unwrap_err();
    assert!(matches!(&error, ClientError::PeerNotFound { peer_id } if peer_id == "nobody"), "{error}");
    let error = bob.offer(&"nobody".parse().unwrap(), "junk", "r").await.unwrap_err();
    assert!(matches!(&error, ClientError::Refused { source, .. } if source.code == -32002), "{error}");
    bob.leave().await.unwrap();
    carol.announce(audio()).await.unwrap();
}
