//! What may succeed later without any change says so, and does; what cannot says that.

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::{ControlMessage, RuntimeData};
use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use remotemedia_webrtc::{ConfigOptions, WebRtcError, WebRtcTransport, WebRtcTransportConfig};
use tokio::time::Instant;

use crate::{
    support::in_time,
    world::{World, tone},
};

#[test]
fn a_peer_that_is_not_there_yet_can_be_connected_to_later() {
    run_virtual(421, |network| async move {
        let world = World::clean(network);
        let alice = world.join("alice").await;
        let absent = alice.connect_peer("bob").await.unwrap_err();
        assert!(matches!(absent, WebRtcError::PeerNotFound(_)) && absent.is_retryable(), "{absent:?}");
        let unsent = alice.send_to_peer("bob", &RuntimeData::Text("hi".into())).await.unwrap_err();
        assert!(unsent.is_retryable(), "{unsent:?}");
        let _bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        alice.send_to_peer("bob", &RuntimeData::Text("hi".into())).await.unwrap();
    });
}

#[test]
fn a_place_that_is_taken_may_be_free_later() {
    run_virtual(422, |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", |c| c.max_peers = 1).await;
        let (_bob, _carol) = (world.join("bob").await, world.join("carol").await);
        alice.connect_peer("bob").await.unwrap();
        let full = alice.connect_peer("carol").await.unwrap_err();
        assert!(matches!(full, WebRtcError::TooManyPeers { .. }) && full.is_retryable(), "{full:?}");
        alice.disconnect_peer("bob").await.unwrap();
        alice.connect_peer("carol").await.unwrap();
    });
}

#[test]
fn a_peer_that_never_answers_may_answer_later() {
    run_virtual(423, |network| async move {
        let world = World::clean(network);
        let alice = world.join("alice").await;
        let _mute = world.register("bob").await;
        let begin = Instant::now();
        let failed = alice.connect_peer("bob").await.unwrap_err();
        println!("{failed:?} after {:?}", begin.elapsed());
        assert!(failed.is_retryable(), "{failed:?}");
    });
}

#[tokio::test]
async fn a_signaling_server_that_is_down_may_be_up_later() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = WebRtcTransportConfig {
        signaling_url: format!("ws://127.0.0.1:{port}"),
        peer_id: "alice".into(),
        stun_servers: vec![],
        ..Default::default()
    };
    let alice = WebRtcTransport::new(config).unwrap();
    let down = in_time("the refusal", alice.start()).await.unwrap_err();
    assert!(matches!(down, WebRtcError::SignalingFailed { .. }) && down.is_retryable(), "{down:?}");
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let server = tokio::spawn(async move { SignalingServer::new(ServerConfig::default()).serve(listener).await });
    in_time("the start", alice.start()).await.unwrap();
    alice.shutdown().await.unwrap();
    server.abort();
}

#[test]
fn what_needs_a_change_is_not_worth_another_try() {
    run_virtual(424, |network| async move {
        let world = World::clean(network);
        let idle = world.transport("idle", |_| {}).await;
        let alice = world.join_with("alice", |c| c.enable_audio = false).await;
        let _bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        let sound = tone(48_000, 0, 960, &[0.1]);
        let control = RuntimeData::from(ControlMessage::new("anything"));
        let wrong = ConfigOptions { target_bitrate_kbps: Some(0), ..Default::default() };
        let large = RuntimeData::Binary(vec![0; 64 << 20].into());
        let refusals = [
            idle.connect_peer("bob").await.map(drop),
            alice.connect_peer("alice").await.map(drop),
            alice.connect_peer("not a name").await.map(drop),
            alice.send_to_peer("bob", &sound).await,
            alice.send_to_peer("bob", &control).await,
            alice.send_to_peer("bob", &large).await,
            alice.configure(wrong).await,
        ];
        let refusals = refusals.map(Result::unwrap_err);
        assert!(
            matches!(
                &refusals,
                [
                    WebRtcError::NotStarted,
                    WebRtcError::OwnPeerId(_),
                    WebRtcError::InvalidPeerId(_),
                    WebRtcError::Disabled { .. },
                    WebRtcError::UnsupportedData { .. },
                    WebRtcError::MessageTooLarge { .. },
                    WebRtcError::InvalidConfig { .. },
                ]
            ),
            "{refusals:?}"
        );
        for refusal in refusals {
            assert!(!refusal.is_retryable(), "{refusal:?}");
        }
    });
}
