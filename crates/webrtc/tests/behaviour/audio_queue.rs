//! Audio pushed ahead of real time is held back, not dropped.

use std::time::Duration;

use remotemedia_netsim::virt::run_virtual;
use tokio::time::{Instant, timeout};

use crate::world::{World, level, listen, tone};

/// Pushes five seconds of audio in chunks of 100 ms as fast as the queue takes it; answers how long that took, and how
/// much of it was heard.
fn push_five_seconds(queue_ms: u32) -> (Duration, Duration) {
    run_virtual(61, move |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", |c| c.audio_queue_ms = queue_ms).await;
        let bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        let begin = Instant::now();
        let ears = tokio::spawn(async move { listen(&bob, "alice", begin + Duration::from_secs(7)).await });
        for chunk in 0..50 {
            alice.send_to_peer("bob", &tone(48_000, chunk * 4_800, 4_800, &[0.3])).await.unwrap();
        }
        let took = begin.elapsed();
        let heard = ears.await.unwrap();
        let loud = heard.chunks(960).filter(|frame| level(frame) > 0.15).count();
        (took, Duration::from_millis(20) * loud as u32)
    })
}

#[test]
fn the_call_waits_for_all_but_the_queue_and_everything_arrives() {
    for queue_ms in [200, 1_000] {
        let (took, heard) = push_five_seconds(queue_ms);
        println!("queue of {queue_ms} ms: pushed in {took:?}, heard {heard:?}");
        let expected = Duration::from_millis(5_000 - u64::from(queue_ms));
        assert!(took.abs_diff(expected) <= Duration::from_millis(160), "queue of {queue_ms} ms: {took:?}");
        assert!(heard >= Duration::from_millis(4_960), "queue of {queue_ms} ms: heard {heard:?}");
        assert!(heard <= Duration::from_millis(5_040), "queue of {queue_ms} ms: heard {heard:?}");
    }
}

#[test]
fn a_chunk_longer_than_the_queue_goes_through_whole() {
    run_virtual(62, |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", |c| c.audio_queue_ms = 20).await;
        let bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        let begin = Instant::now();
        alice.send_to_peer("bob", &tone(48_000, 0, 96_000, &[0.3])).await.unwrap();
        let heard = listen(&bob, "alice", begin + Duration::from_secs(3)).await;
        let loud = heard.chunks(960).filter(|frame| level(frame) > 0.15).count();
        assert!((98..=102).contains(&loud), "{loud} of 100 frames");
    });
}

#[test]
fn a_call_given_up_while_it_waited_has_sent_nothing() {
    run_virtual(63, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let begin = Instant::now();
        let ears = tokio::spawn(async move { listen(&bob, "alice", begin + Duration::from_secs(3)).await });
        alice.send_to_peer("bob", &tone(48_000, 0, 48_000, &[0.3])).await.unwrap();
        let second = tone(48_000, 0, 48_000, &[0.3]);
        let given_up = timeout(Duration::from_millis(100), alice.send_to_peer("bob", &second)).await;
        assert!(given_up.is_err(), "the queue was full");
        let heard = ears.await.unwrap();
        let loud = heard.chunks(960).filter(|frame| level(frame) > 0.15).count();
        assert!((48..=52).contains(&loud), "{loud} frames, 50 were sent");
    });
}
