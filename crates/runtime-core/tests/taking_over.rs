//! A pipeline takes the place of another: nodes that stay keep what they know, those that go give away what they keep.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::time::Duration;

use async_trait::async_trait;
use common::{drain, session_with, text};
use remotemedia_runtime_core::{
    data::RuntimeData,
    manifest::Manifest,
    node::{AsyncEmitter, AsyncNode, Emitter, Node, NodeRegistry, NodeResult, NodeType, ParamSpec, Params},
    runner::{PipelineRunner, Session, SessionControl},
    transport::TransportData,
};

/// Numbers what it is given, from `from` on.
struct Counter {
    next: i64,
    step: i64,
}

impl Counter {
    fn node_type() -> NodeType {
        let create = |params: &Params| Ok(Self { next: 0, step: params.integer("step").unwrap_or(1) });
        NodeType::new("Counter", create).param(ParamSpec::integer("step", 1..=100).default_value(1))
    }
}

impl Node for Counter {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        self.next += self.step;
        out.emit(format!("{}{}", input.as_text().unwrap_or(""), self.next));
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        self.step = params.integer("step").unwrap_or(1);
        true
    }
}

/// Keeps one text until the next comes.
#[derive(Default)]
struct Late(Option<RuntimeData>);

impl Node for Late {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        if let Some(kept) = self.0.replace(input) {
            out.emit(kept);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        if let Some(kept) = self.0.take() {
            out.emit(kept);
        }
        Ok(())
    }
}

fn register(registry: &mut NodeRegistry) {
    registry.register(Counter::node_type());
    registry.register(NodeType::new("Late", |_| Ok(Late::default())));
}

async fn after(yaml: &str, before: &SessionControl) -> Session {
    let mut registry = NodeRegistry::with_builtin();
    register(&mut registry);
    let manifest = Manifest::from_yaml(yaml).unwrap();
    PipelineRunner::with_registry(registry).create_session_after(&manifest, before).await.unwrap()
}

async fn send(session: &mut Session, texts: &[&str]) -> Vec<String> {
    for text in texts {
        session.send_input(TransportData::new(*text)).await.unwrap();
    }
    drain(session).await
}

#[tokio::test]
async fn a_node_that_stays_goes_on_with_what_it_knows_and_with_new_params() {
    let mut first = session_with("pipeline: { nodes: [{ id: count, type: Counter }] }", register);
    assert_eq!(send(&mut first, &["a", "b"]).await, ["a1", "b2"]);
    let yaml = "pipeline: { nodes: [{ id: count, type: Counter, params: { step: 10 } }, { id: e, type: Echo }],
        graph: [{ from: input, to: count }, { from: count, to: e }, { from: e, to: output }] }";
    let mut second = after(yaml, &first.control()).await;
    first.finish().await.unwrap();
    assert_eq!(drain(&mut first).await, [""; 0], "nothing of it is left in the old session");
    assert_eq!(send(&mut second, &["c", "d"]).await, ["c12", "d22"]);
}

#[tokio::test]
async fn a_node_of_another_id_or_type_begins_anew_and_the_old_one_gives_away_what_it_keeps() {
    let mut first = session_with(
        "pipeline: { nodes: [{ id: count, type: Counter }, { id: l, type: Late }], graph: [{ from: count, to: l }] }",
        register,
    );
    assert_eq!(send(&mut first, &["a", "b"]).await, ["a1"]);
    let mut second = after(
        "pipeline: { nodes: [{ id: other, type: Counter }, { id: l, type: Counter }], graph: [{ from: other, to: l }] }",
        &first.control(),
    )
    .await;
    first.finish().await.unwrap();
    assert_eq!(drain(&mut first).await, ["b2"]);
    assert_eq!(send(&mut second, &["c"]).await, ["c11"]);
}

#[tokio::test]
async fn what_a_node_keeps_goes_with_it() {
    let yaml = "pipeline: { nodes: [{ id: l, type: Late }] }";
    let mut first = session_with(yaml, register);
    assert_eq!(send(&mut first, &["a"]).await, [""; 0]);
    let mut second = after(yaml, &first.control()).await;
    first.finish().await.unwrap();
    assert_eq!(drain(&mut first).await, [""; 0]);
    assert_eq!(send(&mut second, &["b"]).await, ["a"]);
    second.finish().await.unwrap();
    assert_eq!(drain(&mut second).await, ["b"]);
}

#[tokio::test]
async fn a_manifest_that_is_refused_leaves_the_old_session_as_it_was() {
    let mut first = session_with("pipeline: { nodes: [{ id: count, type: Counter }] }", register);
    assert_eq!(send(&mut first, &["a"]).await, ["a1"]);
    let manifest = Manifest::from_yaml("pipeline: { nodes: [{ id: count, type: Conter }] }").unwrap();
    PipelineRunner::new().create_session_after(&manifest, &first.control()).await.unwrap_err();
    assert_eq!(send(&mut first, &["b"]).await, ["b2"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_session_gives_its_nodes_away_and_cannot_be_held_meanwhile() {
    let yaml = "pipeline: { nodes: [{ id: count, type: Counter }] }";
    let first = session_with(yaml, register);
    let control = first.control();
    let (sender, mut receiver) = first.split();
    control.pause();
    sender.send_input(TransportData::new("a")).await.unwrap();
    let handing_over = tokio::time::timeout(Duration::from_secs(60), after(yaml, &control));
    let mut second = handing_over.await.expect("it does not wait for whoever paused it");
    control.pause();
    assert!(!control.is_paused(), "it is being emptied");
    assert_eq!(text(&receiver.recv_output().await.unwrap().unwrap()), "a1");
    assert!(!second.control().is_paused());
    assert_eq!(send(&mut second, &["b"]).await, ["b2"]);
}

#[tokio::test(start_paused = true)]
async fn a_paused_session_holds_what_it_is_sent_and_goes_on_with_it() {
    let session = session_with("pipeline: { nodes: [{ id: count, type: Counter }] }", register);
    let control = session.control();
    let (sender, mut receiver) = session.split();
    control.pause();
    assert!(control.is_paused() && control.is_active());
    for input in ["a", "b"] {
        sender.send_input(TransportData::new(input)).await.unwrap();
    }
    let waiting = tokio::time::timeout(Duration::from_secs(60), receiver.next_output()).await;
    assert!(waiting.is_err(), "{waiting:?}");
    control.resume();
    let mut texts = Vec::new();
    while let Some(output) = receiver.recv_output().await.unwrap() {
        texts.push(text(&output));
    }
    assert_eq!(texts, ["a1", "b2"]);
}

/// Waits a second before it answers, and says by itself every minute that it is there.
struct Slow;

#[async_trait]
impl AsyncNode for Slow {
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
        tokio::time::sleep(Duration::from_secs(1)).await;
        out.emit(input).await;
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }

    async fn tick(&mut self, out: &mut AsyncEmitter<'_>) -> NodeResult {
        out.emit("tick").await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_paused_session_of_asynchronous_nodes_finishes_its_call_and_stands_still() {
    let register = |registry: &mut NodeRegistry| {
        registry.register(NodeType::asynchronous("Slow", |_| Ok(Slow)));
    };
    let session = session_with("pipeline: { nodes: [{ id: slow, type: Slow, timeout_ms: 1500 }] }", register);
    let control = session.control();
    let (sender, mut receiver) = session.split();
    sender.send_input(TransportData::new("a")).await.unwrap();
    sender.send_input(TransportData::new("b")).await.unwrap();
    tokio::time::sleep(Duration::from_millis(500)).await;
    // The call for "a" is under way and ends; neither "b" nor the clock begins another, and waiting is no time-out.
    control.pause();
    assert_eq!(text(&receiver.next_output().await.unwrap().unwrap()), "a");
    let waiting = tokio::time::timeout(Duration::from_secs(600), receiver.next_output()).await;
    assert!(waiting.is_err(), "{waiting:?}");
    assert_eq!((control.metrics()[0].calls, control.metrics()[0].timeouts), (1, 0));
    control.resume();
    let mut texts = Vec::new();
    for _ in 0..2 {
        texts.push(text(&receiver.next_output().await.unwrap().unwrap()));
    }
    texts.sort();
    assert_eq!(texts, ["b", "tick"], "the clock has not caught up on the minutes before");
    let next = tokio::time::Instant::now();
    assert_eq!(text(&receiver.next_output().await.unwrap().unwrap()), "tick");
    assert!(next.elapsed() >= Duration::from_secs(58), "{:?}", next.elapsed());
    assert_eq!(control.metrics()[0].timeouts, 0);
}
