//! Beginning and end of transports and connections, and what the others see of it.

use std::time::Duration;

use remotemedia_netsim::virt::run_virtual;
use remotemedia_webrtc::{DisconnectReason, TransportEvent, TransportEvents, WebRtcError};
use tokio::time::{Instant, sleep, timeout};

use crate::world::{World, level, listen, tone};

/// The next event that `wanted` says something about, within `patience`.
async fn event<T>(
    events: &mut TransportEvents,
    patience: Duration,
    wanted: impl Fn(&TransportEvent) -> Option<T>,
) -> T {
    let found = async {
        loop {
            let event = events.next().await.expect("the transport is there");
            if let Some(found) = wanted(&event) {
                return found;
            }
        }
    };
    timeout(patience, found).await.expect("the event in time")
}

fn disconnected(event: &TransportEvent) -> Option<(String, DisconnectReason)> {
    match event {
        TransportEvent::PeerDisconnected { peer, reason } => Some((peer.to_string(), *reason)),
        _ => None,
    }
}

#[test]
fn each_reader_is_told_of_a_peer_s_coming_connecting_and_going() {
    run_virtual(101, |network| async move {
        let world = World::clean(network);
        let alice = world.join("alice").await;
        let (mut events, mut same) = (alice.events(), alice.events());
        let bob = world.join("bob").await;
        for events in [&mut events, &mut same] {
            let patience = Duration::from_secs(1);
            event(events, patience, |e| {
                matches!(e, TransportEvent::PeerDiscovered { peer } if peer == "bob").then_some(())
            })
            .await;
        }
        assert_eq!(alice.list_available_peers().await.unwrap(), ["bob"]);
        assert!(alice.list_peers().await.unwrap().is_empty());
        bob.connect_peer("alice").await.unwrap();
        bob.disconnect_peer("alice").await.unwrap();
        for events in [&mut events, &mut same] {
            let patience = Duration::from_secs(2);
            event(events, patience, |e| {
                matches!(e, TransportEvent::PeerConnected { peer } if peer == "bob").then_some(())
            })
            .await;
            let (peer, reason) = event(events, patience, disconnected).await;
            assert_eq!((peer.as_str(), reason), ("bob", DisconnectReason::UserRequested));
        }
    });
}

#[test]
fn a_reader_that_falls_behind_is_told_how_much_it_missed() {
    run_virtual(102, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let mut events = alice.events();
        for _ in 0..520 {
            alice.connect_peer("bob").await.unwrap();
            alice.disconnect_peer("bob").await.unwrap();
        }
        sleep(Duration::from_secs(1)).await;
        drop(bob);
        let first = events.next().await.unwrap();
        assert!(matches!(first, TransportEvent::Lagged { missed } if missed > 0), "{first:?}");
        assert!(!matches!(events.next().await.unwrap(), TransportEvent::Lagged { .. }));
    });
}

#[test]
fn dropping_the_last_handle_closes_everything_within_a_second() {
    run_virtual(103, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let clone = bob.clone();
        alice.connect_peer("bob").await.unwrap();
        let mut events = alice.events();
        drop(bob);
        sleep(Duration::from_secs(3)).await;
        assert_eq!(alice.list_peers().await.unwrap().len(), 1, "a clone keeps the transport");
        drop(clone);
        let (peer, _) = event(&mut events, Duration::from_secs(1), disconnected).await;
        assert_eq!(peer, "bob");
        assert!(alice.list_peers().await.unwrap().is_empty());
    });
}

#[test]
fn receivers_wait_through_silence_and_end_when_the_peer_leaves() {
    run_virtual(104, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let begin = Instant::now();
        let (ears, eyes, both) = (bob.clone(), bob.clone(), alice.clone());
        let ears = tokio::spawn(async move {
            let mut heard = 0;
            while let Some(frame) = ears.recv_audio("alice").await.unwrap() {
                assert_eq!((frame.duration(), frame.sample_rate()), (Duration::from_millis(20), 48_000));
                assert!(level(frame.samples()) == 0.0);
                heard += 1;
            }
            heard
        });
        let eyes = tokio::spawn(async move { eyes.recv_video("alice").await.unwrap() });
        let both = tokio::spawn(async move {
            let mut frames = 0;
            while both.recv_from_peer("bob").await.unwrap().is_some() {
                frames += 1;
            }
            frames
        });
        sleep(Duration::from_secs(2)).await;
        assert!(!ears.is_finished() && !eyes.is_finished());
        alice.disconnect_peer("bob").await.unwrap();
        let heard = timeout(Duration::from_secs(1), ears).await.expect("the end").unwrap();
        assert!((98..=104).contains(&heard), "{heard} frames in {:?}", begin.elapsed());
        assert!(timeout(Duration::from_secs(1), eyes).await.expect("the end").unwrap().is_none());
        assert!(timeout(Duration::from_secs(1), both).await.expect("the end").unwrap() >= 95);
        let gone = bob.recv_audio("alice").await.unwrap_err();
        assert!(matches!(gone, WebRtcError::PeerNotFound(_)), "{gone:?}");
    });
}

#[test]
fn start_and_shutdown_may_be_repeated() {
    run_virtual(105, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.start().await.unwrap();
        alice.connect_peer("bob").await.unwrap();
        alice.start().await.unwrap();
        assert_eq!(alice.list_peers().await.unwrap().len(), 1, "a second start changes nothing");
        let mut events = bob.events();
        alice.shutdown().await.unwrap();
        alice.shutdown().await.unwrap();
        assert!(!alice.is_connected());
        event(&mut events, Duration::from_secs(1), disconnected).await;
        assert_eq!(bob.disconnect_peer("alice").await.ok(), Some(()));
        bob.shutdown().await.unwrap();
    });
}

#[test]
fn connecting_twice_is_one_connection_and_disconnecting_twice_is_no_error() {
    run_virtual(106, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let (one, two, three) =
            tokio::join!(alice.connect_peer("bob"), alice.connect_peer("bob"), bob.connect_peer("alice"));
        assert_eq!((one.unwrap().as_str(), two.unwrap().as_str(), three.unwrap().as_str()), ("bob", "bob", "alice"));
        alice.connect_peer("bob").await.unwrap();
        assert_eq!(alice.list_peers().await.unwrap().len(), 1);
        assert_eq!(bob.list_peers().await.unwrap().len(), 1);
        let end = Instant::now() + Duration::from_secs(1);
        alice.send_to_peer("bob", &tone(48_000, 0, 9_600, &[0.3])).await.unwrap();
        assert!(level(&listen(&bob, "alice", end).await) > 0.01);
        alice.disconnect_peer("bob").await.unwrap();
        alice.disconnect_peer("bob").await.unwrap();
    });
}
