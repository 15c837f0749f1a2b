//! How connections end, and that nothing is left of them.

use std::time::{Duration, Instant};

use remotemedia_mesh::{DisconnectReason, Feedback, MeshEvent};

use crate::{
    hub::{Hub, config, connected, event, id, mesh, soon},
    network::{Cable, mesh_on},
    video::{send_video, video_numbers, video_track},
};

async fn disconnected(events: &mut remotemedia_mesh::MeshEvents) -> DisconnectReason {
    match event(events, |e| matches!(e, MeshEvent::PeerDisconnected { .. })).await {
        MeshEvent::PeerDisconnected { reason, .. } => reason,
        _ => unreachable!(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_farewell_reaches_the_peer_at_once() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    let mut events = bob.events();
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    let mut track_ends = {
        send_one_video_frame(&alice).await;
        video_track(&bob).await
    };
    let begin = Instant::now();
    soon("disconnect", alice.disconnect(&id("bob"))).await.unwrap();
    assert_eq!(disconnected(&mut events).await, DisconnectReason::UserRequested);
    println!("noticed after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(2));
    assert!(alice.peers().is_empty() && bob.peers().is_empty());
    soon("the track ends", async { while track_ends.recv().await.is_some() {} }).await;
    // Again, and for a stranger: nothing to do.
    alice.disconnect(&id("bob")).await.unwrap();
    alice.disconnect(&id("carol")).await.unwrap();
    // And anew.
    soon("connect again", bob.connect(&id("alice"))).await.unwrap();
    soon("feedback", async {
        let mut gone = false;
        loop {
            match bob.next_feedback().await.unwrap() {
                Feedback::MediaGone { .. } => gone = true,
                Feedback::MediaReady { .. } if gone => break,
                _ => {}
            }
        }
    })
    .await;
}

async fn send_one_video_frame(mesh: &remotemedia_mesh::Mesh) {
    let _ = tokio::time::timeout(Duration::from_millis(100), send_video(mesh, "bob")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_peer_is_noticed_with_the_hint_of_signaling() {
    let (hub, cable) = (Hub::default(), Cable::default());
    let alice = mesh(&hub, "alice").await;
    let bob = mesh_on(&hub, config("bob"), &cable).await;
    let mut events = alice.events();
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    let begin = Instant::now();
    cable.cut();
    hub.leave("bob", false);
    assert_eq!(disconnected(&mut events).await, DisconnectReason::NetworkError);
    println!("noticed after {:?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_outlives_signaling() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    let mut events = alice.events();
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    hub.leave("bob", false);
    hub.leave("alice", false);
    event(&mut events, |e| matches!(e, MeshEvent::PeerLeft { .. })).await;
    let sender = alice.clone();
    let sending = tokio::spawn(async move { send_video(&sender, "bob").await });
    let mut track = video_track(&bob).await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_millis(1_500) {
        video_numbers(&mut track, 10).await;
    }
    assert_eq!((alice.peers().len(), bob.peers().len()), (1, 1));
    sending.abort();
    // A farewell needs no signaling either.
    let mut events = bob.events();
    alice.shutdown().await;
    assert_eq!(disconnected(&mut events).await, DisconnectReason::UserRequested);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_given_up_without_any_hint() {
    let (hub, cable) = (Hub::default(), Cable::default());
    let mut config_of_alice = config("alice");
    config_of_alice.ice_timeout = Duration::from_secs(3);
    let alice = crate::mesh_with(&hub, config_of_alice).await;
    let bob = mesh_on(&hub, config("bob"), &cable).await;
    let mut events = alice.events();
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    let begin = Instant::now();
    cable.cut();
    event(&mut events, |e| matches!(e, MeshEvent::PeerReconnecting { .. })).await;
    assert_eq!(disconnected(&mut events).await, DisconnectReason::NetworkError);
    println!("given up after {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_leaves_the_room_on_purpose_is_gone() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    let mut events = alice.events();
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    hub.leave("bob", true);
    assert_eq!(disconnected(&mut events).await, DisconnectReason::UserRequested);
    assert!(alice.available_peers().is_empty());
}
