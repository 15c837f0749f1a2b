//! Whoever joins late sees something at once.

use std::time::Duration;

use remotemedia_codecs::test_media::read_number;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;
use tokio::time::{Instant, interval, sleep};

use crate::world::{PICTURE, World, clip, picture, see, watch};

#[test]
fn a_second_viewer_sees_a_running_broadcast_at_once_and_the_first_loses_nothing() {
    run_virtual(31, |network| async move {
        let world = World::clean(network);
        let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
        alice.connect_peer("bob").await.unwrap();
        let begin = Instant::now();
        let source = alice.clone();
        let camera = tokio::spawn(async move {
            let clip = clip();
            let mut clock = interval(PICTURE);
            for number in 0..75 {
                clock.tick().await;
                source.broadcast(&RuntimeData::from(picture(&clip, number))).await.unwrap();
            }
        });
        let first = bob.clone();
        let first = tokio::spawn(async move { watch(&first, "alice", begin + Duration::from_millis(3_200)).await });
        sleep(Duration::from_millis(1_500)).await;
        carol.connect_peer("alice").await.unwrap();
        let joined = Instant::now();
        let frame = see(&carol, "alice", Duration::from_millis(250)).await;
        println!("the newcomer saw its first picture {:?} after it had joined", joined.elapsed());
        assert!(read_number(&frame).unwrap().is_some_and(|n| n >= 36), "the first picture is a current one");
        camera.await.unwrap();
        let seen = first.await.unwrap();
        assert!(seen.len() >= 74, "the first viewer saw {} of 75 pictures", seen.len());
    });
}

#[test]
fn a_source_that_stands_still_is_shown_to_a_newcomer() {
    run_virtual(32, |network| async move {
        let world = World::clean(network);
        let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
        alice.connect_peer("bob").await.unwrap();
        let slide = RuntimeData::from(picture(&clip(), 7));
        alice.broadcast(&slide).await.unwrap();
        assert_eq!(read_number(&*see(&bob, "alice", Duration::from_millis(500)).await).unwrap(), Some(7));
        sleep(Duration::from_secs(5)).await;
        carol.connect_peer("alice").await.unwrap();
        let frame = see(&carol, "alice", Duration::from_millis(500)).await;
        assert_eq!(read_number(&frame).unwrap(), Some(7));
    });
}

#[test]
fn a_viewer_that_pulls_long_after_it_connected_sees_a_whole_picture_at_once() {
    run_virtual(33, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let source = alice.clone();
        let camera = tokio::spawn(async move {
            let clip = clip();
            let mut clock = interval(PICTURE);
            for number in 0..100 {
                clock.tick().await;
                source.send_to_peer("bob", &RuntimeData::from(picture(&clip, number))).await.unwrap();
            }
        });
        sleep(Duration::from_secs(3)).await;
        let frame = see(&bob, "alice", Duration::from_millis(300)).await;
        assert!(read_number(&frame).unwrap().is_some_and(|n| n >= 70), "the first picture is a current one");
        camera.await.unwrap();
    });
}
