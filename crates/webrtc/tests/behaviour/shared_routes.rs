//! A pipeline that all peers share.

use std::{sync::Arc, time::Duration};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{data::RuntimeData, manifest::Manifest, node::NodeRegistry};
use remotemedia_webrtc::{
    DataChannelMessage, PeerId, Route, TransportEvent, TransportEvents, WebRtcError, WebRtcTransport,
};
use tokio::time::timeout;

use crate::world::World;

pub(crate) fn echo() -> Arc<Manifest> {
    Arc::new(Manifest::from_yaml("pipeline: { nodes: [{ id: e, type: Echo }] }").unwrap())
}

/// The next thing that a pipeline says, and about whom.
pub(crate) async fn news(events: &mut TransportEvents) -> (PeerId, String) {
    let wait = async {
        loop {
            if let TransportEvent::PipelineControl { peer, message } = events.next().await.expect("it runs") {
                let peer = peer.expect("it is about somebody");
                assert_eq!(message.payload["peer"], peer.as_str());
                return (peer, message.message_type.to_string());
            }
        }
    };
    timeout(Duration::from_secs(10), wait).await.expect("the pipeline says something")
}

pub(crate) async fn ask(peer: &WebRtcTransport, text: &str) -> DataChannelMessage {
    let message = DataChannelMessage::Text { payload: text.into() };
    peer.send_data_channel_message("bot", &message).await.unwrap();
    peer.recv_data_channel_message().await.unwrap().unwrap().1
}

#[test]
fn peers_that_come_and_go_are_announced_to_one_session_that_answers_each() {
    run_virtual(321, |network| async move {
        let world = World::clean(network);
        let bot = world.join("bot").await;
        let mut events = bot.events();
        let attachment = bot.attach(echo(), Route::from_all().shared().with_messages()).await.unwrap();
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        for (name, peer) in [("alice", &alice), ("bob", &bob)] {
            peer.connect_peer("bot").await.unwrap();
            assert_eq!(news(&mut events).await, (PeerId::new(name).unwrap(), "peer_joined".to_owned()));
            assert_eq!(ask(peer, name).await, DataChannelMessage::Text { payload: name.into() });
        }
        let session = attachment.shared_session().expect("it runs");
        let of_alice = attachment.session("alice").expect("she takes part");
        assert_eq!(of_alice.session_id(), session.session_id());
        assert_eq!(attachment.peers(), ["alice", "bob"]);
        assert!(matches!(attachment.replace_for("alice", echo()).await, Err(WebRtcError::SharedSession)));

        alice.shutdown().await.unwrap();
        assert_eq!(news(&mut events).await, (PeerId::new("alice").unwrap(), "peer_left".to_owned()));
        assert_eq!(ask(&bob, "still there").await, DataChannelMessage::Text { payload: "still there".into() });
        assert!(session.is_active());
        assert_eq!(attachment.peers(), ["bob"]);
    });
}

#[test]
fn a_replacement_is_told_who_takes_part() {
    run_virtual(322, |network| async move {
        let world = World::clean(network);
        let bot = world.join("bot").await;
        let mut events = bot.events();
        let attachment = bot.attach(echo(), Route::from_all().shared().with_messages()).await.unwrap();
        let alice = world.join("alice").await;
        alice.connect_peer("bot").await.unwrap();
        let joined = (PeerId::new("alice").unwrap(), "peer_joined".to_owned());
        assert_eq!(news(&mut events).await, joined);
        let other = Manifest::from_yaml("pipeline: { nodes: [{ id: p, type: PassThrough }] }").unwrap();
        attachment.replace(Arc::new(other)).await.unwrap();
        assert_eq!(news(&mut events).await, joined);
        assert_eq!(ask(&alice, "hello").await, DataChannelMessage::Text { payload: "hello".into() });
        attachment.detach().await;
    });
}

/// A registry with a node that answers "flood" with 500 numbers at once, and passes everything else on.
fn with_flood() -> Arc<NodeRegistry> {
    let mut registry = NodeRegistry::with_builtin();
    registry.register_fn("Flood", |input, out| {
        match input {
            RuntimeData::Text(text) if text == "flood" => (0..500).for_each(|number| out.emit(number.to_string())),
            other => out.emit(other),
        }
        Ok(())
    });
    Arc::new(registry)
}

#[test]
fn what_finds_its_peer_too_far_behind_is_dropped_and_counted() {
    run_virtual(324, |network| async move {
        let world = World::clean(network);
        let bot = world.join_in("bot", |_| {}, |e| e.nodes = Some(with_flood())).await;
        let flood = Arc::new(Manifest::from_yaml("pipeline: { nodes: [{ id: f, type: Flood, queue: 4 }] }").unwrap());
        let attachment = bot.attach(flood, Route::from_all().shared().with_messages()).await.unwrap();
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        for peer in [&alice, &bob] {
            peer.connect_peer("bot").await.unwrap();
            assert_eq!(ask(peer, "hello").await, DataChannelMessage::Text { payload: "hello".into() });
        }
        let dropped = || attachment.metrics("alice").expect("she takes part").outputs_dropped;
        assert_eq!(dropped(), 0);
        let text = |payload: &str| DataChannelMessage::Text { payload: payload.into() };
        alice.send_data_channel_message("bot", &text("flood")).await.unwrap();
        let mut received = Vec::new();
        while let Ok(message) = timeout(Duration::from_secs(5), alice.recv_data_channel_message()).await {
            let DataChannelMessage::Text { payload } = message.unwrap().unwrap().1 else { panic!("a text") };
            received.push(payload.parse::<u64>().unwrap());
        }
        println!("{} of 500 came, {} were dropped", received.len(), dropped());
        assert_eq!(received.len() as u64 + dropped(), 500);
        assert!(dropped() > 0 && received.len() >= 64 && received.is_sorted(), "{} {received:?}", dropped());
        // Bob is not held up, and what comes later arrives.
        for peer in [&bob, &alice] {
            assert_eq!(ask(peer, "still there").await, DataChannelMessage::Text { payload: "still there".into() });
        }
    });
}
