//! What every node type declares about formats is what its nodes do to real data.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![cfg(all(feature = "voice", feature = "files", feature = "opus", feature = "vpx"))]

#[path = "common/refused.rs"]
mod refused;

use std::{sync::Arc, time::Duration};

use refused::refusal;
use remotemedia_media::{PixelFormat, VideoFrame};
use remotemedia_nodes::registry;
use remotemedia_runtime_core::{
    data::{AudioFrame, DataKind, RuntimeData},
    manifest::{Manifest, MediaFormat},
    node::{NodeType, finish_once, process_once},
    runner::PipelineRunner,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// Params of every type, several where they decide what is taken or made. A type without any here fails the test.
fn params_of(node_type: &str, folder: &TempDir) -> Vec<Value> {
    let path = |name: &str| folder.path().join(name).display().to_string();
    match node_type {
        "AudioLevel" | "Vad" => vec![json!({}), json!({ "pass_audio": false })],
        "AudioMixer" => vec![json!({}), json!({ "sample_rate": 16_000, "channels": 2, "mix_minus": true })],
        "ChannelConvert" => vec![json!({ "channels": 1 }), json!({ "channels": 2 }), json!({ "channels": 6 })],
        "EchoCancel" => vec![json!({ "reference": "loudspeaker" })],
        "FilePlayer" => vec![json!({ "path": path("a.wav") }), json!({ "path": path("a.y4m") })],
        "JsonTransform" => vec![json!({}), json!({ "parse_text": true, "to_text": true })],
        "NoiseSuppress" => vec![json!({}), json!({ "model": "light" })],
        "Overlay" => vec![json!({ "text": "{time}" })],
        "RateLimit" => vec![json!({ "max_per_second": 1_000 })],
        "Recorder" => vec![
            json!({ "audio": path("{time}.wav") }),
            json!({ "audio": path("{time}.ogg"), "pass": false }),
            json!({ "video": path("{time}.ivf") }),
            json!({ "video": path("{time}.y4m") }),
            json!({ "video": path("{time}.webm") }),
        ],
        "Resample" => vec![json!({ "sample_rate": 16_000 }), json!({ "sample_rate": 48_000 })],
        "Select" => vec![json!({ "from": "nobody" })],
        "TestCard" => vec![json!({}), json!({ "width": 64, "height": 36, "pattern": "moving" })],
        "TestTone" => vec![json!({}), json!({ "sample_rate": 8_000, "channels": 3 })],
        "VideoCrop" => vec![
            json!({ "width": 2, "height": 2 }),
            json!({ "x": 5, "y": 8 }),
            json!({ "x": 0.25, "width": 0.5, "unit": "fraction" }),
        ],
        "VideoFormat" => PixelFormat::ALL.map(|format| json!({ "format": format.name() })).to_vec(),
        "VideoScale" => vec![
            json!({ "width": 32, "height": 16 }),
            json!({ "width": 20 }),
            json!({ "height": 20 }),
            json!({ "max_width": 10 }),
        ],
        "BackgroundBlur" | "Echo" | "Gain" | "PassThrough" | "Tee" | "VideoFlip" | "AutoGain" | "NoiseGate" => {
            vec![json!({})]
        }
        other => panic!("say in this test with which params a {other} is built"),
    }
}

/// 300 ms of a tone in frames of about 20 ms.
fn sound(rate: u32, channels: u16) -> Vec<RuntimeData> {
    let length = (rate / 50).max(1) as usize;
    let sample = |index: usize| 0.3 * (std::f32::consts::TAU * 440.0 * index as f32 / rate as f32).sin();
    let frame = |number: usize| {
        let samples = (number * length..(number + 1) * length).flat_map(|at| vec![sample(at); channels.into()]);
        let frame = AudioFrame::new(samples.collect::<Vec<_>>(), rate, channels).unwrap();
        RuntimeData::from(frame.with_timestamp(Duration::from_millis(number as u64 * 20)))
    };
    (0..15).map(frame).collect()
}

fn picture(format: PixelFormat, width: u32, height: u32) -> Vec<RuntimeData> {
    let bytes: Vec<u8> = (0..format.packed_len(width, height)).map(|at| (at * 7) as u8).collect();
    vec![VideoFrame::from_packed(format, width, height, bytes).unwrap().into()]
}

/// Media of many formats, the odd ones included.
fn media() -> Vec<(MediaFormat, Vec<RuntimeData>)> {
    let mut all = Vec::new();
    for rate in [4_000, 7_999, 8_000, 11_025, 16_000, 44_100, 44_101, 48_000, 96_000, 192_000, 192_001, 384_000] {
        for channels in [1, 2, 3, 6, 8] {
            all.push((MediaFormat::audio(rate, channels), sound(rate, channels)));
        }
    }
    for format in PixelFormat::ALL {
        for (width, height) in [(2, 2), (5, 9), (6, 8), (15, 16), (16, 15), (16, 16), (17, 33), (64, 36)] {
            all.push((MediaFormat::video(format, width, height), picture(format, width, height)));
        }
    }
    all
}

/// What a node of `node_type` makes of `inputs`, without anybody who looks at what it declares.
fn work(node_type: &NodeType, params: &Value, inputs: &[RuntimeData]) -> Result<Vec<RuntimeData>, String> {
    let params = node_type.params_from(params.as_object().unwrap().clone()).unwrap();
    let mut instance = node_type.build(&params).unwrap();
    let node = instance.as_node().unwrap();
    let mut outputs = Vec::new();
    for input in inputs {
        outputs.extend(process_once(node, input.clone()).map_err(|error| error.to_string())?);
    }
    outputs.extend(finish_once(node).map_err(|error| error.to_string())?);
    Ok(outputs)
}

/// A file of each kind that is played.
fn folder() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let spec = hound::WavSpec {
        channels: 2,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut wav = hound::WavWriter::create(folder.path().join("a.wav"), spec).unwrap();
    (0..6_400).for_each(|n| wav.write_sample((n % 100) as i16).unwrap());
    wav.finalize().unwrap();
    let file = std::fs::File::create(folder.path().join("a.y4m")).unwrap();
    let y4m = y4m::encode(16, 16, y4m::Ratio::new(25, 1)).with_colorspace(y4m::Colorspace::C420jpeg);
    let mut encoder = y4m.write_header(file).unwrap();
    (0..3).for_each(|_| encoder.write_frame(&y4m::Frame::new([&[80; 256], &[128; 64], &[128; 64]], None)).unwrap());
    folder
}

#[test]
fn what_is_declared_as_taken_works_and_what_is_not_fails() {
    let folder = folder();
    let registry = registry();
    let media = media();
    let (mut works, mut fails) = (0, 0);
    for node_type in registry.types() {
        for values in params_of(node_type.name(), &folder) {
            let params = node_type.params_from(values.as_object().unwrap().clone()).unwrap();
            let accepted = node_type.accepted_formats(&params);
            let of_kind = |kind| accepted.iter().filter(move |accepted| accepted.kind() == kind);
            for (format, inputs) in media.iter().filter(|(format, _)| node_type.accepted_kinds().contains(format.kind))
            {
                let is_taken = of_kind(format.kind).next().is_none()
                    || of_kind(format.kind).any(|accepted| accepted.accepts(format));
                let result = work(node_type, &values, inputs);
                let name = format!("{} {values} given {format}", node_type.name());
                match (is_taken, result) {
                    (false, Err(_)) => fails += 1,
                    (false, Ok(_)) => panic!("{name}: works, but is declared not to"),
                    (true, Err(error)) => panic!("{name}: is declared to work, but {error}"),
                    (true, Ok(outputs)) => {
                        works += 1;
                        check_outputs(node_type, &params, *format, &outputs, &name);
                    }
                }
            }
        }
    }
    println!("{works} formats work, {fails} are refused");
    assert!(works > 2_000 && fails > 100, "{works} {fails}");
}

/// What came out is of the format that the type declares to make.
fn check_outputs(
    node_type: &NodeType,
    params: &remotemedia_runtime_core::node::Params,
    format: MediaFormat,
    outputs: &[RuntimeData],
    name: &str,
) {
    let made = node_type.made_format(format, params);
    for output in outputs.iter().map(MediaFormat::of).filter(|output| output.kind == format.kind) {
        if let Some(made) = made {
            assert!(made.includes(&output), "{name}: makes {output}, and not {made}");
        }
    }
    // As far as a node keeps or changes media at all, it says so, but for the two that let one of several inputs pass.
    let is_silent = outputs.iter().all(|output| output.kind() != format.kind);
    let is_open = matches!(node_type.name(), "Select" | "EchoCancel");
    assert!(made.is_some() || is_silent || is_open, "{name}: does not say what it makes of it");
}

#[tokio::test(start_paused = true)]
async fn sources_make_what_they_declare() {
    let folder = folder();
    let registry = Arc::new(registry());
    let mut seen = 0;
    for node_type in
        registry.types().filter(|node_type| ["FilePlayer", "TestCard", "TestTone"].contains(&node_type.name()))
    {
        for values in params_of(node_type.name(), &folder) {
            let params = node_type.params_from(values.as_object().unwrap().clone()).unwrap();
            let manifest = Manifest::builder().node("it", node_type.name(), values.clone()).build().unwrap();
            let runner = PipelineRunner::with_registry(Arc::clone(&registry));
            let mut session = runner.create_session(&manifest).unwrap();
            let output = MediaFormat::of(&session.next_output().await.unwrap().unwrap().data);
            let emitted = node_type.emitted_formats(&params);
            let is_sound_of_a_file = node_type.name() == "FilePlayer" && output.kind == DataKind::Audio;
            assert!(
                emitted.iter().any(|format| format.includes(&output)) || (is_sound_of_a_file && emitted.is_empty()),
                "{} {values}: {output} is none of {emitted:?}",
                node_type.name()
            );
            seen += 1;
        }
    }
    assert_eq!(seen, 6);
}

#[test]
fn a_manifest_is_told_which_native_node_is_missing() {
    let with_input = |input: &str, node: &str| {
        format!("pipeline: {{ manifest: {{ inputs: [{input}] }}, nodes: [{{ id: it, {node} }}] }}")
    };
    for (input, node, words) in [
        // 4 kHz is below what Resample takes too.
        ("{ type: audio, sample_rate: 4000 }", "type: Vad", "no node that is known converts it"),
        ("{ type: audio, sample_rate: 384000 }", "type: NoiseSuppress", "no node that is known converts it"),
        ("{ type: audio_mix }", "type: Tall", "put an AudioMixer between \"input\" and \"it\""),
        (
            "{ type: audio, sample_rate: 44100, channels: 2 }",
            "type: Tall",
            "put a Resample with sample_rate: 16000 and a ChannelConvert with channels: 1 between \"input\" and \"it\"",
        ),
        (
            "{ type: video, pixel_format: i420, width: 640, height: 360 }",
            "type: Wide",
            "put a VideoFormat with format: rgb24 and a VideoScale with width: 224, height: 224 between",
        ),
        ("{ type: text }", "type: Table", "put a JsonTransform with parse_text: true between"),
        ("{ type: json }", "type: Words", "put a JsonTransform with to_text: true between"),
        (
            "{ type: video, width: 4, height: 4 }",
            "type: VideoCrop, params: { x: 10 }",
            "put a VideoScale with width: 12 between",
        ),
        (
            "{ type: video, width: 320, height: 8 }",
            "type: Recorder, params: { video: a.ivf }",
            "put a VideoScale with height: 16 between",
        ),
    ] {
        use remotemedia_runtime_core::{data::KindSet, node::AcceptedFormat};
        let mut registry = registry();
        let pass = |input: RuntimeData, out: &mut remotemedia_runtime_core::node::Emitter<'_>| {
            out.emit(input);
            Ok(())
        };
        let only = |kind| KindSet::of(&[kind]);
        let tall = AcceptedFormat::audio().sample_rate(16_000).channels(1);
        let wide = AcceptedFormat::video().pixel_formats([PixelFormat::Rgb24]).width(224).height(224);
        registry
            .register(NodeType::from_fn("Tall", pass).accepts(only(DataKind::Audio)).takes(tall))
            .register(NodeType::from_fn("Wide", pass).takes(wide))
            .register(NodeType::from_fn("Table", pass).accepts(only(DataKind::Json)))
            .register(NodeType::from_fn("Words", pass).accepts(only(DataKind::Text)));
        let manifest = Manifest::from_yaml(&with_input(input, node)).unwrap();
        let refused = PipelineRunner::with_registry(registry).check(&manifest).expect_err(words).to_string();
        assert!(refused.contains(words), "{node}: {refused}");
    }
}

#[test]
fn formats_are_followed_through_native_nodes() {
    let manifest = "
pipeline:
  manifest:
    outputs: [{ type: video, pixel_format: rgb24, width: 320, height: 180 }]
  nodes:
    - { id: card, type: TestCard }
    - { id: small, type: VideoScale, params: { max_width: 320 } }
    - { id: name, type: Overlay, params: { text: hello } }
  graph:
    - { from: card, to: small }
    - { from: small, to: name }
    - { from: name, to: output }
";
    let refused = refusal(manifest);
    assert!(refused.starts_with("12:7: the pipeline makes video (320x180, rgb24)"), "{refused}");
    assert!(
        refused.ends_with(
            "but video (320x180, i420) reaches \"output\" from \"name\"; \
             put a VideoFormat with format: rgb24 between \"name\" and \"output\""
        ),
        "{refused}"
    );
}
