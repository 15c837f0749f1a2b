//! How connections end, and that nothing is left of them.

mod common;

use std::time::{Duration, Instant};

use common::{Cable, Hub, config, connected, event, id, mesh, mesh_on, send_video, soon, video_numbers, video_track};
use remotemedia_mesh::{DisconnectReason, Feedback, MeshEvent, Message};

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

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
async fn dropping_the_last_handle_closes_everything() {
    let hub = Hub::default();
    let before = open_files();
    let bob = mesh(&hub, "bob").await;
    let mut events = bob.events();
    {
        let alice = mesh(&hub, "alice").await;
        let clone = alice.clone();
        soon("connect", alice.connect(&id("bob"))).await.unwrap();
        connected(&alice, &bob).await;
        drop(alice);
        assert_eq!(clone.peers().len(), 1, "a handle is left");
    }
    let begin = Instant::now();
    assert_eq!(disconnected(&mut events).await, DisconnectReason::UserRequested);
    bob.shutdown().await;
    soon("the sockets are closed", async {
        while open_files() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    println!("all closed after {:?}", begin.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_connections_one_after_the_other_leave_nothing() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let mut after_first = (0, 0);
    for round in 0..100 {
        let (caller, callee, name) = if round % 2 == 0 { (&alice, &bob, "bob") } else { (&bob, &alice, "alice") };
        soon("connect", caller.connect(&id(name))).await.unwrap();
        soon("send", caller.send_message(&id(name), Message::Text("hi".into()))).await.unwrap();
        soon("receive", callee.recv_message()).await.unwrap();
        soon("disconnect", caller.disconnect(&id(name))).await.unwrap();
        soon("both sides done", async {
            while !callee.peers().is_empty() || format!("{callee:?}{caller:?}").matches("peers: []").count() < 2 {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
        if round == 9 {
            after_first = (open_files(), tasks());
        }
    }
    soon("tasks and sockets are back where they were", async {
        while open_files() > after_first.0 || tasks() > after_first.1 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
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
