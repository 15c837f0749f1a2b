//! Some params of a node that runs change, and the others stay.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{drain, session_with, text};
use futures_util::{FutureExt, future::join_all};
use remotemedia_runtime_core::{
    RuntimeError,
    data::{AudioFrame, DataKind, RuntimeData},
    manifest::{ManifestProblem, MediaFormat},
    node::{
        AcceptedFormat, Emitter, Node, NodeRegistry, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces,
    },
    runner::{Session, SessionControl},
    transport::TransportData,
};
use serde_json::{Map, Value, json};

/// Says which params it has. `width` excludes `max_width` and `max_height`.
struct Sides(Params);

impl Sides {
    fn node_type() -> NodeType {
        let side = |name| ParamSpec::integer(name, 1..=100);
        NodeType::new("Sides", Self::from_params)
            .param(side("width"))
            .param(side("max_width"))
            .param(side("max_height"))
            .param(side("depth").default_value(7))
            .param(side("shade").default_value(5))
    }

    fn from_params(params: &Params) -> Result<Self, ParamProblem> {
        for second in ["max_width", "max_height"] {
            if params.get("width").is_some() && params.get(second).is_some() {
                return Err(ParamProblem::Exclusive { first: "width", second });
            }
        }
        if params.get("width").or(params.get("max_width")).or(params.get("max_height")).is_none() {
            return Err(ParamProblem::Missing { param: "width", expected: "a width".to_owned() });
        }
        Ok(Self(params.clone()))
    }
}

impl Node for Sides {
    fn process(&mut self, _: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        out.emit(self.0.to_json().to_string());
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        Self::from_params(params).map(|changed| *self = changed).is_ok()
    }
}

fn sized(params: &str) -> Session {
    let yaml = format!("pipeline: {{ nodes: [{{ id: s, type: Sides, params: {{ {params} }} }}] }}");
    session_with(&yaml, |registry| {
        registry.register(Sides::node_type());
    })
}

async fn change(control: &SessionControl, changes: Value) -> Result<Params, RuntimeError> {
    let Value::Object(changes) = changes else { panic!("{changes}") };
    control.change_params("s", changes).await
}

/// What the node works with, as it says itself.
async fn at_work(session: &mut Session) -> Value {
    session.send_input(TransportData::new("?")).await.unwrap();
    serde_json::from_str(&text(&session.recv_output().await.unwrap().unwrap())).unwrap()
}

#[tokio::test]
async fn what_is_changed_moves_the_rest_stays_and_null_is_the_default() {
    let mut session = sized("width: 10, depth: 8");
    let control = session.control();
    let params = change(&control, json!({ "shade": 6 })).await.unwrap();
    let expected = json!({ "width": 10, "depth": 8, "shade": 6 });
    assert_eq!((params.to_json(), at_work(&mut session).await), (expected.clone(), expected));
    let params = change(&control, json!({ "depth": null, "width": 11 })).await.unwrap();
    let expected = json!({ "width": 11, "depth": 7, "shade": 6 });
    assert_eq!((params.to_json(), at_work(&mut session).await), (expected.clone(), expected));
    assert_eq!(control.params("s").unwrap(), params);
    assert_eq!(change(&control, json!({})).await.unwrap(), params, "nothing changed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_at_once_do_not_undo_each_other() {
    let mut session = sized("width: 1");
    let control = session.control();
    for round in 2..50 {
        let changed = ["width", "depth", "shade"].map(|name| {
            let control = control.clone();
            tokio::spawn(async move { change(&control, json!({ name: round })).await })
        });
        for changed in join_all(changed).await {
            changed.unwrap().unwrap();
        }
        let expected = json!({ "width": round, "depth": round, "shade": round });
        assert_eq!((control.params("s").unwrap().to_json(), at_work(&mut session).await), (expected.clone(), expected));
    }
}

#[tokio::test]
async fn params_that_exclude_one_that_is_changed_give_way_however_many_they_are() {
    let mut session = sized("max_width: 20, max_height: 30, shade: 9");
    let control = session.control();
    change(&control, json!({ "width": 10 })).await.unwrap();
    assert_eq!(at_work(&mut session).await, json!({ "width": 10, "depth": 7, "shade": 9 }));
    change(&control, json!({ "max_height": 40, "max_width": 50 })).await.unwrap();
    let expected = json!({ "max_width": 50, "max_height": 40, "depth": 7, "shade": 9 });
    assert_eq!(at_work(&mut session).await, expected);
    let both = change(&control, json!({ "width": 1, "max_width": 2 })).await.unwrap_err();
    assert!(both.to_string().contains("\"width\" and \"max_width\" exclude each other; keep one"), "{both}");
    assert_eq!((control.params("s").unwrap().to_json(), at_work(&mut session).await), (expected.clone(), expected));
}

#[tokio::test]
async fn changes_that_are_refused_leave_the_node_as_it_was() {
    let mut session = sized("width: 10");
    let control = session.control();
    for (changes, said) in [
        (json!({ "width": 101 }), "node \"s\" (Sides): param \"width\": 101 is not allowed"),
        (json!({ "wdth": 1 }), "unknown param \"wdth\" (did you mean \"width\"?)"),
        (json!({ "width": null, "depth": 3 }), "the param \"width\" is missing; use a width"),
    ] {
        let refusal = change(&control, changes).await.unwrap_err().to_string();
        assert!(refusal.contains(said), "{refusal}");
    }
    let unknown = control.change_params("t", Map::new()).await.unwrap_err();
    assert!(matches!(&unknown, RuntimeError::UnknownNode { node, .. } if node == "t"), "{unknown}");
    let expected = json!({ "width": 10, "depth": 7, "shade": 5 });
    assert_eq!((control.params("s").unwrap().to_json(), at_work(&mut session).await), (expected.clone(), expected));
}

#[tokio::test]
async fn what_is_wrong_with_a_change_is_said_at_once_even_in_a_paused_session() {
    let mut session = sized("width: 10");
    let control = session.control();
    control.pause();
    session.send_input(TransportData::new("?")).await.unwrap();
    let refusal = change(&control, json!({ "width": 101 })).now_or_never().unwrap().unwrap_err().to_string();
    assert!(refusal.contains("101 is not allowed"), "{refusal}");
    control.resume();
    assert_eq!(drain(&mut session).await.len(), 1);
}

#[tokio::test]
async fn a_node_that_was_told_changes_even_if_nobody_waits_for_it() {
    let mut session = sized("width: 10");
    let control = session.control();
    for (round, is_whole) in [(20, true), (21, false)] {
        let told = async {
            match is_whole {
                true => control.reconfigure("s", json!({ "width": round })).await.unwrap(),
                false => drop(change(&control, json!({ "width": round })).await.unwrap()),
            }
        };
        // Polled once, which tells the node, and dropped.
        assert!(told.now_or_never().is_none(), "the node has not run yet");
        assert_eq!(at_work(&mut session).await["width"], round);
        assert_eq!(control.params("s").unwrap().integer("width"), Some(round));
    }
}

#[tokio::test]
async fn what_excludes_each_other_is_told_apart_before_formats_are() {
    let rate = |params: &Params| match (params.integer("hz"), params.integer("khz")) {
        (Some(_), Some(_)) => Err(ParamProblem::Exclusive { first: "hz", second: "khz" }),
        (hz, khz) => Ok(hz.or(khz.map(|khz| khz * 1000)).unwrap_or(0) as u32),
    };
    struct Rate(u32);
    impl Node for Rate {
        fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
            if let Some(frame) = input.as_audio() {
                out.emit(AudioFrame::new(frame.samples().to_vec(), self.0, frame.channels())?);
            }
            Ok(())
        }
    }
    let register = |registry: &mut NodeRegistry| {
        let pass = |input: RuntimeData, out: &mut Emitter<'_>| {
            out.emit(input);
            Ok(())
        };
        registry.register(NodeType::from_fn("Ears", pass).takes(AcceptedFormat::audio().sample_rate(16_000)));
        registry.register(
            NodeType::new("Rate", move |params| rate(params).map(Rate))
                .param(ParamSpec::integer("hz", 1..=192_000))
                .param(ParamSpec::integer("khz", 1..=192))
                .produces(Produces::SameAsInput)
                .makes(move |format, params| match rate(params) {
                    Ok(rate) if format.kind == DataKind::Audio => {
                        Some(MediaFormat { sample_rate: Some(rate), ..format })
                    }
                    // As it came, which the next node would not take.
                    _ => Some(format),
                }),
        );
    };
    let yaml = "pipeline:
  manifest: { inputs: [{ type: audio, sample_rate: 48000 }] }
  nodes: [{ id: s, type: Rate, params: { hz: 16000 } }, { id: ears, type: Ears }]
  graph: [{ from: input, to: s }, { from: s, to: ears }, { from: ears, to: output }]
";
    let session = session_with(yaml, register);
    let control = session.control();
    let params = change(&control, json!({ "khz": 16 })).await.unwrap();
    assert_eq!(params.to_json(), json!({ "khz": 16 }));
    let refusal = change(&control, json!({ "hz": 24_000 })).await.unwrap_err();
    let RuntimeError::Manifest(error) = &refusal else { panic!("{refusal}") };
    assert!(matches!(*error.problem, ManifestProblem::WrongFormat { .. }), "{refusal}");
    assert_eq!(control.params("s").unwrap(), params);
}
