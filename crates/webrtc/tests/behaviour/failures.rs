//! Pipelines that fail while media goes through them.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::{
    data::RuntimeData,
    manifest::Manifest,
    node::{Emitter, Node, NodeRegistry, NodeResult, NodeType, ParamProblem},
};
use remotemedia_webrtc::{
    Attachment, DataChannelMessage, FailurePolicy, Route, Target, TransportEvent, TransportEvents, WebRtcError,
    WebRtcTransport,
};
use tokio::time::{Instant, sleep, timeout};

use crate::{
    shared_routes::{ask, echo},
    world::{PICTURE, World, clip, level, listen, picture, tone},
};

/// A registry with a node that passes everything on and fails at the text "boom".
fn with_bomb() -> Arc<NodeRegistry> {
    let mut registry = NodeRegistry::with_builtin();
    registry.register_fn("Bomb", |input, out| {
        if input.as_text() == Some("boom") {
            return Err("it went off".into());
        }
        out.emit(input);
        Ok(())
    });
    Arc::new(registry)
}

/// Alice calls a bot whose pipeline can be blown up.
struct Call {
    bot: WebRtcTransport,
    alice: WebRtcTransport,
    attachment: Attachment,
    events: TransportEvents,
}

impl Call {
    async fn begin(world: &World, policy: FailurePolicy) -> Self {
        let bot = world.join_in("bot", |_| {}, |e| e.nodes = Some(with_bomb())).await;
        let alice = world.join("alice").await;
        let bomb = Manifest::from_yaml("pipeline: { nodes: [{ id: bomb, type: Bomb }] }").unwrap();
        let route = Route::from_all().with_messages().on_failure(policy);
        let attachment = bot.attach(Arc::new(bomb), route).await.unwrap();
        let events = bot.events();
        alice.connect_peer("bot").await.unwrap();
        Self { bot, alice, attachment, events }
    }

    async fn say(&self, payload: &str) {
        self.alice.send_data_channel_message("bot", &text(payload)).await.unwrap();
    }

    /// Whether a message of alice's comes back.
    async fn is_answered(&self) -> bool {
        self.say("answer me").await;
        timeout(Duration::from_millis(500), self.alice.recv_data_channel_message()).await.is_ok()
    }

    async fn blow_up(&mut self) {
        self.say("boom").await;
        loop {
            if let TransportEvent::PipelineFailed { peer, error, ended } = self.events.next().await.unwrap() {
                assert!(peer.unwrap() == "alice" && ended);
                assert!(error.to_string().contains("bomb") && error.to_string().contains("it went off"), "{error}");
                return;
            }
        }
    }
}

fn text(payload: &str) -> DataChannelMessage {
    DataChannelMessage::Text { payload: payload.into() }
}

/// Whether a message is answered after the pipeline has failed, and one that is sent three seconds later.
fn after_a_failure(policy: FailurePolicy) -> (bool, bool) {
    run_virtual(306, move |network| async move {
        let world = World::clean(network);
        let mut call = Call::begin(&world, policy).await;
        assert!(call.is_answered().await);
        call.blow_up().await;
        sleep(Duration::from_millis(50)).await;
        let at_once = call.is_answered().await;
        sleep(Duration::from_secs(3)).await;
        let later = call.is_answered().await;
        assert_eq!(call.alice.list_peers().await.unwrap().len(), 1, "the call lives");
        (at_once, later)
    })
}

#[test]
fn a_failure_is_reported_and_the_policy_decides_over_messages_while_the_call_lives() {
    assert_eq!(after_a_failure(FailurePolicy::Mute), (false, false));
    assert_eq!(after_a_failure(FailurePolicy::Bypass), (true, true));
    assert_eq!(after_a_failure(FailurePolicy::End), (false, false));
    let (_, later) = after_a_failure(FailurePolicy::Restart);
    assert!(later);
}

/// How loud alice hears herself before and after a failure, and whether she sees herself.
fn media_around_a_failure(policy: FailurePolicy) -> [(f32, bool); 2] {
    run_virtual(308, move |network| async move {
        let world = World::clean(network);
        let mut call = Call::begin(&world, policy).await;
        let (sender, clip) = (call.alice.clone(), clip());
        let sending = tokio::spawn(async move {
            for n in 0.. {
                sender.send_to_peer("bot", &RuntimeData::from(picture(&clip, n as u16))).await.unwrap();
                for part in 0..2 {
                    sender.send_to_peer("bot", &tone(48_000, (n * 2 + part) * 960, 960, &[0.3])).await.unwrap();
                }
                sleep(PICTURE).await;
            }
        });
        let alice = call.alice.clone();
        let comes_back = async || {
            // What is under way is not what is asked for.
            sleep(Duration::from_secs(2)).await;
            while timeout(Duration::ZERO, alice.recv_video("bot")).await.is_ok() {}
            let heard = async || listen(&alice, "bot", Instant::now() + Duration::from_secs(1)).await;
            heard().await;
            let loud = level(&heard().await);
            (loud, timeout(Duration::from_millis(500), alice.recv_video("bot")).await.is_ok())
        };
        let before = comes_back().await;
        call.blow_up().await;
        let after = comes_back().await;
        sending.abort();
        [before, after]
    })
}

#[test]
fn sound_and_pictures_stop_go_on_as_they_came_or_come_again_as_the_policy_says() {
    for (policy, goes_on) in [
        (FailurePolicy::Mute, false),
        (FailurePolicy::Bypass, true),
        (FailurePolicy::Restart, true),
        (FailurePolicy::End, false),
    ] {
        let [before, after] = media_around_a_failure(policy);
        println!("{policy:?}: {before:?}, then {after:?}");
        assert!(before.0 > 0.1 && before.1, "{policy:?} before: {before:?}");
        let is_as_it_should = if goes_on { after.0 > before.0 * 0.9 && after.1 } else { after.0 < 0.001 && !after.1 };
        assert!(is_as_it_should, "{policy:?} after: {after:?}");
    }
}

#[test]
fn a_pipeline_that_ended_gives_messages_back_until_the_peer_is_added_again() {
    run_virtual(309, |network| async move {
        let world = World::clean(network);
        let mut call = Call::begin(&world, FailurePolicy::End).await;
        assert!(call.is_answered().await);
        call.blow_up().await;
        call.say("to the program").await;
        let (peer, message) = call.bot.recv_data_channel_message().await.unwrap().unwrap();
        assert!(peer == "alice" && message == text("to the program"));
        // At once when the failure is told.
        for _ in 0..3 {
            call.attachment.add_peer("alice").await.unwrap();
            assert!(call.is_answered().await);
            call.blow_up().await;
        }
    });
}

/// Passes everything on, and complains when it is told that nothing more comes.
struct Complainer;

impl Node for Complainer {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        out.emit(input);
        Ok(())
    }

    fn finish(&mut self, _out: &mut Emitter<'_>) -> NodeResult {
        Err("why so soon?".into())
    }
}

#[test]
fn what_a_replaced_pipeline_complains_of_at_its_end_does_not_take_its_peer_out() {
    run_virtual(312, |network| async move {
        let world = World::clean(network);
        let mut registry = NodeRegistry::with_builtin();
        registry.register(NodeType::new("Complainer", |_| Ok(Complainer)));
        let bot = world.join_in("bot", |_| {}, |e| e.nodes = Some(Arc::new(registry))).await;
        let alice = world.join("alice").await;
        let manifest = "pipeline: { nodes: [{ id: complainer, type: Complainer, on_error: skip }] }";
        let route = Route::from_all().with_messages().on_failure(FailurePolicy::End);
        let attachment = bot.attach(Arc::new(Manifest::from_yaml(manifest).unwrap()), route).await.unwrap();
        let mut events = bot.events();
        alice.connect_peer("bot").await.unwrap();
        let is_answered = async || {
            alice.send_data_channel_message("bot", &text("there?")).await.unwrap();
            timeout(Duration::from_millis(500), alice.recv_data_channel_message()).await.is_ok()
        };
        assert!(is_answered().await);
        attachment.replace(echo()).await.unwrap();
        assert!(is_answered().await, "the new pipeline has her");
        assert_eq!(attachment.peers(), ["alice"]);
        loop {
            if let TransportEvent::PipelineFailed { error, ended, .. } = events.next().await.unwrap() {
                assert!(!ended && error.to_string().contains("why so soon?"), "{error}");
                return;
            }
        }
    });
}

#[test]
fn a_pipeline_whose_sessions_could_not_be_started_is_not_kept_for_peers_to_come() {
    run_virtual(314, |network| async move {
        let world = World::clean(network);
        let created = Arc::new(AtomicU32::new(0));
        let mut registry = NodeRegistry::with_builtin();
        // A device that is free when the manifest is checked, and taken when the session begins.
        registry.register(NodeType::new("Device", move |_| match created.fetch_add(1, Relaxed) {
            1 => Err(ParamProblem::Unusable {
                param: "device",
                value: "speaker".into(),
                reason: "somebody has it".into(),
            }),
            _ => Ok(Complainer),
        }));
        let bot = world.join_in("bot", |_| {}, |e| e.nodes = Some(Arc::new(registry))).await;
        let (alice, carol) = (world.join("alice").await, world.join("carol").await);
        let before = echo();
        let attachment = bot.attach(Arc::clone(&before), Route::from_all().with_messages()).await.unwrap();
        let is_answered = async |peer: &WebRtcTransport| {
            peer.send_data_channel_message("bot", &text("there?")).await.unwrap();
            timeout(Duration::from_millis(500), peer.recv_data_channel_message()).await.is_ok()
        };
        alice.connect_peer("bot").await.unwrap();
        assert!(is_answered(&alice).await);
        let refused = Manifest::from_yaml("pipeline: { nodes: [{ id: device, type: Device }] }").unwrap();
        let error = attachment.replace(Arc::new(refused)).await.unwrap_err();
        assert!(matches!(error, WebRtcError::Pipeline(_)), "{error:?}");
        carol.connect_peer("bot").await.unwrap();
        for (name, peer) in [("alice", &alice), ("carol", &carol)] {
            assert!(is_answered(peer).await);
            assert!(Arc::ptr_eq(&attachment.manifest(name).unwrap(), &before), "{name}");
        }
    });
}

#[test]
fn a_shared_pipeline_that_ended_is_not_replaced_by_whoever_hears_of_it() {
    run_virtual(313, |network| async move {
        let world = World::clean(network);
        let bot = world.join_in("bot", |_| {}, |e| e.nodes = Some(with_bomb())).await;
        let alice = world.join("alice").await;
        let bomb = Manifest::from_yaml("pipeline: { nodes: [{ id: bomb, type: Bomb }] }").unwrap();
        let route = Route::from_all().shared().with_messages().on_failure(FailurePolicy::End);
        let attachment = bot.attach(Arc::new(bomb), route).await.unwrap();
        let mut events = bot.events();
        alice.connect_peer("bot").await.unwrap();
        alice.send_data_channel_message("bot", &text("boom")).await.unwrap();
        while !matches!(events.next().await.unwrap(), TransportEvent::PipelineFailed { peer: None, ended: true, .. }) {}
        // At once: nothing runs that could be replaced, and nobody is in it.
        assert!(attachment.peers().is_empty());
        let replaced = attachment.replace(echo()).await;
        assert!(matches!(replaced, Err(WebRtcError::PipelineEnded)), "{replaced:?}");
        alice.send_data_channel_message("bot", &text("to the program")).await.unwrap();
        let (peer, message) = bot.recv_data_channel_message().await.unwrap().unwrap();
        assert!(peer == "alice" && message == text("to the program"));
    });
}

#[test]
fn a_shared_pipeline_that_ended_is_over_for_everybody() {
    run_virtual(310, |network| async move {
        let world = World::clean(network);
        let bot = world.join_in("bot", |_| {}, |e| e.nodes = Some(with_bomb())).await;
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let bomb = Manifest::from_yaml("pipeline: { nodes: [{ id: bomb, type: Bomb }] }").unwrap();
        let route = Route::from_all().shared().with_messages().on_failure(FailurePolicy::End);
        let attachment = bot.attach(Arc::new(bomb), route).await.unwrap();
        for peer in [&alice, &bob] {
            peer.connect_peer("bot").await.unwrap();
            peer.send_data_channel_message("bot", &text("there?")).await.unwrap();
            assert_eq!(peer.recv_data_channel_message().await.unwrap().unwrap().1, text("there?"));
        }
        assert_eq!(attachment.peers().len(), 2);
        alice.send_data_channel_message("bot", &text("boom")).await.unwrap();
        while !attachment.peers().is_empty() {
            sleep(Duration::from_millis(10)).await;
        }
        assert!(attachment.shared_session().is_none());
        let later =
            attachment.replace(Arc::new(Manifest::from_yaml("pipeline: { nodes: [{ id: e, type: Echo }] }").unwrap()));
        assert!(matches!(later.await, Err(WebRtcError::PipelineEnded)));
        let added = attachment.add_peer("alice").await;
        assert!(matches!(added, Err(WebRtcError::PipelineEnded)), "{added:?}");
        let nobody: [&str; 0] = [];
        let route = Route::from_peers(nobody).unwrap().with_messages();
        let other = bot.attach(echo(), route).await.unwrap();
        other.add_peer("alice").await.unwrap();
        let moved = other.move_peer("alice", &attachment, None).await;
        assert!(matches!(moved, Err(WebRtcError::PipelineEnded)), "{moved:?}");
        assert_eq!(other.peers(), ["alice"], "she stays where she is");
        assert_eq!(ask(&alice, "still there").await, text("still there"));
        bob.send_data_channel_message("bot", &text("to the program")).await.unwrap();
        let (peer, message) = bot.recv_data_channel_message().await.unwrap().unwrap();
        assert!(peer == "bob" && message == text("to the program"));
    });
}

#[test]
fn what_is_bypassed_goes_to_whom_the_outputs_go_and_from_a_shared_session_to_nobody_who_sent_it() {
    run_virtual(315, |network| async move {
        let world = World::clean(network);
        let bot = world.join_in("bot", |_| {}, |e| e.nodes = Some(with_bomb())).await;
        let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
        for peer in [&alice, &bob, &carol] {
            peer.connect_peer("bot").await.unwrap();
        }
        let graph = "pipeline:
  nodes: [{ id: bomb, type: Bomb }, { id: wall, type: Output }, { id: side, type: Output }, { id: rest, type: Output }]
  graph: [{ from: input, to: bomb }, { from: bomb, to: wall }, { from: bomb, to: side }, { from: bomb, to: rest }]";
        let graph = Arc::new(Manifest::from_yaml(graph).unwrap());
        let received = async |peer: &WebRtcTransport| {
            let mut texts = Vec::new();
            while let Ok(message) = timeout(Duration::from_millis(500), peer.recv_data_channel_message()).await {
                texts.push(message.unwrap().unwrap().1);
            }
            texts
        };
        let route = || Route::from_peers(["alice"]).unwrap().with_messages().on_failure(FailurePolicy::Bypass);
        let bob_is = || Target::peer("bob").unwrap();
        let apart = || route().output("wall", bob_is()).output("side", bob_is());
        let (once, none) = (vec![text("hello")], vec![]);
        for (route, back, to_carol) in [
            (apart(), &once, &none),
            (apart().shared(), &none, &none),
            // To all, and once more to bob.
            (route().to_all().output("wall", bob_is()), &once, &once),
            (route().to_all().output("wall", bob_is()).shared(), &none, &once),
        ] {
            let described = format!("{route:?}");
            let attachment = bot.attach(Arc::clone(&graph), route).await.unwrap();
            let mut events = bot.events();
            alice.send_data_channel_message("bot", &text("boom")).await.unwrap();
            while !matches!(events.next().await.unwrap(), TransportEvent::PipelineFailed { ended: true, .. }) {}
            alice.send_data_channel_message("bot", &text("hello")).await.unwrap();
            assert_eq!(received(&bob).await, once, "several outputs go to bob, who gets it once: {described}");
            assert_eq!(received(&alice).await, *back, "{described}");
            assert_eq!(received(&carol).await, *to_carol, "{described}");
            attachment.detach().await;
        }
    });
}
