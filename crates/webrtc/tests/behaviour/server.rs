//! What needs the JSON-RPC signaling server: rooms, tokens, and a second life after `shutdown`.

use std::sync::Arc;

use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_signaling::server::{ServerConfig, TokenRefusal, TokenRequest};
use remotemedia_webrtc::{DataChannelMessage, TransportEvent, WebRtcError, WebRtcTransport, WebRtcTransportConfig};

use crate::support::{Signaling, in_time};

async fn join(config: WebRtcTransportConfig) -> Result<WebRtcTransport, WebRtcError> {
    let transport = WebRtcTransport::new(config)?;
    transport.start().await?;
    Ok(transport)
}

#[tokio::test]
async fn peers_in_different_rooms_do_not_see_each_other() {
    let signaling = Signaling::start().await;
    let room = |name: &str, room: &str| WebRtcTransportConfig { room: room.into(), ..signaling.config(name) };
    let alice = join(room("alice", "red")).await.unwrap();
    let bob = join(room("bob", "blue")).await.unwrap();
    let carol = join(room("carol", "red")).await.unwrap();
    in_time("the connection in one room", alice.connect_peer("carol")).await.unwrap();
    let refused = in_time("the answer", alice.connect_peer("bob")).await.unwrap_err();
    assert!(matches!(&refused, WebRtcError::PeerNotFound(peer) if peer == "bob"), "{refused:?}");
    assert_eq!(alice.list_available_peers().await.unwrap(), ["carol"]);
    assert!(bob.list_available_peers().await.unwrap().is_empty());
    for transport in [alice, bob, carol] {
        transport.shutdown().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_listed_can_be_pulled_from_at_once() {
    let signaling = Signaling::start().await;
    // What is looked for happens in one of some hundred connections.
    for _ in 0..200 {
        let (alice, bob) = (signaling.transport("alice").await, signaling.transport("bob").await);
        let looks = {
            let bob = bob.clone();
            tokio::spawn(async move {
                while bob.list_peers().await.unwrap().is_empty() {
                    tokio::task::yield_now().await;
                }
                bob.recv_audio("alice").await.map(|frame| frame.is_some())
            })
        };
        in_time("the connection", alice.connect_peer("bob")).await.unwrap();
        let heard = in_time("sound or silence", looks).await.unwrap();
        assert!(matches!(heard, Ok(true)), "{heard:?}");
        for transport in [alice, bob] {
            transport.shutdown().await.unwrap();
        }
    }
}

#[tokio::test]
async fn the_token_opens_a_server_that_asks_for_one() {
    let verify = |request: &TokenRequest<'_>| match request.token {
        Some("sesame") => Ok(()),
        Some(_) => Err(TokenRefusal::Invalid),
        None => Err(TokenRefusal::Missing),
    };
    let signaling =
        Signaling::with(ServerConfig { token_verifier: Some(Arc::new(verify)), ..Default::default() }).await;
    for bad in [None, Some("open")] {
        let config = WebRtcTransportConfig { signaling_token: bad.map(String::from), ..signaling.config("alice") };
        let refused = in_time("the refusal", join(config)).await.unwrap_err();
        assert!(matches!(refused, WebRtcError::SignalingFailed { .. }), "{refused:?}");
    }
    let config = WebRtcTransportConfig { signaling_token: Some("sesame".into()), ..signaling.config("alice") };
    let alice = in_time("the registration", join(config)).await.unwrap();
    assert!(alice.is_connected());
    alice.shutdown().await.unwrap();
}

#[tokio::test]
async fn a_transport_that_was_shut_down_can_be_started_again() {
    let signaling = Signaling::start().await;
    let (alice, bob) = (signaling.transport("alice").await, signaling.transport("bob").await);
    for life in ["first", "second"] {
        in_time("the connection", alice.connect_peer("bob")).await.unwrap();
        alice.send_to_peer("bob", &RuntimeData::Text(life.into())).await.unwrap();
        let (from, message) = in_time("the message", bob.recv_data_channel_message()).await.unwrap().unwrap();
        assert_eq!(from, "alice");
        assert_eq!(message, DataChannelMessage::Text { payload: life.into() });
        let mut events = bob.events();
        alice.shutdown().await.unwrap();
        assert!(!alice.is_connected());
        let left = async {
            while !matches!(events.next().await.unwrap(), TransportEvent::PeerLeft { peer } if peer == "alice") {}
        };
        in_time("the announcement that the peer left", left).await;
        alice.start().await.unwrap();
        assert!(alice.is_connected());
    }
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}
