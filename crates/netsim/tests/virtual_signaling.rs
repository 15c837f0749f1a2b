//! The real server state machine in virtual time: registrations, forwarding, delays, and the death of either side.
#![allow(clippy::unwrap_used)]

use std::{sync::Arc, time::Duration};

use remotemedia_mesh::{DisconnectReason, IceCandidate, Signaler, SignalingError, SignalingEvent, SignalingMessage};
use remotemedia_netsim::virt::{VirtualSignaler, VirtualSignaling, run_virtual};
use remotemedia_signaling::state::StateConfig;
use tokio::time::{Instant, sleep, timeout};

const MS: Duration = Duration::from_millis(1);
const DELAY: Duration = Duration::from_millis(20);

fn signaling() -> VirtualSignaling {
    VirtualSignaling::new(1, StateConfig::default(), DELAY)
}

async fn join(signaling: &VirtualSignaling, id: &str) -> Arc<VirtualSignaler> {
    let signaler = signaling.join(id.parse().unwrap()).await.unwrap();
    assert_eq!(next(&signaler).await, SignalingEvent::Connected(true));
    signaler
}

async fn next(signaler: &VirtualSignaler) -> SignalingEvent {
    timeout(Duration::from_secs(100), signaler.next_event()).await.expect("an event").expect("more events")
}

fn available(id: &str) -> SignalingEvent {
    SignalingEvent::PeerAvailable { peer: id.parse().unwrap() }
}

fn left(id: &str, on_purpose: bool) -> SignalingEvent {
    SignalingEvent::PeerLeft { peer: id.parse().unwrap(), on_purpose }
}

fn offer() -> SignalingMessage {
    SignalingMessage::Offer { sdp: "v=0\r\n".to_owned(), request_id: "r1".to_owned() }
}

#[test]
fn joining_takes_two_round_trips_and_both_sides_learn_of_each_other() {
    run_virtual(1, |_| async {
        let signaling = signaling();
        let started = Instant::now();
        let alice = join(&signaling, "alice").await;
        assert_eq!(started.elapsed(), DELAY * 4);
        let bob = join(&signaling, "bob").await;
        assert_eq!(next(&bob).await, available("alice"));
        assert_eq!(next(&alice).await, available("bob"));
        let refused = signaling.join("bob".parse().unwrap()).await.unwrap_err();
        assert_eq!((refused.code, refused.reason()), (-32000, Some("peer_exists")));
        signaling.join("carol".parse().unwrap()).await.unwrap();
    });
}

#[test]
fn every_message_arrives_as_it_was_sent_and_in_order() {
    run_virtual(1, |_| async {
        let signaling = signaling();
        let (alice, bob) = (join(&signaling, "alice").await, join(&signaling, "bob").await);
        assert_eq!(next(&bob).await, available("alice"));
        assert_eq!(next(&alice).await, available("bob"));
        let request_id = || "r1".to_owned();
        let candidate = SignalingMessage::Candidate(IceCandidate {
            candidate: "candidate:1 1 udp 1 127.77.0.1 20000 typ host".to_owned(),
            sdp_mid: Some("0".to_owned()),
            sdp_m_line_index: Some(0),
            user_fragment: Some("abcd".to_owned()),
            request_id: request_id(),
        });
        let answer = SignalingMessage::Answer { sdp: "v=0\r\n".to_owned(), request_id: request_id() };
        let bye =
            SignalingMessage::Disconnect { reason: DisconnectReason::UserRequested, request_id: Some(request_id()) };
        let started = Instant::now();
        alice.send(&"bob".parse().unwrap(), offer()).await.unwrap();
        assert_eq!(started.elapsed(), DELAY * 2, "accepted after a round trip to the server");
        alice.send(&"bob".parse().unwrap(), candidate.clone()).await.unwrap();
        for message in [offer(), candidate] {
            assert_eq!(next(&bob).await, SignalingEvent::Message { from: "alice".parse().unwrap(), message });
        }
        for message in [answer, bye] {
            bob.send(&"alice".parse().unwrap(), message.clone()).await.unwrap();
            assert_eq!(next(&alice).await, SignalingEvent::Message { from: "bob".parse().unwrap(), message });
        }
    });
}

#[test]
fn what_the_server_refuses_is_an_error_of_its_kind() {
    run_virtual(1, |_| async {
        let signaling = signaling();
        let alice = join(&signaling, "alice").await;
        let nobody = "nobody".parse().unwrap();
        assert!(
            matches!(alice.send(&nobody, offer()).await, Err(SignalingError::PeerNotFound(peer)) if peer == nobody)
        );
        let _bob = join(&signaling, "bob").await;
        let bob = "bob".parse().unwrap();
        let unasked = SignalingMessage::Answer { sdp: "v=0\r\n".to_owned(), request_id: "r9".to_owned() };
        assert!(matches!(alice.send(&bob, unasked).await, Err(SignalingError::Refused { code: -32003, .. })));
        let garbage = SignalingMessage::Offer { sdp: "hello".to_owned(), request_id: "r2".to_owned() };
        assert!(matches!(alice.send(&bob, garbage).await, Err(SignalingError::Refused { code: -32002, .. })));
    });
}

#[test]
fn a_killed_server_breaks_every_socket_and_a_new_one_gets_everyone_back() {
    run_virtual(1, |_| async {
        let signaling = signaling();
        let (alice, bob) = (join(&signaling, "alice").await, join(&signaling, "bob").await);
        assert_eq!((next(&alice).await, next(&bob).await), (available("bob"), available("alice")));
        signaling.kill();
        let sent = alice.send(&"bob".parse().unwrap(), offer()).await;
        assert!(matches!(sent, Err(SignalingError::NotConnected)), "a message under way fails: {sent:?}");
        for signaler in [&alice, &bob] {
            assert_eq!(next(signaler).await, SignalingEvent::Connected(false));
        }
        assert!(timeout(Duration::from_secs(30), alice.next_event()).await.is_err());
        assert!(matches!(alice.send(&"bob".parse().unwrap(), offer()).await, Err(SignalingError::NotConnected)));
        signaling.restart();
        for signaler in [&alice, &bob] {
            assert_eq!(next(signaler).await, SignalingEvent::Connected(true));
        }
        sleep(Duration::from_secs(1)).await;
        alice.send(&"bob".parse().unwrap(), offer()).await.unwrap();
        // One came back first and saw an empty room, then the other was announced to it.
        let mut seen = Vec::new();
        while let Ok(Some(event)) = timeout(MS * 100, bob.next_event()).await {
            seen.push(event);
        }
        let message = SignalingEvent::Message { from: "alice".parse().unwrap(), message: offer() };
        assert_eq!(seen.last(), Some(&message), "{seen:?}");
    });
}

#[test]
fn a_killed_client_is_reported_as_a_hint_within_one_way() {
    run_virtual(1, |_| async {
        let signaling = signaling();
        let (alice, bob) = (join(&signaling, "alice").await, join(&signaling, "bob").await);
        assert_eq!(next(&alice).await, available("bob"));
        let killed = Instant::now();
        bob.kill();
        assert_eq!(next(&alice).await, left("bob", false));
        assert_eq!(killed.elapsed(), DELAY * 2);
        while bob.next_event().await.is_some() {}
        drop(bob);
        // The id is reserved for its owner's return, who has the key: no one else gets it for a minute.
        assert!(signaling.join("bob".parse().unwrap()).await.is_err());
        sleep(Duration::from_secs(61)).await;
        join(&signaling, "bob").await;
    });
}

#[test]
fn a_broken_socket_is_taken_over_with_the_session_key() {
    run_virtual(1, |_| async {
        let signaling = signaling();
        let (alice, bob) = (join(&signaling, "alice").await, join(&signaling, "bob").await);
        assert_eq!((next(&alice).await, next(&bob).await), (available("bob"), available("alice")));
        for _ in 0..3 {
            bob.break_socket();
            assert_eq!(next(&bob).await, SignalingEvent::Connected(false));
            assert_eq!(next(&alice).await, left("bob", false));
            assert_eq!(next(&bob).await, SignalingEvent::Connected(true));
            assert_eq!(next(&alice).await, available("bob"));
        }
        alice.send(&"bob".parse().unwrap(), offer()).await.unwrap();
        assert!(matches!(next(&bob).await, SignalingEvent::Message { .. }));
    });
}

#[test]
fn an_idle_hour_ends_no_registration() {
    run_virtual(1, |_| async {
        let signaling = signaling();
        let (alice, _bob) = (join(&signaling, "alice").await, join(&signaling, "bob").await);
        assert_eq!(next(&alice).await, available("bob"));
        assert!(timeout(Duration::from_secs(3_600), alice.next_event()).await.is_err());
        alice.send(&"bob".parse().unwrap(), offer()).await.unwrap();
    });
}
