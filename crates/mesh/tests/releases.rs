//! What is left of connections that ended: nothing. A binary of its own, since it counts the process's open files.
#![allow(clippy::unwrap_used)]

#[path = "mesh/hub.rs"]
mod hub;

use std::time::{Duration, Instant};

use hub::{Hub, connected, event, id, mesh, soon};
use remotemedia_mesh::{DisconnectReason, MeshEvent, Message};

/// One test, because its parts count what the whole process has open.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_connections_that_ended() {
    dropping_the_last_handle_closes_everything().await;
    a_hundred_connections_one_after_the_other_leave_nothing().await;
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count)
}

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
    match event(&mut events, |e| matches!(e, MeshEvent::PeerDisconnected { .. })).await {
        MeshEvent::PeerDisconnected { reason, .. } => assert_eq!(reason, DisconnectReason::UserRequested),
        other => panic!("{other:?}"),
    }
    bob.shutdown().await;
    soon("the sockets are closed", async {
        while open_files() > before {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    println!("all closed after {:?}", begin.elapsed());
}

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
