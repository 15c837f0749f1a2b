//! Pipelines that are held for a while.

use std::{sync::Arc, time::Duration};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::manifest::Manifest;
use remotemedia_webrtc::{DataChannelMessage, Route, WebRtcTransport};
use tokio::time::{Instant, sleep, timeout};

use crate::{shared_routes::echo, world::World};

fn text(payload: &str) -> DataChannelMessage {
    DataChannelMessage::Text { payload: payload.into() }
}

async fn say(peer: &WebRtcTransport, texts: &[&str]) {
    for payload in texts {
        peer.send_data_channel_message("bot", &text(payload)).await.unwrap();
    }
    // They are with the bot by then.
    sleep(Duration::from_millis(200)).await;
}

async fn answers(peer: &WebRtcTransport) -> Vec<String> {
    let mut texts = Vec::new();
    while let Ok(message) = timeout(Duration::from_millis(500), peer.recv_data_channel_message()).await {
        let DataChannelMessage::Text { payload } = message.unwrap().unwrap().1 else { panic!("a text") };
        texts.push(payload);
    }
    texts
}

#[test]
fn a_pipeline_that_is_held_can_be_replaced_and_what_follows_is_held_with_all_that_waits() {
    run_virtual(331, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let attachment = bot.attach(echo(), Route::from_all().with_messages()).await.unwrap();
        alice.connect_peer("bot").await.unwrap();
        say(&alice, &["one"]).await;
        assert_eq!(answers(&alice).await, ["one"]);
        attachment.session("alice").unwrap().pause();
        say(&alice, &["two", "three"]).await;
        assert!(answers(&alice).await.is_empty());

        let asked = Instant::now();
        let other = Manifest::from_yaml(
            "pipeline: { nodes: [{ id: e, type: Echo }, { id: p, type: PassThrough }], graph: [{ from: e, to: p }] }",
        );
        attachment.replace(Arc::new(other.unwrap())).await.unwrap();
        assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
        let session = attachment.session("alice").unwrap();
        assert!(session.is_paused() && session.metrics().len() == 2);
        // What was inside the old one has come out; nothing more does.
        say(&alice, &["four"]).await;
        assert_eq!(answers(&alice).await, ["two", "three"]);
        session.resume();
        say(&alice, &["five"]).await;
        assert_eq!(answers(&alice).await, ["four", "five"]);
    });
}

#[test]
fn whoever_leaves_a_pipeline_that_is_held_is_out_of_it() {
    run_virtual(332, |network| async move {
        let world = World::clean(network);
        let (bot, alice) = (world.join("bot").await, world.join("alice").await);
        let attachment = bot.attach(echo(), Route::from_all().with_messages()).await.unwrap();
        alice.connect_peer("bot").await.unwrap();
        say(&alice, &["one"]).await;
        assert_eq!(answers(&alice).await, ["one"]);
        attachment.session("alice").unwrap().pause();
        say(&alice, &["two"]).await;
        timeout(Duration::from_secs(10), attachment.remove_peer("alice")).await.expect("it answers").unwrap();
        assert!(attachment.peers().is_empty());
        // The call goes on, and her messages reach the program.
        say(&alice, &["to the program"]).await;
        assert_eq!(bot.recv_data_channel_message().await.unwrap().unwrap().1, text("to the program"));
    });
}
