//! Pictures over a path that takes long and loses packets.

use std::time::Duration;

use remotemedia_netsim::{
    link::{LinkConfig, Loss},
    virt::run_virtual,
};
use remotemedia_runtime_core::data::RuntimeData;
use tokio::time::{Instant, sleep};

use crate::world::{PICTURE, World, clip, picture, watch};

/// On a path of 200 ms there and back: a lost packet is sent again before a keyframe is worth asking for.
#[test]
fn what_is_lost_on_a_long_path_is_sent_again_and_costs_no_keyframe() {
    run_virtual(341, |network| async move {
        let link = LinkConfig::with_delay(Duration::from_millis(100)).with_loss(Loss::Random(0.01));
        let world = World::new(network, link);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let (sender, clip) = (alice.clone(), clip());
        let sending = tokio::spawn(async move {
            for n in 0..u16::MAX {
                sender.send_to_peer("bob", &RuntimeData::from(picture(&clip, n))).await.unwrap();
                sleep(PICTURE).await;
            }
        });
        // The round trip has been measured by then.
        watch(&bob, "alice", Instant::now() + Duration::from_secs(5)).await;
        let figures = async || bob.list_peers().await.unwrap()[0].metrics.clone();
        let before = figures().await;
        let seen = watch(&bob, "alice", Instant::now() + Duration::from_secs(30)).await;
        let after = figures().await;
        sending.abort();
        let lost = after.video_received.lost - before.video_received.lost;
        let asked = after.keyframes_requested - before.keyframes_requested;
        println!("{} pictures, {lost} packets lost on the way, {asked} keyframes asked for", seen.len());
        assert!(lost >= 10, "{lost}");
        assert!(asked <= 1, "{asked}");
        assert!(seen.len() >= 740, "{} of 750 pictures", seen.len());
    });
}
