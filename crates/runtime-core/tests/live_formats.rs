//! New params of a node that runs are checked for formats, as the manifest was before it ran.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use common::{drain, session_with};
use remotemedia_runtime_core::{
    RuntimeError,
    data::{AudioFrame, DataKind, RuntimeData},
    manifest::{ManifestProblem, MediaFormat},
    node::{AcceptedFormat, Conversion, Emitter, Node, NodeRegistry, NodeResult, NodeType, ParamSpec, Params},
    runner::Session,
    transport::TransportData,
};
use serde_json::json;

/// Makes every frame one of its rate, with the samples as they are.
struct Rate(u32);

impl Rate {
    fn node_type() -> NodeType {
        let hz = |params: &Params| params.integer("hz").unwrap_or(0) as u32;
        NodeType::new("Rate", move |params| Ok(Self(hz(params))))
            .param(ParamSpec::integer("hz", 8_000..=192_000).required())
            .makes(move |format, params| {
                let sample_rate = Some(hz(params));
                Some(if format.kind == DataKind::Audio { MediaFormat { sample_rate, ..format } } else { format })
            })
            .converts(Conversion::SampleRate("hz"))
    }
}

impl Node for Rate {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        if let Some(frame) = input.as_audio() {
            out.emit(AudioFrame::new(frame.samples().to_vec(), self.0, frame.channels())?);
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        self.0 = params.integer("hz").unwrap_or(0) as u32;
        true
    }
}

fn register(registry: &mut NodeRegistry) {
    registry.register(Rate::node_type());
    let pass = |input: RuntimeData, out: &mut Emitter<'_>| {
        out.emit(input);
        Ok(())
    };
    registry
        .register(NodeType::from_fn("Ears", pass).takes(AcceptedFormat::audio().sample_rate(16_000)).keeps_format());
    // Takes the rate `only`, or any.
    registry.register(
        NodeType::from_fn("Choosy", pass)
            .param(ParamSpec::integer("only", 8_000..=192_000))
            .takes_as(|params| {
                let only = params.integer("only").map(|only| AcceptedFormat::audio().sample_rate(only as u32));
                only.into_iter().collect()
            })
            .keeps_format(),
    );
}

/// The sample rate of what comes out for a frame.
async fn rate_of_output(session: &mut Session) -> u32 {
    session.send_input(TransportData::new(AudioFrame::new(vec![0.0; 480], 48_000, 1).unwrap())).await.unwrap();
    session.recv_output().await.unwrap().unwrap().data.as_audio().unwrap().sample_rate()
}

#[tokio::test]
async fn params_that_make_what_the_next_node_does_not_take_are_refused_and_all_goes_on() {
    let yaml = "pipeline:
  nodes:
    - { id: rate, type: Rate, params: { hz: 16000 } }
    - { id: ears, type: Ears }
  graph:
    - { from: input, to: rate }
    - { from: rate, to: ears }
    - { from: ears, to: output }
  manifest: { inputs: [{ type: audio, channels: 1 }] }
";
    let mut session = session_with(yaml, register);
    let control = session.control();
    let refusal = control.reconfigure("rate", json!({ "hz": 48_000 })).await.unwrap_err();
    let RuntimeError::Manifest(error) = &refusal else { panic!("{refusal}") };
    assert!(matches!(*error.problem, ManifestProblem::WrongFormat { ref id, .. } if id == "ears"), "{refusal}");
    assert_eq!(
        refusal.to_string(),
        "7:7: node \"ears\" (Ears) takes audio (16000 Hz), but audio (48000 Hz, 1 channel) reaches it from \"rate\"; \
         put a Rate with hz: 16000 between \"rate\" and \"ears\""
    );
    assert_eq!(control.params("rate").unwrap().integer("hz"), Some(16_000));
    assert_eq!(rate_of_output(&mut session).await, 16_000);
    session.finish().await.unwrap();
    assert!(drain(&mut session).await.is_empty(), "nothing failed");
}

#[tokio::test]
async fn params_with_which_a_node_no_longer_takes_what_reaches_it_are_refused() {
    let yaml = "pipeline:
  nodes: [{ id: rate, type: Rate, params: { hz: 24000 } }, { id: choosy, type: Choosy }]
  graph: [{ from: input, to: rate }, { from: rate, to: choosy }, { from: choosy, to: output }]
  manifest: { inputs: [{ type: audio }] }
";
    let mut session = session_with(yaml, register);
    let control = session.control();
    let refusal = control.reconfigure("choosy", json!({ "only": 16_000 })).await.unwrap_err().to_string();
    assert!(refusal.contains("put a Rate with hz: 16000 between \"rate\" and \"choosy\""), "{refusal}");
    assert_eq!(rate_of_output(&mut session).await, 24_000);
    control.reconfigure("choosy", json!({ "only": 24_000 })).await.unwrap();
    // What has been changed since is what counts.
    control.reconfigure("rate", json!({ "hz": 16_000 })).await.unwrap_err();
    control.reconfigure("choosy", json!({})).await.unwrap();
    control.reconfigure("rate", json!({ "hz": 16_000 })).await.unwrap();
    assert_eq!(rate_of_output(&mut session).await, 16_000);
}

#[tokio::test]
async fn params_that_make_what_the_manifest_does_not_declare_for_its_outputs_are_refused() {
    let yaml = "pipeline:
  manifest: { inputs: [{ type: audio }], outputs: [{ type: audio, sample_rate: 16000 }] }
  nodes: [{ id: rate, type: Rate, params: { hz: 16000 } }]
";
    let mut session = session_with(yaml, register);
    let refusal = session.control().reconfigure("rate", json!({ "hz": 24_000 })).await.unwrap_err();
    let RuntimeError::Manifest(error) = &refusal else { panic!("{refusal}") };
    assert!(matches!(*error.problem, ManifestProblem::WrongOutputFormat { .. }), "{refusal}");
    assert!(refusal.to_string().ends_with("put a Rate with hz: 16000 between \"rate\" and \"output\""), "{refusal}");
    assert_eq!(rate_of_output(&mut session).await, 16_000);
}

#[tokio::test]
async fn of_two_changes_at_once_that_do_not_go_together_one_is_refused() {
    let yaml = "pipeline:
  nodes: [{ id: rate, type: Rate, params: { hz: 16000 } }, { id: choosy, type: Choosy }]
  graph: [{ from: input, to: rate }, { from: rate, to: choosy }, { from: choosy, to: output }]
  manifest: { inputs: [{ type: audio }] }
";
    let mut session = session_with(yaml, register);
    let control = session.control();
    let (faster, choosier) = tokio::join!(
        control.reconfigure("rate", json!({ "hz": 48_000 })),
        control.reconfigure("choosy", json!({ "only": 16_000 })),
    );
    assert!(faster.is_ok() != choosier.is_ok(), "{faster:?} {choosier:?}");
    assert_eq!(rate_of_output(&mut session).await, if faster.is_ok() { 48_000 } else { 16_000 });
}
