//! Peers that move from one attached pipeline to another.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{
    data::RuntimeData,
    manifest::Manifest,
    node::{AsyncEmitter, AsyncNode, NodeRegistry, NodeResult, NodeType},
};
use remotemedia_webrtc::{Attachment, DataChannelMessage, PeerId, Route, WebRtcError, WebRtcTransport};
use tokio::time::timeout;

use crate::{
    shared_routes::{ask, echo, news},
    world::World,
};

/// A registry with a node that says everything in capitals.
fn with_shout() -> Arc<NodeRegistry> {
    let mut registry = NodeRegistry::with_builtin();
    registry.register_fn("Shout", |input, out| {
        match input {
            RuntimeData::Text(text) => out.emit(text.to_uppercase()),
            other => out.emit(other),
        }
        Ok(())
    });
    registry.register(NodeType::asynchronous("SlowShout", |_| Ok(SlowShout)));
    Arc::new(registry)
}

/// The same, 20 ms later.
struct SlowShout;

#[async_trait]
impl AsyncNode for SlowShout {
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
        tokio::time::sleep(Duration::from_millis(20)).await;
        let RuntimeData::Text(text) = input else { return Ok(()) };
        out.emit(text.to_uppercase()).await;
        Ok(())
    }
}

/// A bot with a pipeline that shouts, for everybody, and an echo that is shared by those who are moved there.
async fn two_pipelines(world: &World) -> (WebRtcTransport, Attachment, Attachment) {
    let bot = world.join_in("bot", |_| {}, |environment| environment.nodes = Some(with_shout())).await;
    let shout = Arc::new(Manifest::from_yaml("nodes: [{ id: s, type: Shout }]").unwrap());
    let own = bot.attach(shout, Route::from_all().with_messages()).await.unwrap();
    let nobody: [&str; 0] = [];
    let route = Route::from_peers(nobody).unwrap().shared().with_messages();
    let shared = bot.attach(echo(), route).await.unwrap();
    (bot, own, shared)
}

fn text(payload: &str) -> DataChannelMessage {
    DataChannelMessage::Text { payload: payload.into() }
}

/// Those two, and alice, who is connected.
async fn calling(world: &World) -> (WebRtcTransport, Attachment, Attachment, WebRtcTransport) {
    let (bot, own, shared) = two_pipelines(world).await;
    let alice = world.join("alice").await;
    alice.connect_peer("bot").await.unwrap();
    (bot, own, shared, alice)
}

/// The peer that was `alice` and has shut down calls again.
async fn come_back(world: &World, alice: WebRtcTransport) -> WebRtcTransport {
    drop(alice);
    // Her name is kept for her previous self for a while.
    tokio::time::sleep(Duration::from_secs(60)).await;
    let alice = world.join("alice").await;
    alice.connect_peer("bot").await.unwrap();
    alice
}

/// What is answered next.
async fn next(alice: &WebRtcTransport) -> DataChannelMessage {
    let answer = timeout(Duration::from_secs(5), alice.recv_data_channel_message()).await.expect("none is lost");
    answer.unwrap().unwrap().1
}

/// Begins something and waits no longer for it.
async fn abandon<T>(future: impl Future<Output = T>) {
    tokio::select! {
        biased;
        _ = future => panic!("it was over at once"),
        () = std::future::ready(()) => {}
    }
}

#[test]
fn a_peer_moves_from_a_session_of_its_own_to_a_shared_one_and_back_while_the_others_stay() {
    run_virtual(325, |network| async move {
        let world = World::clean(network);
        let (bot, own, shared) = two_pipelines(&world).await;
        let mut events = bot.events();
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        for peer in [&alice, &bob] {
            peer.connect_peer("bot").await.unwrap();
        }
        assert_eq!(ask(&alice, "mine").await, text("MINE"));
        assert_eq!(ask(&bob, "mine").await, text("MINE"));
        let of_bob = own.session("bob").expect("he has one").session_id().to_owned();

        own.remove_peer("alice").await.unwrap();
        assert!(own.session("alice").is_none());
        shared.add_peer("alice").await.unwrap();
        assert_eq!((own.peers(), shared.peers()), (vec!["bob".parse().unwrap()], vec!["alice".parse().unwrap()]));
        assert_eq!(news(&mut events).await, (PeerId::new("alice").unwrap(), "peer_joined".to_owned()));
        assert_eq!(ask(&alice, "ours").await, text("ours"));
        assert_eq!(ask(&bob, "mine").await, text("MINE"));

        shared.remove_peer("alice").await.unwrap();
        own.add_peer("alice").await.unwrap();
        assert_eq!(news(&mut events).await, (PeerId::new("alice").unwrap(), "peer_left".to_owned()));
        assert_eq!(ask(&alice, "mine again").await, text("MINE AGAIN"));
        assert_eq!(own.session("bob").expect("he has one").session_id(), of_bob, "nothing changed for him");

        // What was said of a peer holds until it leaves.
        own.remove_peer("alice").await.unwrap();
        shared.add_peer("alice").await.unwrap();
        alice.shutdown().await.unwrap();
        while !shared.peers().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let alice = come_back(&world, alice).await;
        assert_eq!(ask(&alice, "back").await, text("BACK"));
        assert!(shared.peers().is_empty() && own.peers().len() == 2);
        assert!(own.add_peer("not a name").await.is_err() && own.remove_peer("nobody").await.is_ok());
    });
}

#[test]
fn a_move_loses_no_message_and_is_made_though_nobody_waits_for_it() {
    run_virtual(326, |network| async move {
        let world = World::clean(network);
        let (_bot, own, shared, alice) = calling(&world).await;
        assert_eq!(ask(&alice, "first").await, text("FIRST"));
        let sender = alice.clone();
        let sending = tokio::spawn(async move {
            for number in 0..300 {
                sender.send_data_channel_message("bot", &text(&format!("m{number}"))).await.unwrap();
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        tokio::time::sleep(Duration::from_millis(100)).await;
        abandon(own.move_peer("alice", &shared, None)).await;
        sending.await.unwrap();
        let (mut loud, mut quiet) = (0, 0);
        for number in 0..300 {
            let answer =
                timeout(Duration::from_secs(5), alice.recv_data_channel_message()).await.expect("none is lost");
            let answer = answer.unwrap().unwrap().1;
            // In order, and first those of the one pipeline.
            match answer == text(&format!("M{number}")) {
                true if quiet == 0 => loud += 1,
                _ => {
                    assert_eq!(answer, text(&format!("m{number}")));
                    quiet += 1;
                }
            }
        }
        println!("{loud} went through the one pipeline, {quiet} through the other");
        assert!(loud > 0 && quiet > 0);
        assert!(own.peers().is_empty());
        assert_eq!(shared.peers(), ["alice"]);
    });
}

#[test]
fn a_peer_that_is_added_while_it_leaves_stays() {
    run_virtual(327, |network| async move {
        let world = World::clean(network);
        let (_bot, own, _shared, alice) = calling(&world).await;
        assert_eq!(ask(&alice, "before").await, text("BEFORE"));
        abandon(own.remove_peer("alice")).await;
        own.add_peer("alice").await.unwrap();
        assert_eq!(own.peers(), ["alice"]);
        assert_eq!(ask(&alice, "after").await, text("AFTER"));
    });
}

#[test]
fn a_peer_that_leaves_during_a_move_begins_as_the_routes_say_when_it_comes_back() {
    run_virtual(328, |network| async move {
        let world = World::clean(network);
        let (_bot, own, shared, alice) = calling(&world).await;
        assert_eq!(ask(&alice, "hello").await, text("HELLO"));
        let (_, gone) = tokio::join!(own.move_peer("alice", &shared, None), alice.shutdown());
        gone.unwrap();
        while !(own.peers().is_empty() && shared.peers().is_empty()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let alice = come_back(&world, alice).await;
        assert_eq!(ask(&alice, "back").await, text("BACK"));
        assert!(timeout(Duration::from_secs(1), alice.recv_data_channel_message()).await.is_err(), "one answer");
        assert!(shared.peers().is_empty());
    });
}

#[test]
fn a_peer_moves_into_the_manifest_of_its_choice_or_stays_where_it_is() {
    run_virtual(329, |network| async move {
        let world = World::clean(network);
        let (_bot, own, shared, alice) = calling(&world).await;
        assert_eq!(ask(&alice, "hello").await, text("HELLO"));
        own.move_peer("alice", &shared, None).await.unwrap();
        let wrong = Arc::new(Manifest::from_yaml("nodes: [{ id: g, type: Gane }]").unwrap());
        assert!(matches!(shared.move_peer("alice", &own, Some(wrong)).await, Err(WebRtcError::Pipeline(_))));
        assert!(matches!(own.move_peer("alice", &shared, None).await, Err(WebRtcError::PeerNotFound(_))));
        let refused = shared.move_peer("alice", &shared, Some(echo())).await;
        assert!(matches!(refused, Err(WebRtcError::SharedSession)), "{refused:?}");
        assert_eq!(ask(&alice, "still").await, text("still"));
        let chosen = Arc::new(Manifest::from_yaml("nodes: [{ id: e, type: Echo }]").unwrap());
        shared.move_peer("alice", &own, Some(Arc::clone(&chosen))).await.unwrap();
        assert!(Arc::ptr_eq(&own.manifest("alice").unwrap(), &chosen));
        assert_eq!(ask(&alice, "chosen").await, text("chosen"));
    });
}

#[test]
fn messages_that_wait_for_a_slow_pipeline_go_through_it_before_their_peer_moves() {
    run_virtual(330, |network| async move {
        let world = World::clean(network);
        let (bot, own, shared, alice) = calling(&world).await;
        let slow = Manifest::from_yaml("nodes: [{ id: s, type: SlowShout, queue: 1 }]").unwrap();
        own.replace_for("alice", Arc::new(slow)).await.unwrap();
        for number in 0..100 {
            alice.send_data_channel_message("bot", &text(&format!("m{number}"))).await.unwrap();
        }
        assert_eq!(next(&alice).await, text("M0"));
        own.move_peer("alice", &shared, None).await.unwrap();
        for number in 1..100 {
            assert_eq!(next(&alice).await, text(&format!("M{number}")));
        }
        assert_eq!(ask(&alice, "quick").await, text("quick"));
        drop(bot);
    });
}

#[test]
fn of_two_moves_at_once_one_is_made() {
    run_virtual(331, |network| async move {
        let world = World::clean(network);
        let (bot, own, shared, alice) = calling(&world).await;
        let nobody: [&str; 0] = [];
        let third = bot.attach(echo(), Route::from_peers(nobody).unwrap().with_messages()).await.unwrap();
        let (one, other) = tokio::join!(own.move_peer("alice", &shared, None), own.move_peer("alice", &third, None));
        one.unwrap();
        assert!(matches!(other, Err(WebRtcError::PeerNotFound(_))), "{other:?}");
        assert_eq!(shared.peers(), ["alice"]);
        assert!(own.peers().is_empty() && third.peers().is_empty());
        assert_eq!(ask(&alice, "hello").await, text("hello"));
    });
}

#[test]
fn a_peer_that_was_heard_beside_its_pipeline_leaves_that_when_it_leaves() {
    run_virtual(332, |network| async move {
        let world = World::clean(network);
        let (bot, own, _shared, alice) = calling(&world).await;
        // Who once pulled and did not come back to see the end keeps the peer's sound for later.
        bot.recv_audio("alice").await.unwrap();
        alice.shutdown().await.unwrap();
        while !own.peers().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert!(own.peers().is_empty());
        }
    });
}
