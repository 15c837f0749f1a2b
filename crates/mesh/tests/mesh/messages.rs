//! Messages between two meshes: any size, in order, nothing lost, bounded memory.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use bytes::Bytes;
use remotemedia_mesh::{DataChannelMode, MAX_MESSAGE_SIZE, Mesh, MeshError, Message};

use crate::{
    hub::{Hub, config, connected, id, mesh, soon},
    mesh_with,
};

async fn pair(mode: Option<DataChannelMode>) -> (Mesh, Mesh) {
    let hub = Hub::default();
    let mut meshes = Vec::new();
    for name in ["alice", "bob"] {
        let mut config = config(name);
        config.data_channel = mode;
        meshes.push(mesh_with(&hub, config).await);
    }
    let (bob, alice) = (meshes.pop().unwrap(), meshes.pop().unwrap());
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    (alice, bob)
}

fn pattern(size: usize) -> Bytes {
    (0..size).map(|i| (i * 31 % 251) as u8).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_all_sizes_arrive_whole_and_in_order() {
    let (alice, bob) = pair(Some(DataChannelMode::Reliable)).await;
    let sizes = [0, 1, 1_000, 16_383, 16_384, 16_385, 65_536, 65_537, 300_000, MAX_MESSAGE_SIZE];
    let sender = {
        let alice = alice.clone();
        tokio::spawn(async move {
            for size in sizes {
                alice.send_message(&id("bob"), Message::Binary(pattern(size))).await.unwrap();
                alice.send_message(&id("bob"), Message::Text(format!("that was {size}: ä"))).await.unwrap();
            }
        })
    };
    for size in sizes {
        let (peer, message) = soon("a binary message", bob.recv_message()).await.unwrap();
        assert_eq!(peer, "alice");
        assert!(message == Message::Binary(pattern(size)), "{size} bytes came as {}", message.len());
        let (_, message) = soon("a text message", bob.recv_message()).await.unwrap();
        assert_eq!(message, Message::Text(format!("that was {size}: ä")));
    }
    sender.await.unwrap();
    let too_large = Message::Binary(vec![0; MAX_MESSAGE_SIZE + 1].into());
    match alice.send_message(&id("bob"), too_large).await {
        Err(MeshError::MessageTooLarge { limit, .. }) => assert_eq!(limit, MAX_MESSAGE_SIZE),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unread_mesh_makes_the_sender_wait_and_loses_nothing() {
    let (alice, bob) = pair(Some(DataChannelMode::Reliable)).await;
    const COUNT: usize = 1_500;
    let sent = Arc::new(AtomicUsize::new(0));
    let sender = {
        let (alice, sent) = (alice.clone(), sent.clone());
        tokio::spawn(async move {
            for number in 0..COUNT {
                let mut bytes = vec![0; 64 * 1024];
                bytes[..8].copy_from_slice(&(number as u64).to_be_bytes());
                alice.send_message(&id("bob"), Message::Binary(bytes.into())).await.unwrap();
                sent.fetch_add(1, SeqCst);
            }
        })
    };
    // Until it stands still: nothing sent for half a second.
    soon("the sender has to wait", async {
        loop {
            let before = sent.load(SeqCst);
            tokio::time::sleep(Duration::from_millis(500)).await;
            if before > 0 && sent.load(SeqCst) == before {
                break;
            }
        }
    })
    .await;
    assert!(sent.load(SeqCst) < COUNT, "96 MB went into a mesh that nobody reads");
    for number in 0..COUNT {
        let Some((_, Message::Binary(bytes))) = soon("a message", bob.recv_message()).await else { panic!() };
        assert_eq!(bytes[..8], (number as u64).to_be_bytes());
    }
    sender.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_that_gives_up_leaves_no_half_message() {
    let (alice, bob) = pair(Some(DataChannelMode::Reliable)).await;
    for _ in 0..20 {
        let big = Message::Binary(pattern(4 << 20));
        let bob_id = id("bob");
        let sending = alice.send_message(&bob_id, big);
        let _ = tokio::time::timeout(Duration::from_millis(1), sending).await;
    }
    let sender = {
        let alice = alice.clone();
        tokio::spawn(async move { alice.send_message(&id("bob"), Message::Text("end".into())).await })
    };
    loop {
        match soon("a message", bob.recv_message()).await.unwrap().1 {
            Message::Binary(bytes) => assert!(bytes == pattern(4 << 20), "{} bytes", bytes.len()),
            Message::Text(text) => break assert_eq!(text, "end"),
        }
    }
    soon("the last message was sent", sender).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreliable_channel_takes_what_fits_one_packet_burst() {
    let (alice, bob) = pair(Some(DataChannelMode::Unreliable)).await;
    let message = Message::Binary(pattern(16_384));
    soon("send", alice.send_message(&id("bob"), message.clone())).await.unwrap();
    assert_eq!(soon("receive", bob.recv_message()).await, Some((id("alice"), message)));
    match alice.send_message(&id("bob"), Message::Binary(pattern(16_385))).await {
        Err(MeshError::MessageTooLarge { size: 16_385, limit: 16_384, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_channel_sending_says_so() {
    let (alice, _bob) = pair(None).await;
    let result = soon("send", alice.send_message(&id("bob"), Message::Text("x".into()))).await;
    assert!(matches!(result, Err(MeshError::NoDataChannel(_))), "{result:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reliable_channel_carries_many_megabytes_a_second() {
    let (alice, bob) = pair(Some(DataChannelMode::Reliable)).await;
    const COUNT: usize = 4_000;
    let sender = {
        let alice = alice.clone();
        tokio::spawn(async move {
            let bytes = pattern(16 * 1024);
            for _ in 0..COUNT {
                alice.send_message(&id("bob"), Message::Binary(bytes.clone())).await.unwrap();
            }
        })
    };
    let begin = std::time::Instant::now();
    for _ in 0..COUNT {
        soon("a message", bob.recv_message()).await.unwrap();
    }
    let rate = (COUNT * 16 * 1024) as f64 / begin.elapsed().as_secs_f64() / 1e6;
    println!("{rate:.0} MB/s");
    sender.await.unwrap();
    // Far below what it does on an idle machine: with the system's small socket buffers it would stall for seconds.
    assert!(rate > 2.0, "{rate:.1} MB/s");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_arrives_before_the_farewell() {
    for _ in 0..5 {
        let (alice, bob) = pair(Some(DataChannelMode::Reliable)).await;
        let last = Message::Binary(pattern(500_000));
        soon("send", alice.send_message(&id("bob"), last.clone())).await.unwrap();
        drop(alice);
        let received = soon("receive", bob.recv_message()).await;
        assert!(received == Some((id("alice"), last)), "the message was cut off");
    }
}

#[tokio::test]
async fn nobody_to_send_to_is_an_error() {
    let alice = mesh(&Hub::default(), "alice").await;
    let result = alice.send_message(&id("bob"), Message::Text("x".into())).await;
    assert!(matches!(result, Err(MeshError::NotConnected(_))), "{result:?}");
}
