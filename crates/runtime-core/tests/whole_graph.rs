//! The runner executes every node and edge of a graph, in order, and what travels beside the data arrives with it.

mod common;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use common::{drain, session_with, text};
use remotemedia_runtime_core::{
    RuntimeError,
    data::{AudioFrame, ControlMessage, DataKind, KindSet, PixelFormat, RuntimeData, VideoFrame},
    manifest::Manifest,
    node::{AsyncEmitter, AsyncNode, Emitter, Node, NodeRegistry, NodeResult, NodeType},
    runner::PipelineRunner,
    transport::TransportData,
};

/// 10 ms of audio in which every sample is `value`.
fn audio(value: f32) -> AudioFrame {
    AudioFrame::new(vec![value; 480], 48_000, 1).expect("a frame")
}

/// A type that appends its name to every text.
fn tagging(registry: &mut NodeRegistry, name: &'static str) {
    registry.register_fn(name, move |input, out| {
        if let RuntimeData::Text(text) = input {
            out.emit(format!("{text}{name}"));
        }
        Ok(())
    });
}

const DIAMOND: &str = "
pipeline:
  nodes:
    - { id: d, type: D }
    - { id: b, type: B }
    - { id: c, type: C }
    - { id: a, type: A }
  graph:
    - { from: b, to: d }
    - { from: c, to: d }
    - { from: a, to: b }
    - { from: a, to: c }
    - { from: input, to: a }
    - { from: d, to: output }
";

#[tokio::test]
async fn a_node_is_told_which_node_or_input_its_data_comes_from() {
    let yaml = "
pipeline:
  nodes: [{ id: a, type: A }, { id: last, type: From }]
  graph: [{ from: input, to: a }, { from: a, to: last }, { from: input, to: last }, { from: last, to: output }]
";
    let mut session = session_with(yaml, |registry| {
        tagging(registry, "A");
        registry.register_fn("From", |input, out| {
            let from = out.from().unwrap_or("nowhere").to_owned();
            if let RuntimeData::Text(text) = input {
                out.emit(format!("{text} from {from}"));
            }
            Ok(())
        });
    });
    session.send_input(TransportData::new("x")).await.unwrap();
    let mut texts = drain(&mut session).await;
    texts.sort();
    assert_eq!(texts, ["x from input", "xA from a"]);
}

#[tokio::test]
async fn a_control_message_goes_to_the_nodes_that_take_some_and_to_the_outputs() {
    let yaml = "
pipeline:
  nodes: [{ id: deaf, type: Deaf }, { id: open, type: Open }]
  graph: [{ from: input, to: deaf }, { from: input, to: open }, { from: open, to: deaf }, { from: deaf, to: output }, { from: open, to: output }]
";
    let mut session = session_with(yaml, |registry| {
        let pass = |input, out: &mut Emitter<'_>| {
            out.emit(input);
            Ok(())
        };
        registry.register(NodeType::from_fn("Deaf", pass).accepts(KindSet::of(&[DataKind::Text])));
        registry.register(NodeType::from_fn("Open", pass));
    });
    session.send_input(TransportData::new(ControlMessage::new("news"))).await.unwrap();
    let output = session.recv_output().await.unwrap().expect("one output");
    assert_eq!(output.data.kind(), DataKind::Control);
    assert!(session.recv_output().await.unwrap().is_none());
}

#[tokio::test]
async fn a_node_may_add_a_metadata_entry_to_what_it_makes_and_leave_one_out() {
    let yaml = "pipeline: { nodes: [{ id: marker, type: Marker }] }";
    let mut session = session_with(yaml, |registry| {
        registry.register_fn("Marker", |input, out| {
            out.emit_with(input.clone(), "peer", "carol");
            out.emit_without(input, "peer");
            Ok(())
        });
    });
    let input = TransportData::new("x").with_metadata("peer", "alice").with_metadata("lang", "en");
    session.send_input(input).await.unwrap();
    let mut peers = Vec::new();
    while let Some(output) = session.recv_output().await.unwrap() {
        assert_eq!(output.get_metadata("lang"), Some("en"), "the rest stays");
        peers.push(output.get_metadata("peer").map(str::to_owned));
    }
    assert_eq!(peers, [Some("carol".to_owned()), None]);
}

#[tokio::test]
async fn branches_part_and_meet_again() {
    let mut session = session_with(DIAMOND, |registry| {
        ["A", "B", "C", "D"].into_iter().for_each(|name| tagging(registry, name));
    });
    for number in 0..50 {
        session.send_input(TransportData::new(format!("{number}:"))).await.unwrap();
    }
    let outputs = drain(&mut session).await;
    assert_eq!(outputs.len(), 100);
    for branch in ["ABD", "ACD"] {
        let of_branch: Vec<_> = outputs.iter().filter(|text| text.ends_with(branch)).cloned().collect();
        assert_eq!(of_branch, (0..50).map(|number| format!("{number}:{branch}")).collect::<Vec<_>>());
    }
    let metrics = session.control().metrics();
    assert_eq!(
        metrics.iter().map(|node| (&*node.id, node.calls)).collect::<Vec<_>>(),
        [("a", 50), ("b", 50), ("c", 50), ("d", 100)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn order_is_kept_through_a_chain_on_several_threads() {
    let nodes: Vec<_> = (0..8).map(|index| format!("{{ id: n{index}, type: Echo, queue: 2 }}")).collect();
    let edges: Vec<_> = (0..7).map(|index| format!("{{ from: n{index}, to: n{} }}", index + 1)).collect();
    let yaml = format!("pipeline: {{ nodes: [{}], graph: [{}] }}", nodes.join(", "), edges.join(", "));
    let (sender, mut receiver) = session_with(&yaml, |_| {}).split();
    let sending = tokio::spawn(async move {
        for number in 0..5_000u64 {
            let data = TransportData::new(number.to_string()).with_sequence(number);
            sender.send_input(data).await.unwrap();
        }
        sender.finish().await.unwrap();
    });
    let mut next = 0;
    while let Some(output) = receiver.next_output().await.unwrap() {
        assert_eq!(output.sequence, Some(next));
        next += 1;
    }
    assert_eq!(next, 5_000);
    sending.await.unwrap();
}

#[tokio::test]
async fn sequence_and_metadata_arrive_with_all_that_is_made_of_an_input() {
    let mut session = session_with(
        "pipeline: { nodes: [{ id: a, type: T }, { id: b, type: Echo }], graph: [{ from: a, to: b }] }",
        |registry| {
            registry.register_fn("T", |input, out| {
                assert_eq!((out.sequence(), out.metadata().unwrap()["lang"].as_str()), (Some(7), "en"));
                out.emit(input);
                out.emit_with("second", "part", "2");
                Ok(())
            });
        },
    );
    session.send_input(TransportData::new("first").with_sequence(7).with_metadata("lang", "en")).await.unwrap();
    let first = session.recv_output().await.unwrap().unwrap();
    let second = session.recv_output().await.unwrap().unwrap();
    for output in [&first, &second] {
        assert_eq!((output.sequence, output.get_metadata("lang")), (Some(7), Some("en")));
    }
    assert_eq!((first.get_metadata("part"), second.get_metadata("part")), (None, Some("2")));
}

#[tokio::test]
async fn edges_let_pass_what_they_name() {
    let mut session = session_with(
        "
pipeline:
  nodes:
    - { id: louder, type: Gain, params: { linear: 2 } }
    - { id: flip, type: VideoFlip }
  graph:
    - { from: input, to: louder, only: audio }
    - { from: input, to: flip, only: [video] }
    - { from: louder, to: output }
    - { from: flip, to: output }
    - { from: input, to: output, only: text }
",
        |_| {},
    );
    let picture = VideoFrame::from_packed(PixelFormat::Rgb24, 2, 1, vec![1, 2, 3, 4, 5, 6]).unwrap();
    let inputs: [RuntimeData; 4] =
        [audio(0.25).into(), picture.into(), "words".into(), serde_json::json!({ "for": "nobody" }).into()];
    let mut outputs = Vec::new();
    for input in inputs {
        session.send_input(TransportData::new(input)).await.unwrap();
        while let Some(output) = session.recv_output().await.unwrap() {
            outputs.push(output.data);
        }
    }
    assert_eq!(outputs.len(), 3);
    assert_eq!(outputs[0].as_audio().unwrap().samples()[0], 0.5);
    assert_eq!(outputs[1].as_video().unwrap().to_packed(), [4, 5, 6, 1, 2, 3]);
    assert_eq!(outputs[2].as_text(), Some("words"));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_works_unfed_makes_something_alone_and_takes_what_an_edge_brings() {
    struct Clock(&'static str);
    impl Node for Clock {
        fn process(&mut self, _input: RuntimeData, _out: &mut Emitter<'_>) -> NodeResult {
            self.0 = "tock";
            Ok(())
        }

        fn tick_every(&self) -> Option<Duration> {
            Some(Duration::from_secs(1))
        }

        fn tick(&mut self, out: &mut Emitter<'_>) -> NodeResult {
            out.emit(self.0);
            Ok(())
        }
    }
    let register = |registry: &mut NodeRegistry| {
        let commands = KindSet::of(&[DataKind::Control]);
        registry.register(NodeType::new("Clock", |_| Ok(Clock("tick"))).accepts(commands).works_unfed());
    };
    // Nothing that is sent to the pipeline reaches it unless the manifest says so, and it is no node that nothing reaches.
    for graph in ["", ", { from: input, to: echo }"] {
        let nodes = "nodes: [{ id: clock, type: Clock }, { id: echo, type: Echo }]";
        let yaml = format!(
            "pipeline: {{ {nodes}, graph: [{{ from: clock, to: output }}, {{ from: echo, to: output }}{graph}] }}"
        );
        let mut session = session_with(&yaml, register);
        session.send_input(TransportData::new("words")).await.unwrap();
        assert_eq!(session.recv_output().await.unwrap().map(|output| text(&output)).as_deref(), Some("words"));
        assert_eq!(text(&session.next_output().await.unwrap().unwrap()), "tick");
    }
    let yaml = "
pipeline:
  nodes: [{ id: clock, type: Clock }]
  graph: [{ from: input, to: clock, only: control }, { from: clock, to: output }]
";
    let mut session = session_with(yaml, register);
    session.send_input(TransportData::new(ControlMessage::new("tock"))).await.unwrap();
    assert_eq!(text(&session.next_output().await.unwrap().unwrap()), "tock");
}

#[tokio::test]
async fn several_inputs_and_outputs_have_names() {
    let mut session = session_with(
        "
version: v1
nodes:
  - { id: mic, node_type: Input }
  - { id: chat, node_type: Input }
  - { id: a, node_type: PassThrough }
  - { id: high, node_type: Output }
  - { id: low, node_type: Output }
connections:
  - { from: mic, to: a }
  - { from: a, to: high }
  - { from: chat, to: low }
",
        |_| {},
    );
    session.send_input(TransportData::new("spoken").with_port("mic")).await.unwrap();
    let output = session.recv_output().await.unwrap().unwrap();
    assert_eq!((text(&output).as_str(), output.port.as_deref()), ("spoken", Some("high")));
    session.send_input(TransportData::new("written").with_port("chat")).await.unwrap();
    let output = session.recv_output().await.unwrap().unwrap();
    assert_eq!((text(&output).as_str(), output.port.as_deref()), ("written", Some("low")));
    let refused = session.send_input(TransportData::new("?").with_port("camera")).await;
    assert!(matches!(refused, Err(RuntimeError::UnknownInput { .. })), "{refused:?}");
}

#[tokio::test]
async fn samples_are_shared_and_not_copied_on_their_way() {
    let mut session =
        session_with("pipeline: { nodes: [{ id: a, type: Echo }, { id: b, type: PassThrough }] }", |_| {});
    let frame = Arc::new(audio(0.5));
    session.send_input(TransportData::new(Arc::clone(&frame))).await.unwrap();
    let mut received = 0;
    while let Some(output) = session.recv_output().await.unwrap() {
        assert!(Arc::ptr_eq(output.data.as_audio().unwrap(), &frame));
        received += 1;
    }
    assert_eq!(received, 2, "both nodes are fed from the input and feed the output");
}

/// Takes a second per input and counts how many it has begun.
struct Slow(Arc<AtomicUsize>);

#[async_trait]
impl AsyncNode for Slow {
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
        self.0.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        out.emit(input).await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_node_holds_up_whoever_sends() {
    let begun = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&begun);
    let yaml = "pipeline: { nodes: [{ id: a, type: Echo, queue: 2 }, { id: b, type: Slow, queue: 3 }], graph: [{ from: a, to: b }] }";
    let (sender, mut receiver) = session_with(yaml, |registry| {
        registry.register(NodeType::asynchronous("Slow", move |_| Ok(Slow(Arc::clone(&counter)))));
    })
    .split();
    let control = sender.control();
    let accepted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&accepted);
    let sending = tokio::spawn(async move {
        for number in 0..20 {
            sender.send_input(TransportData::new(number.to_string())).await.unwrap();
            counter.fetch_add(1, Ordering::Relaxed);
        }
        sender
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    // One at work in the slow node, three before it, one in the hand of the node before, two before that.
    assert_eq!((begun.load(Ordering::Relaxed), accepted.load(Ordering::Relaxed)), (1, 7));
    let figures = |index: usize| {
        let node = &control.metrics()[index];
        (node.calls, node.emitted, node.queued, node.busy.as_secs(), node.longest.as_secs())
    };
    assert_eq!((figures(0), figures(1)), ((5, 5, 2, 0, 0), (0, 0, 3, 0, 0)));
    for number in 0..20 {
        assert_eq!(text(&receiver.next_output().await.unwrap().unwrap()), number.to_string());
    }
    assert!(sending.await.unwrap().is_active());
    assert_eq!((figures(0), figures(1)), ((20, 20, 0, 0, 0), (20, 20, 0, 20, 1)));
}

/// Emits what it is given, and something on its own clock, each after a tenth of a second; the third input it drops.
struct Eager(u32);

#[async_trait]
impl AsyncNode for Eager {
    async fn process(&mut self, input: RuntimeData, out: &mut AsyncEmitter<'_>) -> NodeResult {
        tokio::time::sleep(Duration::from_millis(100)).await;
        self.0 += 1;
        if self.0 == 3 {
            out.dropped(1);
        } else {
            out.emit(input).await;
        }
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(Duration::from_secs(60))
    }

    async fn tick(&mut self, out: &mut AsyncEmitter<'_>) -> NodeResult {
        tokio::time::sleep(Duration::from_millis(250)).await;
        out.emit("tick").await;
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_is_busy_while_it_works_and_ticks_and_not_while_it_waits_for_those_behind_it() {
    let yaml =
        "pipeline: { nodes: [{ id: a, type: Eager }, { id: b, type: Slow, queue: 1 }], graph: [{ from: a, to: b }] }";
    let mut session = session_with(yaml, |registry| {
        registry.register(NodeType::asynchronous("Eager", |_| Ok(Eager(0))));
        registry.register(NodeType::asynchronous("Slow", |_| Ok(Slow(Arc::default()))));
    });
    for number in 0..10 {
        session.send_input(TransportData::new(number.to_string())).await.unwrap();
    }
    for _ in 0..9 {
        session.recv_output().await.unwrap().unwrap();
    }
    assert_eq!(text(&session.next_output().await.unwrap().unwrap()), "tick");
    let node = &session.control().metrics()[0];
    let figures = (node.calls, node.ticks, node.emitted, node.dropped);
    assert_eq!(figures, (10, 1, 10, 1));
    assert_eq!((node.busy.as_millis(), node.longest.as_millis()), (1_250, 250));
}

#[tokio::test]
async fn outputs_that_nobody_reads_end_in_an_error_and_not_in_a_standstill() {
    let manifest = Manifest::from_yaml("pipeline: { nodes: [{ id: a, type: Echo, queue: 1 }] }").unwrap();
    let mut session = PipelineRunner::new().with_output_queue(4).create_session(&manifest).unwrap();
    let mut accepted = 0;
    let error = loop {
        match session.send_input(TransportData::new(accepted.to_string())).await {
            Ok(()) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100);
    };
    assert!(matches!(error, RuntimeError::OutputsUnread { waiting: 4 }), "{error}");
    let again = session.send_input(TransportData::new("again")).await;
    assert!(matches!(again, Err(RuntimeError::OutputsUnread { .. })), "{again:?}");
    // Nothing of what was accepted is lost, and then it goes on.
    assert_eq!(drain(&mut session).await, (0..accepted).map(|number| number.to_string()).collect::<Vec<_>>());
    session.send_input(TransportData::new("on")).await.unwrap();
    assert_eq!(drain(&mut session).await, ["on"]);
}

#[tokio::test]
async fn the_end_of_input_makes_nodes_give_away_what_they_keep() {
    #[derive(Clone, Default)]
    struct Pairs(Option<String>);
    impl Node for Pairs {
        fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
            let text = input.as_text().unwrap_or_default().to_owned();
            match self.0.take() {
                Some(first) => out.emit(format!("{first}+{text}")),
                None => self.0 = Some(text),
            }
            Ok(())
        }
        fn finish(&mut self, out: &mut Emitter<'_>) -> NodeResult {
            self.0.take().into_iter().for_each(|text| out.emit(text));
            Ok(())
        }
    }
    let yaml = "pipeline: { nodes: [{ id: a, type: Pairs }, { id: b, type: Pairs }], graph: [{ from: a, to: b }] }";
    let register = |registry: &mut NodeRegistry| {
        registry.register(NodeType::new("Pairs", |_| Ok(Pairs::default())));
    };
    let mut session = session_with(yaml, register);
    for number in 1..=5 {
        session.send_input(TransportData::new(number.to_string())).await.unwrap();
    }
    session.finish().await.unwrap();
    assert_eq!(drain(&mut session).await, ["1+2+3+4", "5"]);
    assert!(matches!(session.send_input(TransportData::new("6")).await, Err(RuntimeError::SessionClosed { .. })));
}

#[tokio::test]
async fn execute_answers_the_first_output_or_names_the_node_that_made_none() {
    let mut registry = NodeRegistry::with_builtin();
    registry.register_fn("Twice", |input, out| {
        out.emit(input.clone());
        out.emit("second");
        Ok(())
    });
    registry.register_fn("Nothing", |_, _| Ok(()));
    let runner = PipelineRunner::with_registry(registry);
    let manifest = Manifest::from_yaml("pipeline: { nodes: [{ id: a, type: Twice }] }").unwrap();
    let output = runner.execute(&manifest, TransportData::new("first").with_sequence(3)).await.unwrap();
    assert_eq!((text(&output).as_str(), output.sequence), ("first", Some(3)));

    let yaml = "pipeline: { nodes: [{ id: a, type: Echo }, { id: mute, type: Nothing }, { id: c, type: Echo }], graph: [{ from: a, to: mute }, { from: mute, to: c }] }";
    let manifest = Manifest::from_yaml(yaml).unwrap();
    let error = runner.execute(&manifest, TransportData::new("lost")).await.unwrap_err();
    assert!(matches!(&error, RuntimeError::NoOutput { node } if &**node == "mute"), "{error}");
}

#[tokio::test]
async fn params_change_while_the_session_runs() {
    let mut session = session_with("pipeline: { nodes: [{ id: g, type: Gain, params: { linear: 1 } }] }", |_| {});
    let control = session.control();
    control.reconfigure("g", serde_json::json!({ "linear": 0.5 })).await.unwrap();
    assert_eq!(control.params("g").unwrap().number("linear"), Some(0.5));
    session.send_input(TransportData::new(audio(1.0))).await.unwrap();
    let output = session.recv_output().await.unwrap().unwrap();
    assert_eq!(output.data.as_audio().unwrap().samples(), [0.5; 480]);
    control.reconfigure("g", serde_json::json!({ "linear": 1.0 })).await.unwrap();
    session.send_input(TransportData::new(audio(1.0))).await.unwrap();
    let output = session.recv_output().await.unwrap().unwrap();
    let samples = output.data.as_audio().unwrap().samples().to_vec();
    assert!(samples.windows(2).all(|pair| (0.0..0.002).contains(&(pair[1] - pair[0]))), "the gain moves evenly");
    assert_eq!(samples[479], 1.0);
    let wrong = control.reconfigure("g", serde_json::json!({ "linear": -1 })).await.unwrap_err();
    insta::assert_snapshot!(wrong, @r#"node "g" (Gain): param "linear": -1 is not allowed; use a number from 0 to 1000"#);
    let unknown = control.reconfigure("h", serde_json::json!({})).await.unwrap_err();
    insta::assert_snapshot!(unknown, @r#"the pipeline has no node "h"; it has g"#);
}

#[tokio::test]
async fn a_heavy_node_leaves_the_runtime_free() {
    #[derive(Clone)]
    struct Blocking(Arc<Mutex<std::sync::mpsc::Receiver<()>>>);
    impl Node for Blocking {
        fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
            self.0.lock().unwrap().recv()?;
            out.emit(input);
            Ok(())
        }
    }
    let (release, released) = std::sync::mpsc::channel();
    let node = Blocking(Arc::new(Mutex::new(released)));
    let mut session = session_with("pipeline: { nodes: [{ id: a, type: Heavy }] }", |registry| {
        registry.register(NodeType::heavy("Heavy", move |_| Ok(node.clone())));
    });
    session.send_input(TransportData::new("done")).await.unwrap();
    // This thread is the runtime's only one: if the node held it, this task would never run.
    tokio::spawn(async move { release.send(()).unwrap() });
    assert_eq!(drain(&mut session).await, ["done"]);
}
