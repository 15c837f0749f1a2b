//! What nodes say about the media that they take and make is checked before anything runs, and as it comes.

mod common;

use common::{drain, session_with};
use remotemedia_runtime_core::{
    RuntimeError,
    data::{AudioFrame, DataKind, PixelFormat, RuntimeData},
    manifest::{Manifest, MediaFormat},
    node::{AcceptedFormat, Conversion, Emitter, NodeRegistry, NodeResult, NodeType, ParamSpec, Produces},
    runner::PipelineRunner,
    transport::TransportData,
};
use serde_json::json;

fn pass(input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
    out.emit(input);
    Ok(())
}

/// Types that say what they take and make, as a program would register them.
fn register(registry: &mut NodeRegistry) {
    let ears = AcceptedFormat::audio().sample_rate(16_000).channels(1);
    let eyes = AcceptedFormat::video().pixel_formats([PixelFormat::Rgb24]).width(224).height(224);
    let telephone = AcceptedFormat::audio().sample_rate([8_000, 16_000]);
    registry.register(NodeType::from_fn("Ears", pass).takes(ears).produces(Produces::SameAsInput).keeps_format());
    registry.register(NodeType::from_fn("Eyes", pass).takes(eyes).keeps_format());
    registry.register(NodeType::from_fn("Telephone", pass).takes(telephone).keeps_format());
    registry.register(NodeType::from_fn("Opaque", pass));
    registry.register(
        NodeType::from_fn("Tone", pass)
            .param(ParamSpec::integer("sample_rate", 1..=384_000).default_value(48_000))
            .accepts(remotemedia_runtime_core::data::KindSet::NONE)
            .emits(|params| vec![MediaFormat::audio(params.integer("sample_rate").unwrap_or(0) as u32, 2)]),
    );
    registry.register(
        NodeType::from_fn("Rate", pass)
            .param(ParamSpec::integer("hz", 8_000..=192_000).required())
            .takes(AcceptedFormat::audio().sample_rate(8_000..=192_000))
            .makes(|format, params| {
                let sample_rate = params.integer("hz").map(|hz| hz as u32);
                Some(if format.kind == DataKind::Audio { MediaFormat { sample_rate, ..format } } else { format })
            })
            .converts(Conversion::SampleRate("hz")),
    );
    registry.register(
        NodeType::from_fn("Fold", pass)
            .param(ParamSpec::integer("channels", 1..=8).required())
            .makes(|format, params| {
                let channels = params.integer("channels").map(|channels| channels as u16);
                Some(if format.kind == DataKind::Audio { MediaFormat { channels, ..format } } else { format })
            })
            .converts(Conversion::Channels("channels")),
    );
    registry.register(
        NodeType::from_fn("Paint", pass)
            .param(ParamSpec::choice("format", ["i420", "rgb24"]).required())
            .makes(|format, params| {
                let named = |format: &PixelFormat| Some(format.name()) == params.text("format");
                Some(MediaFormat { pixel_format: PixelFormat::ALL.into_iter().find(named), ..format })
            })
            .converts(Conversion::PixelFormat("format")),
    );
    registry.register(
        NodeType::from_fn("Scale", pass)
            .param(ParamSpec::integer("w", 2..=4_096))
            .param(ParamSpec::integer("h", 2..=4_096))
            .makes(|format, params| {
                let side = |name, known| params.integer(name).map(|side| side as u32).or(known);
                Some(MediaFormat { width: side("w", format.width), height: side("h", format.height), ..format })
            })
            .converts(Conversion::Size { width: "w", height: "h" }),
    );
    registry.register(NodeType::from_fn("Mixer", pass).converts(Conversion::Kind {
        from: DataKind::AudioMix,
        to: DataKind::Audio,
        switch: None,
    }));
    registry.register(NodeType::from_fn("Parse", pass).param(ParamSpec::bool("strict")).converts(Conversion::Kind {
        from: DataKind::Text,
        to: DataKind::Json,
        switch: Some("strict"),
    }));
    let only = |kind| remotemedia_runtime_core::data::KindSet::of(&[kind]);
    registry.register(NodeType::from_fn("OneVoice", pass).accepts(only(DataKind::Audio)));
    registry.register(NodeType::from_fn("Query", pass).accepts(only(DataKind::Json)));
}

fn check(yaml: &str) -> Result<(), String> {
    let mut registry = NodeRegistry::with_builtin();
    register(&mut registry);
    let runner = PipelineRunner::with_registry(registry);
    Manifest::from_yaml(yaml).and_then(|manifest| runner.check(&manifest)).map_err(|error| error.to_string())
}

/// A manifest that declares one input, and a chain of nodes.
fn chain(input: &str, nodes: &[&str]) -> String {
    let ids = nodes.iter().map(|node| node[4..].split(',').next().expect("it begins with its id"));
    let stops: Vec<&str> = std::iter::once("input").chain(ids).chain(["output"]).collect();
    let edges: String =
        stops.windows(2).map(|pair| format!("    - {{ from: {}, to: {} }}\n", pair[0], pair[1])).collect();
    let nodes: String = nodes.iter().map(|node| format!("    - {{ {node} }}\n")).collect();
    format!("pipeline:\n  manifest:\n    inputs: [{input}]\n  nodes:\n{nodes}  graph:\n{edges}")
}

#[test]
fn each_missing_conversion_is_named_with_its_place() {
    let cases = [
        ("a rate", "{ type: audio, sample_rate: 48000, channels: 1 }", &["id: a, type: Ears"][..]),
        (
            "a rate behind a node that keeps it",
            "{ type: audio, sample_rate: 44100 }",
            &["id: louder, type: Gain", "id: a, type: Telephone"],
        ),
        ("channels", "{ type: audio, sample_rate: 16000, channels: 2 }", &["id: a, type: Ears"]),
        ("rate and channels", "{ type: audio, sample_rate: 48000, channels: 6 }", &["id: a, type: Ears"]),
        (
            "a rate that was converted to the wrong one",
            "{ type: audio }",
            &["id: r, type: Rate, params: { hz: 24000 }", "id: a, type: Ears"],
        ),
        ("a rate that nothing converts", "{ type: audio, sample_rate: 4000 }", &["id: a, type: Ears"]),
        ("a pixel format", "{ type: video, pixel_format: nv12 }", &["id: e, type: Eyes"]),
        ("a size", "{ type: video, pixel_format: rgb24, width: 640, height: 224 }", &["id: e, type: Eyes"]),
        ("format and size", "{ type: video, pixel_format: i420, width: 640, height: 360 }", &["id: e, type: Eyes"]),
        ("a kind", "{ type: audio_mix }", &["id: one, type: OneVoice"]),
        ("a kind with a switch", "{ type: text }", &["id: q, type: Query"]),
        ("a kind that nothing makes", "{ type: video }", &["id: q, type: Query"]),
    ];
    let mut report = String::new();
    for (name, input, nodes) in cases {
        let refusal = check(&chain(input, nodes)).expect_err(name);
        report.push_str(&format!("{name}\n    {refusal}\n"));
    }
    insta::assert_snapshot!(report);
}

#[test]
fn what_is_named_makes_the_manifest_right() {
    let input = "{ type: audio, sample_rate: 48000, channels: 6 }";
    let nodes =
        ["id: r, type: Rate, params: { hz: 16000 }", "id: f, type: Fold, params: { channels: 1 }", "id: a, type: Ears"];
    assert_eq!(check(&chain(input, &nodes)), Ok(()));
    let input = "{ type: video, pixel_format: i420, width: 640, height: 360 }";
    let nodes = [
        "id: p, type: Paint, params: { format: rgb24 }",
        "id: s, type: Scale, params: { w: 224, h: 224 }",
        "id: e, type: Eyes",
    ];
    assert_eq!(check(&chain(input, &nodes)), Ok(()));
}

#[test]
fn what_is_not_known_is_not_refused() {
    // Nothing is declared; a part is declared; a node in between does not say what it makes.
    assert_eq!(check("pipeline: { nodes: [{ id: a, type: Ears }] }"), Ok(()));
    assert_eq!(check(&chain("{ type: audio }", &["id: a, type: Ears"])), Ok(()));
    assert_eq!(check(&chain("{ type: audio, channels: 1 }", &["id: a, type: Ears"])), Ok(()));
    let through = ["id: o, type: Opaque", "id: a, type: Ears"];
    assert_eq!(check(&chain("{ type: audio, sample_rate: 48000, channels: 2 }", &through)), Ok(()));
    // Other kinds than those that a type speaks of.
    assert_eq!(check(&chain("{ type: video, width: 640 }", &["id: a, type: Ears"])), Ok(()));
}

#[test]
fn a_node_that_makes_media_by_itself_is_followed() {
    let tone = |rate: u32| {
        format!(
            "pipeline:\n  nodes:\n    - {{ id: t, type: Tone, params: {{ sample_rate: {rate} }} }}\n    - {{ id: a, type: Telephone }}\n  graph:\n    - {{ from: t, to: a }}\n    - {{ from: a, to: output }}\n"
        )
    };
    assert_eq!(check(&tone(16_000)), Ok(()));
    let refusal = check(&tone(48_000)).unwrap_err();
    assert!(refusal.starts_with("6:7: node \"a\" (Telephone) takes audio (8000 or 16000 Hz)"), "{refusal}");
    assert!(refusal.ends_with("put a Rate with hz: 16000 between \"t\" and \"a\""), "{refusal}");
}

#[test]
fn an_edge_that_lets_other_kinds_pass_carries_no_format() {
    let manifest = "pipeline:
  manifest: { inputs: [{ type: audio, sample_rate: 48000 }, { type: text }] }
  nodes:
    - { id: a, type: Ears }
  graph:
    - { from: input, to: a, only: text }
    - { from: a, to: output }
";
    assert_eq!(check(manifest), Ok(()));
}

#[test]
fn an_output_that_is_declared_otherwise_is_refused() {
    let manifest = |rate: u32| {
        format!(
            "pipeline:\n  manifest: {{ outputs: [{{ type: audio, sample_rate: {rate} }}, {{ type: json }}] }}\n  nodes:\n    - {{ id: t, type: Tone }}\n  graph:\n    - {{ from: t, to: output }}\n"
        )
    };
    assert_eq!(check(&manifest(48_000)), Ok(()));
    assert_eq!(
        check(&manifest(16_000)).unwrap_err(),
        "6:7: the pipeline makes audio (16000 Hz), but audio (48000 Hz, 2 channels) reaches \"output\" from \"t\"; \
         put a Rate with hz: 16000 between \"t\" and \"output\""
    );
}

#[test]
fn which_of_several_inputs_gets_which_declared_format_is_not_known() {
    let manifest = |rates: [u32; 2]| {
        let [first, second] = rates;
        format!(
            "pipeline:
  manifest: {{ inputs: [{{ type: audio, sample_rate: {first}, channels: 1 }}, {{ type: audio, sample_rate: {second}, channels: 1 }}] }}
  nodes:
    - {{ id: room, type: Input }}
    - {{ id: phone, type: Input }}
    - {{ id: out, type: Output }}
    - {{ id: heard, type: Output }}
    - {{ id: e, type: Echo }}
    - {{ id: a, type: Ears }}
  graph:
    - {{ from: room, to: e }}
    - {{ from: phone, to: a }}
    - {{ from: e, to: out }}
    - {{ from: a, to: heard }}
"
        )
    };
    assert_eq!(check(&manifest([48_000, 16_000])), Ok(()));
    // What all of them have in common is sure, whichever comes.
    assert_eq!(
        check(&manifest([48_000, 48_000])).unwrap_err(),
        "12:7: node \"a\" (Ears) takes audio (16000 Hz, 1 channel), but audio (48000 Hz, 1 channel) reaches it from \"phone\"; \
         put a Rate with hz: 16000 between \"phone\" and \"a\""
    );
    let stereo = manifest([48_000, 16_000]).replace("channels: 1", "channels: 2");
    let refusal = check(&stereo).unwrap_err();
    assert!(refusal.contains("audio (2 channels) reaches it from \"phone\"; put a Fold with channels: 1"), "{refusal}");
    // Without its other input the pipeline knows no more about this one than before.
    let mut registry = NodeRegistry::with_builtin();
    register(&mut registry);
    let cut = Manifest::from_yaml(&manifest([48_000, 16_000])).unwrap().with_output("heard").unwrap();
    assert!(cut.inputs().eq(["phone"]));
    PipelineRunner::with_registry(registry).check(&cut).unwrap();
}

#[test]
fn manifests_made_in_code_are_checked_alike() {
    let mut registry = NodeRegistry::with_builtin();
    register(&mut registry);
    let manifest = Manifest::builder().takes(MediaFormat::audio(48_000, 1)).node("a", "Ears", json!(null));
    let error = PipelineRunner::with_registry(registry).check(&manifest.build().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "node \"a\" (Ears) takes audio (16000 Hz, 1 channel), but audio (48000 Hz, 1 channel) reaches it from \"input\"; \
         put a Rate with hz: 16000 between \"input\" and \"a\""
    );
}

#[tokio::test]
async fn media_that_nobody_declared_is_refused_as_it_comes_and_the_policy_decides() {
    for (policy, expected) in [("fail", 0), ("skip", 1), ("bypass", 2)] {
        let yaml = format!("pipeline: {{ nodes: [{{ id: a, type: Ears, on_error: {policy} }}] }}");
        let mut session = session_with(&yaml, register);
        let wrong = AudioFrame::new(vec![0.0; 480], 48_000, 1).unwrap();
        session.send_input(TransportData::new(wrong)).await.unwrap();
        let error = match session.recv_output().await {
            Err(error) => error,
            // The failure may come behind what was bypassed.
            Ok(_) => session.recv_output().await.unwrap_err(),
        };
        assert!(matches!(&error, RuntimeError::FormatNotAccepted { node, .. } if &**node == "a"), "{error}");
        assert_eq!(
            error.to_string(),
            "node \"a\" (Ears) takes audio (16000 Hz, 1 channel), but was given audio (48000 Hz, 1 channel)"
        );
        if policy == "fail" {
            assert!(!session.is_active());
            continue;
        }
        let right = AudioFrame::new(vec![0.0; 160], 16_000, 1).unwrap();
        session.send_input(TransportData::new(right)).await.unwrap();
        let outputs = drain(&mut session).await;
        assert_eq!(outputs.len(), expected, "{policy}");
    }
}
