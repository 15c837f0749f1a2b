//! How connections come to be: from both sides at once, shared, given up, refused.

use std::time::Duration;

use remotemedia_media::Codec;
use remotemedia_mesh::{ConnectionStage, MeshError, MeshEvent, Message, SignalingError};

use crate::{
    hub::{Hub, config, connected, event, id, mesh, soon},
    mesh_with,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_sides_calling_at_once_get_one_connection() {
    for round in 0..20 {
        let hub = Hub::default();
        let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
        let mut events = [alice.events(), bob.events()];
        let (to_bob, to_alice) = (id("bob"), id("alice"));
        let both = async { tokio::join!(alice.connect(&to_bob), bob.connect(&to_alice)) };
        let (a, b) = soon("both calls", both).await;
        assert!(a.is_ok() && b.is_ok(), "round {round}: {a:?} {b:?}");
        let message = Message::Text(format!("round {round}"));
        soon("send", alice.send_message(&to_bob, message.clone())).await.unwrap();
        assert_eq!(soon("receive", bob.recv_message()).await, Some((to_alice.clone(), message.clone())));
        soon("send", bob.send_message(&to_alice, message.clone())).await.unwrap();
        assert_eq!(soon("receive", alice.recv_message()).await, Some((to_bob.clone(), message)));
        alice.shutdown().await;
        bob.shutdown().await;
        for events in &mut events {
            drop(event(events, |e| matches!(e, MeshEvent::PeerConnected { .. })).await);
            // One connection and its end; nothing was lost or made again in between.
            let next = event(events, |e| !matches!(e, MeshEvent::PeerAvailable { .. })).await;
            assert!(matches!(next, MeshEvent::PeerDisconnected { .. }), "round {round}: {next:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn calls_for_one_peer_share_an_attempt() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    let mut events = alice.events();
    let calls: Vec<_> = (0..5)
        .map(|_| {
            let alice = alice.clone();
            tokio::spawn(async move { alice.connect(&id("bob")).await })
        })
        .collect();
    for call in calls {
        soon("a call", call).await.unwrap().unwrap();
    }
    soon("again", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    alice.shutdown().await;
    event(&mut events, |e| matches!(e, MeshEvent::PeerConnected { .. })).await;
    let next = event(&mut events, |e| !matches!(e, MeshEvent::PeerAvailable { .. })).await;
    assert!(matches!(next, MeshEvent::PeerDisconnected { .. }), "{next:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_ends_with_its_last_waiter() {
    let hub = Hub::default();
    let alice = mesh(&hub, "alice").await;
    // Registered, but nobody is there to answer.
    let _silent = hub.join("bob");
    let bob = id("bob");
    let first = alice.connect(&bob);
    let second = alice.connect(&bob);
    let both = async {
        tokio::join!(
            tokio::time::timeout(Duration::from_millis(50), first),
            tokio::time::timeout(Duration::from_millis(100), second)
        )
    };
    let (first, second) = both.await;
    assert!(first.is_err() && second.is_err());
    // The place is free again once the attempt is gone.
    soon("the attempt is gone", async {
        while format!("{alice:?}").contains("bob") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_answer_is_reported() {
    let hub = Hub::default();
    let mut config = config("alice");
    config.connect_timeout = Duration::from_secs(1);
    config.attempt_timeout = Duration::from_millis(500);
    let alice = mesh_with(&hub, config).await;
    let mut events = alice.events();
    let _silent = hub.join("bob");
    match soon("connect", alice.connect(&id("bob"))).await {
        Err(MeshError::ConnectFailed { peer, report }) => {
            assert_eq!(peer, "bob");
            assert_eq!(report.stage, ConnectionStage::Signaling);
            assert!(report.description_sent && !report.description_received, "{report:?}");
            assert!(!report.local_candidates.is_empty() && report.remote_candidates.is_empty());
            assert!(report.tries >= 2, "a fresh try after attempt_timeout: {report:?}");
            assert!(report.summary().contains("did not answer"), "{}", report.summary());
            assert_eq!(alice.report(&id("bob")), Some(*report));
        }
        other => panic!("{other:?}"),
    }
    event(&mut events, |e| matches!(e, MeshEvent::PeerFailed { .. })).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_peer_is_an_error_at_once() {
    let alice = mesh(&Hub::default(), "alice").await;
    match soon("connect", alice.connect(&id("nobody"))).await {
        Err(MeshError::Signaling { source: SignalingError::PeerNotFound(peer), .. }) => assert_eq!(peer, "nobody"),
        other => panic!("{other:?}"),
    }
    assert!(matches!(alice.connect(&id("alice")).await, Err(MeshError::OwnId(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_than_max_peers_are_turned_away_both_ways() {
    let hub = Hub::default();
    let mut config = config("alice");
    config.max_peers = 1;
    let alice = mesh_with(&hub, config).await;
    let (bob, carol) = (mesh(&hub, "bob").await, mesh(&hub, "carol").await);
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    let refused = soon("connect", alice.connect(&id("carol"))).await;
    assert!(matches!(refused, Err(MeshError::TooManyPeers { limit: 1 })), "{refused:?}");
    match soon("connect", carol.connect(&id("alice"))).await {
        Err(MeshError::ConnectFailed { report, .. }) => assert!(report.ended_by_peer.is_some(), "{report:?}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(alice.peers().len(), 1);
    assert_eq!(alice.available_peers(), [id("bob"), id("carol")]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mesh_that_was_not_started_says_so() {
    let hub = Hub::default();
    let alice = remotemedia_mesh::Mesh::new(config("alice"), hub.join("alice")).unwrap();
    assert!(matches!(alice.connect(&id("bob")).await, Err(MeshError::NotStarted)));
    assert!(matches!(alice.send_media(&id("bob"), Codec::Opus, &[], false), Err(MeshError::NotConnected(_))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_comes_back_anew_replaces_its_old_connection() {
    let hub = Hub::default();
    let alice = mesh(&hub, "alice").await;
    let bob = mesh(&hub, "bob").await;
    soon("connect", bob.connect(&id("alice"))).await.unwrap();
    connected(&alice, &bob).await;
    // The old bob says nothing more; a new one takes its place and calls.
    let reborn = mesh(&hub, "bob").await;
    soon("connect", reborn.connect(&id("alice"))).await.unwrap();
    soon("send", reborn.send_message(&id("alice"), Message::Text("me again".into()))).await.unwrap();
    let (peer, message) = soon("receive", alice.recv_message()).await.unwrap();
    assert_eq!((peer.as_str(), message), ("bob", Message::Text("me again".into())));
    assert_eq!(alice.peers().len(), 1);
}
