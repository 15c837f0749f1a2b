//! What cannot be done is refused with an error that says why.

use std::time::Duration;

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{ConfigOptions, DataChannelMessage, WebRtcError, WebRtcTransport, WebRtcTransportConfig};
use tokio::time::{sleep, timeout};

use crate::world::{PICTURE, World, clip, picture, tone};

fn text() -> DataChannelMessage {
    DataChannelMessage::Text { payload: "hi".into() }
}

#[test]
fn what_this_side_switched_off_is_disabled_and_names_its_field() {
    run_virtual(81, |network| async move {
        let world = World::clean(network);
        let bob = world.join("bob").await;
        let off = |config: &mut WebRtcTransportConfig| (config.enable_audio, config.enable_video) = (false, false);
        let alice = world.join_with("alice", off).await;
        alice.connect_peer("bob").await.unwrap();
        let field = |error: WebRtcError| match error {
            WebRtcError::Disabled { field } => field,
            other => panic!("{other:?}"),
        };
        let (audio, video) = (tone(48_000, 0, 960, &[0.1]), RuntimeData::from(picture(&clip(), 0)));
        assert_eq!(field(alice.send_to_peer("bob", &audio).await.unwrap_err()), "enable_audio");
        assert_eq!(field(alice.send_to_peer("bob", &video).await.unwrap_err()), "enable_video");
        assert_eq!(field(alice.broadcast(&audio).await.unwrap_err()), "enable_audio");
        assert_eq!(field(alice.broadcast(&video).await.unwrap_err()), "enable_video");
        // Nothing can come in either, so there is nothing to wait for.
        assert_eq!(field(alice.recv_audio("bob").await.unwrap_err()), "enable_audio");
        assert_eq!(field(alice.recv_video("bob").await.unwrap_err()), "enable_video");
        assert_eq!(field(alice.recv_audio_stream("bob", "screen").await.unwrap_err()), "enable_audio");
        assert_eq!(field(alice.recv_video_stream("bob", "screen").await.unwrap_err()), "enable_video");
        assert_eq!(field(alice.recv_from_peer("bob").await.unwrap_err()), "enable_audio");
        let refused = bob.send_to_peer("alice", &audio).await.unwrap_err();
        assert!(matches!(refused, WebRtcError::MediaNotNegotiated { media: "audio", .. }), "{refused:?}");
        let refused = bob.send_to_peer("alice", &video).await.unwrap_err();
        assert!(matches!(refused, WebRtcError::MediaNotNegotiated { media: "video", .. }), "{refused:?}");
        // Messages need no media.
        alice.send_data_channel_message("bob", &text()).await.unwrap();
        assert!(bob.recv_data_channel_message().await.unwrap().is_some());
    });
}

#[test]
fn without_a_data_channel_media_flow_and_messages_are_refused_on_both_sides() {
    run_virtual(82, |network| async move {
        let world = World::clean(network);
        let bob = world.join("bob").await;
        let alice = world.join_with("alice", |c| c.enable_data_channel = false).await;
        alice.connect_peer("bob").await.unwrap();
        let refused = alice.recv_data_channel_message().await.unwrap_err();
        assert!(matches!(refused, WebRtcError::Disabled { field: "enable_data_channel" }), "{refused:?}");
        for (sender, to) in [(&alice, "bob"), (&bob, "alice")] {
            let refused = timeout(Duration::from_secs(1), sender.send_data_channel_message(to, &text())).await;
            let refused = refused.expect("an answer at once").unwrap_err();
            let expected = match refused {
                WebRtcError::Disabled { field: "enable_data_channel" } => "alice",
                WebRtcError::MediaNotNegotiated { media: "data", .. } => "bob",
                other => panic!("{other:?}"),
            };
            assert_eq!(sender.peer_id(), expected);
            sender.send_to_peer(to, &tone(48_000, 0, 960, &[0.1])).await.unwrap();
        }
    });
}

#[test]
fn where_one_kind_of_media_is_off_whatever_comes_first_is_that_of_the_other() {
    run_virtual(87, |network| async move {
        let world = World::clean(network);
        let bob = world.join("bob").await;
        let alice = world.join_with("alice", |c| c.enable_audio = false).await;
        alice.connect_peer("bob").await.unwrap();
        let clip = clip();
        let showing = async {
            for number in 0.. {
                bob.send_to_peer("alice", &RuntimeData::from(picture(&clip, number))).await.unwrap();
                sleep(PICTURE).await;
            }
        };
        let came = tokio::select! {
            () = showing => unreachable!("it goes on for ever"),
            came = alice.recv_from_peer("bob") => came.unwrap(),
        };
        assert!(matches!(came, Some(RuntimeData::Video { .. })), "{came:?}");
    });
}

#[test]
fn no_more_than_max_peers_connect_and_a_place_that_is_left_can_be_taken() {
    run_virtual(83, |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", |c| c.max_peers = 1).await;
        let (_bob, carol) = (world.join("bob").await, world.join("carol").await);
        alice.connect_peer("bob").await.unwrap();
        let refused = alice.connect_peer("carol").await.unwrap_err();
        assert!(matches!(refused, WebRtcError::TooManyPeers { limit: 1 }), "{refused:?}");
        // Nor can a third one come in from outside.
        assert!(carol.connect_peer("alice").await.is_err());
        assert_eq!(alice.list_peers().await.unwrap().len(), 1);
        alice.disconnect_peer("bob").await.unwrap();
        alice.connect_peer("carol").await.unwrap();
        assert_eq!(alice.list_peers().await.unwrap()[0].peer_id, "carol");
    });
}

#[test]
fn a_peer_that_is_not_there_is_not_found_by_any_method() {
    run_virtual(84, |network| async move {
        let alice = World::clean(network).join("alice").await;
        let not_found =
            |error: WebRtcError| assert!(matches!(&error, WebRtcError::PeerNotFound(p) if p == "nobody"), "{error:?}");
        not_found(alice.connect_peer("nobody").await.unwrap_err());
        not_found(alice.send_to_peer("nobody", &tone(48_000, 0, 960, &[0.1])).await.unwrap_err());
        not_found(alice.send_to_peer("nobody", &RuntimeData::from(picture(&clip(), 0))).await.unwrap_err());
        not_found(alice.send_to_peer("nobody", &RuntimeData::Text("hi".into())).await.unwrap_err());
        not_found(alice.send_data_channel_message("nobody", &text()).await.unwrap_err());
        not_found(alice.recv_audio("nobody").await.unwrap_err());
        not_found(alice.recv_video("nobody").await.unwrap_err());
        not_found(alice.recv_from_peer("nobody").await.unwrap_err());
        not_found(alice.restart_ice("nobody").await.unwrap_err());
        alice.disconnect_peer("nobody").await.unwrap();
        let invalid = alice.connect_peer("no body").await.unwrap_err();
        assert!(matches!(invalid, WebRtcError::InvalidPeerId(_)), "{invalid:?}");
    });
}

async fn assert_not_started(transport: &WebRtcTransport) {
    let not_started = |error: WebRtcError| assert!(matches!(error, WebRtcError::NotStarted), "{error:?}");
    let audio = tone(48_000, 0, 960, &[0.1]);
    not_started(transport.connect_peer("bob").await.unwrap_err());
    not_started(transport.disconnect_peer("bob").await.unwrap_err());
    not_started(transport.list_peers().await.unwrap_err());
    not_started(transport.list_available_peers().await.unwrap_err());
    not_started(transport.send_to_peer("bob", &audio).await.unwrap_err());
    not_started(transport.broadcast(&audio).await.unwrap_err());
    not_started(transport.recv_audio("bob").await.unwrap_err());
    not_started(transport.recv_data_channel_message().await.unwrap_err());
    not_started(transport.configure(ConfigOptions::default()).await.unwrap_err());
    assert!(!transport.is_connected());
    assert!(transport.diagnosis("bob").is_none());
}

#[test]
fn a_transport_that_does_not_run_says_so() {
    run_virtual(85, |network| async move {
        let alice = World::clean(network).transport("alice", |_| {}).await;
        assert_not_started(&alice).await;
        alice.shutdown().await.unwrap();
        alice.start().await.unwrap();
        assert!(alice.is_connected());
        alice.shutdown().await.unwrap();
        assert_not_started(&alice).await;
    });
}

#[test]
fn data_that_no_peer_can_be_sent_is_refused() {
    run_virtual(86, |network| async move {
        let alice = World::clean(network).join("alice").await;
        let mix = RuntimeData::AudioMix { inputs: vec![], sample_rate: 48_000 };
        let refused = alice.broadcast(&mix).await.unwrap_err();
        assert!(matches!(refused, WebRtcError::UnsupportedData { .. }), "{refused:?}");
    });
}
