//! Messages over the data channel.

use std::time::Duration;

use remotemedia_netsim::{
    link::{LinkConfig, Loss},
    virt::run_virtual,
};
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{DataChannelMessage, DataChannelMode, WebRtcError};
use tokio::time::{Instant, sleep, timeout};

use crate::world::{ONE_WAY, World};

fn text(payload: impl Into<String>) -> DataChannelMessage {
    DataChannelMessage::Text { payload: payload.into() }
}

#[test]
fn every_kind_of_message_arrives_as_it_was_in_order_both_ways() {
    run_virtual(91, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let megabyte: Vec<u8> = (0..1_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let messages = [
            DataChannelMessage::Json { payload: serde_json::json!({"type": "chat", "n": [1, 2.5, null]}) },
            text("plain words, äöü, and no JSON"),
            DataChannelMessage::Binary { payload: vec![0, 255, 7] },
            DataChannelMessage::Binary { payload: vec![] },
            text(""),
            DataChannelMessage::Binary { payload: megabyte },
            text("after the large one"),
        ];
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            for message in &messages {
                from.send_data_channel_message(to.peer_id(), message).await.unwrap();
            }
            for message in &messages {
                let (sender, received) = to.recv_data_channel_message().await.unwrap().unwrap();
                assert_eq!(&sender, from.peer_id());
                assert!(&received == message, "another message arrived than was sent");
            }
        }
    });
}

#[test]
fn no_message_is_lost_on_a_lossy_path_though_nobody_reads_for_a_while() {
    run_virtual(92, |network| async move {
        let world = World::new(network, LinkConfig::with_delay(ONE_WAY).with_loss(Loss::Random(0.03)));
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let sender = tokio::spawn(async move {
            for number in 0..2_000 {
                alice.send_data_channel_message("bob", &text(format!("number {number}"))).await.unwrap();
            }
            // Alive until the last one has arrived.
            sleep(Duration::from_secs(60)).await;
        });
        sleep(Duration::from_secs(5)).await;
        for number in 0..2_000 {
            let (_, message) =
                timeout(Duration::from_secs(50), bob.recv_data_channel_message()).await.unwrap().unwrap().unwrap();
            assert_eq!(message, text(format!("number {number}")));
        }
        sender.await.unwrap();
    });
}

#[test]
fn a_sender_waits_while_its_peer_does_not_read() {
    run_virtual(93, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let flood = tokio::spawn(async move {
            let message = DataChannelMessage::Binary { payload: vec![1; 1_000_000] };
            for _ in 0..100 {
                alice.send_data_channel_message("bob", &message).await.unwrap();
            }
            alice
        });
        sleep(Duration::from_secs(20)).await;
        assert!(!flood.is_finished(), "100 MB are not taken without a reader");
        for _ in 0..100 {
            let received = timeout(Duration::from_secs(30), bob.recv_data_channel_message()).await.expect("a message");
            let (_, message) = received.unwrap().unwrap();
            assert!(matches!(message, DataChannelMessage::Binary { payload } if payload.len() == 1_000_000));
        }
        flood.await.unwrap();
    });
}

#[test]
fn a_broadcast_gives_up_after_five_seconds_on_a_peer_that_does_not_read_and_reaches_the_others() {
    run_virtual(95, |network| async move {
        let world = World::clean(network);
        let alice = world.join("alice").await;
        let (bob, carol) = (world.join("bob").await, world.join("carol").await);
        for peer in ["bob", "carol"] {
            alice.connect_peer(peer).await.unwrap();
        }
        let reader = carol.clone();
        let reading = tokio::spawn(async move {
            let mut read = 0;
            while let Some((_, message)) = reader.recv_data_channel_message().await.unwrap() {
                read += usize::from(
                    matches!(message, DataChannelMessage::Binary { payload } if payload.len() == 1_000_000),
                );
            }
            read
        });
        let megabyte = RuntimeData::Binary(vec![1; 1_000_000].into());
        let mut sent = 0;
        let (stats, took) = loop {
            let begin = Instant::now();
            let stats = alice.broadcast(&megabyte).await.unwrap();
            sent += 1;
            if stats.failed_count > 0 {
                break (stats, begin.elapsed());
            }
            assert!(sent < 100, "100 MB are not taken without a reader");
        };
        println!("the message number {sent} was given up after {took:?}");
        assert_eq!((stats.sent_count, stats.failed_count), (1, 1));
        let failure = &stats.failed_peers[0];
        assert!(failure.peer_id == "bob" && failure.error.is_retryable(), "{failure:?}");
        assert!(matches!(&failure.error, WebRtcError::PeerTooSlow { peer } if peer == "bob"), "{failure:?}");
        assert!(took.abs_diff(Duration::from_secs(5)) < Duration::from_millis(500), "{took:?}");
        // When bob has read what waits, the next one reaches him. What was given up may come, whole.
        let next = async || timeout(Duration::from_secs(30), bob.recv_data_channel_message()).await.unwrap();
        for _ in 1..sent {
            next().await.unwrap().unwrap();
        }
        let after = RuntimeData::Text("after".into());
        assert_eq!(alice.broadcast(&after).await.unwrap().sent_count, 2);
        let (_, mut message) = next().await.unwrap().unwrap();
        if message == (DataChannelMessage::Binary { payload: vec![1; 1_000_000] }) {
            (_, message) = next().await.unwrap().unwrap();
        }
        assert!(message == text("after"), "something else came");
        alice.shutdown().await.unwrap();
        carol.shutdown().await.unwrap();
        assert_eq!(reading.await.unwrap(), sent);
    });
}

/// How many of 300 messages arrive at most 100 ms after they were sent, over a path that loses a tenth.
fn in_time(mode: DataChannelMode) -> (usize, usize) {
    run_virtual(94, move |network| async move {
        let world = World::new(network, LinkConfig::with_delay(ONE_WAY).with_loss(Loss::Random(0.1)));
        let alice = world.join_with("alice", |c| c.data_channel_mode = mode).await;
        let bob = world.join_with("bob", |c| c.data_channel_mode = mode).await;
        alice.connect_peer("bob").await.unwrap();
        let begin = Instant::now();
        let sender = alice.clone();
        let sending = tokio::spawn(async move {
            for _ in 0..300 {
                let stamp = text(begin.elapsed().as_millis().to_string());
                sender.send_data_channel_message("bob", &stamp).await.unwrap();
                sleep(Duration::from_millis(20)).await;
            }
        });
        let (mut arrived, mut timely) = (0, 0);
        while let Ok(message) = timeout(Duration::from_secs(10), bob.recv_data_channel_message()).await {
            let Some((_, DataChannelMessage::Text { payload })) = message.unwrap() else { break };
            let sent = begin + Duration::from_millis(payload.parse().unwrap());
            arrived += 1;
            timely += usize::from(sent.elapsed() <= Duration::from_millis(100));
        }
        sending.await.unwrap();
        println!("{mode:?}: {arrived} of 300 arrived, {timely} in time");
        (arrived, timely)
    })
}

#[test]
fn an_unreliable_channel_loses_messages_but_none_waits_for_a_lost_one() {
    let (arrived, timely) = in_time(DataChannelMode::Reliable);
    assert_eq!(arrived, 300);
    assert!(timely < 250, "a reliable channel makes messages wait for lost ones");
    let (arrived, timely) = in_time(DataChannelMode::Unreliable);
    assert!((230..300).contains(&arrived), "{arrived} arrived");
    // The first one waits for the channel to open.
    assert!(arrived - timely <= 1, "{timely} of {arrived} that arrived were in time");
}
