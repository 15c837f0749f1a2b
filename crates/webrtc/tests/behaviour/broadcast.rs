//! What a broadcast reports.

use std::time::Duration;

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::WebRtcError;

use crate::world::{World, clip, picture, see, tone};

#[test]
fn a_broadcast_to_nobody_is_a_success_with_zero_counts() {
    run_virtual(51, |network| async move {
        let alice = World::clean(network).join("alice").await;
        for data in
            [RuntimeData::from(picture(&clip(), 0)), tone(48_000, 0, 960, &[0.1]), RuntimeData::Text("hi".into())]
        {
            let stats = alice.broadcast(&data).await.unwrap();
            assert_eq!((stats.sent_count, stats.failed_count, stats.failed_peers.len()), (0, 0, 0));
        }
    });
}

#[test]
fn a_peer_that_takes_no_video_is_named_with_the_reason_and_the_others_get_it() {
    run_virtual(52, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let carol = world.join_with("carol", |c| c.enable_video = false).await;
        alice.connect_peer("bob").await.unwrap();
        alice.connect_peer("carol").await.unwrap();
        let stats = alice.broadcast(&RuntimeData::from(picture(&clip(), 0))).await.unwrap();
        assert_eq!((stats.sent_count, stats.failed_count), (1, 1));
        assert_eq!(stats.failed_peers[0].peer_id, "carol");
        let error = &stats.failed_peers[0].error;
        assert!(matches!(error, WebRtcError::MediaNotNegotiated { media: "video", .. }), "{error:?}");
        see(&bob, "alice", Duration::from_millis(500)).await;
        let stats = alice.broadcast(&tone(48_000, 0, 960, &[0.1])).await.unwrap();
        assert_eq!((stats.sent_count, stats.failed_count), (2, 0));
        carol.shutdown().await.unwrap();
    });
}

#[test]
fn a_message_reaches_every_peer_that_has_a_data_channel() {
    run_virtual(53, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let carol = world.join_with("carol", |c| c.enable_data_channel = false).await;
        alice.connect_peer("bob").await.unwrap();
        alice.connect_peer("carol").await.unwrap();
        let stats = alice.broadcast(&RuntimeData::Text("hello".into())).await.unwrap();
        assert_eq!((stats.sent_count, stats.failed_count), (1, 1));
        let failure = &stats.failed_peers[0];
        assert!(matches!(&failure.error, WebRtcError::MediaNotNegotiated { media: "data", peer } if peer == "carol"));
        let (from, _) = bob.recv_data_channel_message().await.unwrap().unwrap();
        assert_eq!(from, "alice");
        carol.shutdown().await.unwrap();
    });
}
