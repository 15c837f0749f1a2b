//! The manifests of the quickstart guide, as it prints them.

use std::sync::Arc;

use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    manifest::{Manifest, ManifestProblem},
    runner::PipelineRunner,
    transport::{PipelineTransport, TransportData},
};

const BLUR: &str = r#"pipeline:
  nodes:
    - id: "background_blur"
      type: "BackgroundBlur"
      executor: "native"
      params:
        blur_strength: 15
        mask_padding: 10

  graph:
    - from: "input"
      to: "background_blur"
    - from: "background_blur"
      to: "output"
"#;

const MIXER: &str = r#"pipeline:
  nodes:
    - id: "audio_mixer"
      type: "AudioMixer"
      executor: "native"
      params:
        channels: 1
        sample_rate: 48000
        mix_mode: "average"  # or "maximum"

  graph:
    - from: "input"
      to: "audio_mixer"
    - from: "audio_mixer"
      to: "output"
"#;

const SIMPLE: &str = r#"pipeline:
  # Define input/output types
  manifest:
    version: "0.1"
    inputs:
      - type: "audio"
        sample_rate: 48000
        channels: 1
    outputs:
      - type: "audio"
        sample_rate: 48000
        channels: 1

  # Processing nodes
  nodes:
    # Pass-through for testing
    - id: "echo"
      type: "Echo"
      executor: "native"
      params: {}

  # Data flow graph
  graph:
    - from: "input"
      to: "echo"
    - from: "echo"
      to: "output"
"#;

#[test]
fn all_three_are_read() {
    let blur = Manifest::from_yaml(BLUR).unwrap();
    assert_eq!(blur.nodes()[0].params(), serde_json::json!({ "blur_strength": 15, "mask_padding": 10 }));
    let mixer = Manifest::from_yaml(MIXER).unwrap();
    assert_eq!(mixer.nodes()[0].params()["mix_mode"], "average");
    let simple = Manifest::from_yaml(SIMPLE).unwrap();
    assert_eq!((simple.version(), simple.input_formats()[0].sample_rate), (Some("0.1"), Some(48_000)));
    assert_eq!(
        simple.edges().map(|(from, to, _)| (from, to)).collect::<Vec<_>>(),
        [("input", "echo"), ("echo", "output")]
    );
}

#[test]
fn a_type_that_is_not_registered_is_named_before_anything_runs() {
    let error = PipelineRunner::new().check(&Manifest::from_yaml(BLUR).unwrap()).unwrap_err();
    assert!(matches!(*error.problem, ManifestProblem::UnknownType { .. }), "{error}");
    assert_eq!(error.place.unwrap().line, 4);
}

#[tokio::test]
async fn the_loops_of_the_guide_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my_pipeline.yaml");
    std::fs::write(&path, SIMPLE).unwrap();
    let manifest = Arc::new(Manifest::from_file(&path).unwrap());
    let transport = PipelineRunner::new();
    let mut session = transport.stream(manifest.clone()).await.unwrap();
    let mut received = 0;
    for _ in 0..3 {
        let audio = RuntimeData::Audio { frame: Arc::new(AudioFrame::new(vec![0.1; 480], 48_000, 1).unwrap()) };
        session.send_input(TransportData::new(audio)).await.unwrap();
        while let Some(output) = session.recv_output().await.unwrap() {
            assert_eq!(output.data.as_audio().unwrap().samples(), [0.1; 480]);
            received += 1;
        }
    }
    assert_eq!(received, 3);
    session.close().await.unwrap();

    let input = TransportData::new(AudioFrame::new(vec![0.2; 480], 48_000, 1).unwrap());
    let output = PipelineTransport::execute(&transport, manifest, input).await.unwrap();
    assert_eq!(output.data.as_audio().unwrap().samples()[0], 0.2);
}

#[test]
fn the_runtimes_spelling_means_the_same() {
    let json = r#"{
        "version": "v1",
        "metadata": { "name": "louder", "description": "doubles", "created_at": "2025-11-07T00:00:00Z" },
        "nodes": [
            { "id": "in", "node_type": "Input", "params": {} },
            { "id": "a", "node_type": "Gain", "params": { "linear": 2 }, "is_streaming": true },
            { "id": "out", "node_type": "Output" }
        ],
        "connections": [ { "from": "in", "to": "a" }, { "from": "a", "to": "out" } ]
    }"#;
    let manifest = Manifest::from_json(json).unwrap();
    assert_eq!(manifest.name(), Some("louder"));
    assert_eq!(
        (manifest.inputs().collect::<Vec<_>>(), manifest.outputs().collect::<Vec<_>>()),
        (vec!["in"], vec!["out"])
    );
    PipelineRunner::new().check(&manifest).unwrap();
    // Without ends, they are where no edge is.
    let manifest =
        Manifest::from_json(r#"{"version":"v1","nodes":[{"id":"a","node_type":"Echo"}],"connections":[]}"#).unwrap();
    PipelineRunner::new().check(&manifest).unwrap();
}
