//! What happens when a node fails, panics, or takes too long.

mod common;

use std::{future::pending, sync::Arc, time::Duration};

use async_trait::async_trait;
use common::{drain, session_with};
use remotemedia_runtime_core::{
    RuntimeError,
    data::{AudioFrame, DataKind, KindSet, RuntimeData},
    node::{AsyncEmitter, AsyncNode, Emitter, Node, NodeRegistry, NodeResult, NodeType},
    runner::Session,
    transport::TransportData,
};
use tokio::time::Instant;

/// 10 ms of audio in which every sample is `value`.
fn audio(value: f32) -> AudioFrame {
    AudioFrame::new(vec![value; 480], 48_000, 1).expect("a frame")
}

/// `T` numbers what it emits, fails on "bad", panics on "worse" and never answers "never".
#[derive(Clone, Default)]
struct Moody(u32);

#[async_trait]
impl AsyncNode for Moody {
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
        match input.as_text().unwrap_or_default() {
            "bad" => Err("no mood".into()),
            "worse" => panic!("out of my mind"),
            "never" => pending().await,
            text => {
                self.0 += 1;
                out.emit(format!("{text} {}", self.0)).await;
                Ok(())
            }
        }
    }
}

fn moody(policy: &str) -> Session {
    let yaml = format!(
        "pipeline: {{ nodes: [{{ id: moody, type: T, on_error: {policy}, timeout_ms: 500 }}, {{ id: b, type: Echo }}], graph: [{{ from: moody, to: b }}] }}"
    );
    session_with(&yaml, |registry: &mut NodeRegistry| {
        registry.register(NodeType::asynchronous("T", |_| Ok(Moody::default())));
    })
}

async fn send(session: &mut Session, words: &[&str]) {
    for word in words {
        session.send_input(TransportData::new(*word)).await.expect("accepted");
    }
}

#[tokio::test(start_paused = true)]
async fn fail_ends_the_session_with_the_nodes_id() {
    let mut session = moody("fail");
    send(&mut session, &["good"]).await;
    assert_eq!(drain(&mut session).await, ["good 1"]);
    send(&mut session, &["bad", "good"]).await;
    let error = session.recv_output().await.unwrap_err();
    insta::assert_snapshot!(error, @r#"node "moody" (T) failed: no mood"#);
    assert_eq!(error.node(), Some("moody"));
    assert!(!session.is_active());
    assert!(session.recv_output().await.unwrap().is_none());
    assert!(session.next_output().await.unwrap().is_none());
    let refused = session.send_input(TransportData::new("good")).await.unwrap_err();
    insta::assert_snapshot!(refused, @r#"the session ended when node "moody" failed"#);
}

#[tokio::test(start_paused = true)]
async fn skip_reports_the_failure_and_goes_on() {
    let mut session = moody("skip");
    send(&mut session, &["good", "bad", "good"]).await;
    // The report takes a shorter way than the data around it, and may come before what was made earlier.
    let mut texts = Vec::new();
    let mut errors = Vec::new();
    loop {
        match session.recv_output().await {
            Ok(Some(output)) => texts.push(common::text(&output)),
            Ok(None) => break,
            Err(error) => errors.push(error),
        }
    }
    assert!(matches!(&errors[..], [RuntimeError::NodeFailed { node, .. }] if &**node == "moody"), "{errors:?}");
    assert_eq!(texts, ["good 1", "good 2"]);
    assert!(session.is_active());
    assert_eq!(session.control().metrics()[0].failures, 1);
}

#[tokio::test(start_paused = true)]
async fn bypass_hands_on_what_the_node_was_given() {
    let mut session = moody("bypass");
    send(&mut session, &["bad"]).await;
    assert!(session.recv_output().await.is_err());
    assert_eq!(drain(&mut session).await, ["bad"]);
    assert!(session.is_active());
}

#[tokio::test(start_paused = true)]
async fn restart_builds_the_node_anew() {
    for (policy, expected) in [("restart", "good 1"), ("skip", "good 2")] {
        let mut session = moody(policy);
        send(&mut session, &["good"]).await;
        assert_eq!(drain(&mut session).await, ["good 1"]);
        send(&mut session, &["bad"]).await;
        assert!(session.recv_output().await.is_err());
        send(&mut session, &["good"]).await;
        assert_eq!(drain(&mut session).await, [expected], "{policy}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_is_a_failure_like_any_other_and_the_node_is_built_anew() {
    let mut session = moody("skip");
    send(&mut session, &["good"]).await;
    assert_eq!(drain(&mut session).await, ["good 1"]);
    send(&mut session, &["worse"]).await;
    insta::assert_snapshot!(session.recv_output().await.unwrap_err(), @r#"node "moody" (T) panicked: out of my mind"#);
    send(&mut session, &["good"]).await;
    assert_eq!(drain(&mut session).await, ["good 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_over_its_time_out_ends_the_wait_with_its_error() {
    for (policy, lives) in [("fail", false), ("skip", true)] {
        let mut session = moody(policy);
        let started = Instant::now();
        send(&mut session, &["never"]).await;
        let error = session.recv_output().await.unwrap_err();
        assert!(matches!(&error, RuntimeError::NodeTimedOut { node, .. } if &**node == "moody"), "{error}");
        assert_eq!(started.elapsed().as_millis(), 500);
        assert_eq!(session.is_active(), lives);
        assert!(session.recv_output().await.unwrap().is_none());
        assert_eq!(session.control().metrics()[0].timeouts, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_for_a_slow_successor_is_no_time_out() {
    struct Burst;
    #[async_trait]
    impl AsyncNode for Burst {
        async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
            for _ in 0..5 {
                out.emit(input.clone()).await;
            }
            Ok(())
        }
    }
    struct Slow;
    #[async_trait]
    impl AsyncNode for Slow {
        async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
            tokio::time::sleep(Duration::from_secs(1)).await;
            out.emit(input).await;
            Ok(())
        }
    }
    let yaml = "pipeline: { nodes: [{ id: a, type: Burst, timeout_ms: 100 }, { id: b, type: Slow, queue: 1 }], graph: [{ from: a, to: b }] }";
    let mut session = session_with(yaml, |registry| {
        registry.register(NodeType::asynchronous("Burst", |_| Ok(Burst)));
        registry.register(NodeType::asynchronous("Slow", |_| Ok(Slow)));
    });
    session.send_input(TransportData::new("x")).await.unwrap();
    assert_eq!(drain(&mut session).await.len(), 5);
}

#[tokio::test]
async fn a_heavy_node_over_its_time_out_is_reported_while_it_still_computes() {
    #[derive(Clone)]
    struct Stuck(Arc<std::sync::Mutex<std::sync::mpsc::Receiver<()>>>);
    impl Node for Stuck {
        fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
            if input.as_text() == Some("stuck") {
                self.0.lock().unwrap().recv()?;
            }
            out.emit(input);
            Ok(())
        }
    }
    let (release, released) = std::sync::mpsc::channel();
    let node = Stuck(Arc::new(std::sync::Mutex::new(released)));
    let yaml = "pipeline: { nodes: [{ id: a, type: Heavy, timeout_ms: 20, on_error: skip }] }";
    let mut session = session_with(yaml, |registry| {
        registry.register(NodeType::heavy("Heavy", move |_| Ok(node.clone())));
    });
    session.send_input(TransportData::new("stuck")).await.unwrap();
    let error = session.recv_output().await.unwrap_err();
    assert!(matches!(error, RuntimeError::NodeTimedOut { .. }), "{error}");
    // The node goes on with the next input once it is back; what it was late with is not sent any more.
    session.send_input(TransportData::new("next")).await.unwrap();
    release.send(()).unwrap();
    assert_eq!(drain(&mut session).await, ["next"]);
}

#[tokio::test]
async fn data_of_a_kind_that_a_node_does_not_take_is_named() {
    let yaml = "pipeline: { nodes: [{ id: ears, type: Ears, on_error: skip }] }";
    let mut session = session_with(yaml, |registry| {
        let ears = NodeType::from_fn("Ears", |input, out| {
            out.emit(input);
            Ok(())
        });
        registry.register(ears.accepts(KindSet::of(&[DataKind::Audio])));
    });
    session.send_input(TransportData::new("words")).await.unwrap();
    let error = session.recv_output().await.unwrap_err();
    insta::assert_snapshot!(error, @r#"node "ears" (Ears) takes audio, but was given text"#);
    session.send_input(TransportData::new(audio(0.0))).await.unwrap();
    assert_eq!(drain(&mut session).await.len(), 1);
}

#[tokio::test]
async fn declared_formats_are_binding() {
    let yaml = "
pipeline:
  manifest:
    inputs: [{ type: audio, sample_rate: 48000, channels: 2 }, { type: text }]
    outputs: [{ type: text }]
  nodes: [{ id: echo, type: Echo, on_error: skip }]
";
    let mut session = session_with(yaml, |_| {});
    let error = session.send_input(TransportData::new(audio(0.0))).await.unwrap_err();
    insta::assert_snapshot!(error, @"the pipeline takes audio (48000 Hz, 2 channels) or text, but was given audio (48000 Hz, 1 channel)");
    session.send_input(TransportData::new("fine")).await.unwrap();
    assert_eq!(drain(&mut session).await, ["fine"]);
    let stereo = AudioFrame::new(vec![0.0; 960], 48_000, 2).unwrap();
    session.send_input(TransportData::new(stereo)).await.unwrap();
    let error = session.recv_output().await.unwrap_err();
    insta::assert_snapshot!(error, @r#"the pipeline makes text, but node "echo" emitted audio (48000 Hz, 2 channels)"#);
    assert!(error.hint().unwrap().contains("converts"));
}

#[test]
fn a_session_outside_of_a_runtime_is_refused() {
    let manifest = remotemedia_runtime_core::manifest::Manifest::from_yaml("nodes: [{ id: a, type: Echo }]").unwrap();
    let refused = remotemedia_runtime_core::runner::PipelineRunner::new().create_session(&manifest);
    assert!(matches!(refused, Err(RuntimeError::NoRuntime)));
}
