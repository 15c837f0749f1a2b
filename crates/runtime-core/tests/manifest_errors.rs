//! Every refusal names the place, the thing and what is allowed.

use std::fmt::Write;

use remotemedia_runtime_core::{
    data::{DataKind, KindSet},
    manifest::Manifest,
    node::{NodeRegistry, NodeType, ParamSpec},
    runner::PipelineRunner,
};

fn runner() -> PipelineRunner {
    let mut registry = NodeRegistry::with_builtin();
    let echo = || {
        |input, out: &mut remotemedia_runtime_core::node::Emitter<'_>| {
            out.emit(input);
            Ok(())
        }
    };
    let kinds = KindSet::of;
    registry.register(NodeType::from_fn("Ears", echo()).accepts(kinds(&[DataKind::Audio])));
    registry.register(NodeType::from_fn("Eyes", echo()).accepts(kinds(&[DataKind::Video])));
    registry.register(
        NodeType::from_fn("Strict", echo())
            .param(ParamSpec::text("model").required())
            .param(ParamSpec::integer("size", 1..=10).unit("pixels")),
    );
    registry.switched_off("BackgroundBlur", "blur");
    PipelineRunner::with_registry(registry)
}

fn refusal(yaml: &str) -> String {
    match Manifest::from_yaml(yaml).and_then(|manifest| runner().check(&manifest)) {
        Ok(()) => panic!("accepted:\n{yaml}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn refusals_read_well() {
    let cases = [
        ("nothing", ""),
        ("a text", "hello"),
        ("not YAML", "pipeline: [\n"),
        ("tabs", "pipeline:\n\tnodes: []\n"),
        ("two documents", "nodes: []\n---\nnodes: []\n"),
        ("an unknown alias", "nodes: *there\n"),
        ("no nodes", "pipeline:\n  nodes: []\n"),
        ("no nodes at all", "version: v1\n"),
        ("a mistyped section", "pipline:\n  nodes: []\n"),
        ("a mistyped field", "pipeline:\n  nodes:\n    - id: a\n      type: Echo\n      prams: {}\n"),
        ("a mistyped type field", "nodes:\n  - { id: a, tpye: Echo }\n"),
        ("a node that is a text", "nodes:\n  - Echo\n"),
        ("nodes that are a mapping", "nodes:\n  echo: {}\n"),
        ("no id", "nodes:\n  - type: Echo\n"),
        ("no type", "nodes:\n  - id: a\n"),
        ("an id that is a number", "nodes:\n  - { id: 7, type: Echo }\n"),
        ("an id that YAML takes for no", "nodes:\n  - { id: n, type: Echo }\n"),
        (
            "an edge that YAML takes for yes",
            "nodes:\n  - { id: a, type: Echo }\nconnections:\n  - { from: a, to: on }\n",
        ),
        ("an empty id", "nodes:\n  - { id: '', type: Echo }\n"),
        ("a field twice", "nodes:\n  - id: a\n    type: Echo\n    type: Gain\n"),
        ("two spellings", "nodes:\n  - { id: a, type: Echo, node_type: Echo }\n"),
        ("a python node", "nodes:\n  - { id: a, type: Echo, executor: python }\n"),
        ("a mistyped policy", "nodes:\n  - { id: a, type: Echo, on_error: skp }\n"),
        ("no time at all", "nodes:\n  - { id: a, type: Echo, timeout_ms: 0 }\n"),
        ("half a queue", "nodes:\n  - { id: a, type: Echo, queue: 0.5 }\n"),
        ("params that are a list", "nodes:\n  - { id: a, type: Gain, params: [1] }\n"),
        ("a wrong version", "version: 3\nnodes: [{ id: a, type: Echo }]\n"),
        (
            "a wrong kind of input",
            "pipeline:\n  manifest:\n    inputs:\n      - type: sound\n  nodes: [{ id: a, type: Echo }]\n",
        ),
        (
            "a rate of pictures",
            "pipeline:\n  manifest:\n    inputs:\n      - { type: video, sample_rate: 1 }\n  nodes: [{ id: a, type: Echo }]\n",
        ),
        ("the same id twice", "nodes:\n  - { id: a, type: Echo }\n  - { id: a, type: Gain }\n"),
        ("an edge to nowhere", "nodes:\n  - { id: blur, type: Echo }\nconnections:\n  - { from: input, to: blurr }\n"),
        ("an edge without an end", "nodes:\n  - { id: a, type: Echo }\nconnections:\n  - { from: a }\n"),
        ("an edge backward", "nodes:\n  - { id: a, type: Echo }\nconnections:\n  - { from: output, to: a }\n"),
        (
            "an edge twice",
            "nodes:\n  - { id: a, type: Echo }\nconnections:\n  - { from: input, to: a }\n  - { from: input, to: a }\n",
        ),
        (
            "an edge for nothing",
            "nodes:\n  - { id: a, type: Echo }\nconnections:\n  - { from: input, to: a, only: sound }\n",
        ),
        (
            "a circle",
            "nodes:\n  - { id: a, type: Echo }\n  - { id: b, type: Echo }\n  - { id: c, type: Echo }\nconnections:\n  - { from: input, to: a }\n  - { from: a, to: b }\n  - { from: b, to: c }\n  - { from: c, to: b }\n  - { from: c, to: output }\n",
        ),
        ("a node that feeds itself", "nodes:\n  - { id: a, type: Echo }\nconnections:\n  - { from: a, to: a }\n"),
        (
            "a node that nothing reaches",
            "nodes:\n  - { id: a, type: Echo }\n  - { id: b, type: Echo }\nconnections:\n  - { from: input, to: a }\n  - { from: a, to: output }\n  - { from: b, to: output }\n",
        ),
        (
            "a dead end",
            "nodes:\n  - { id: a, type: Echo }\n  - { id: b, type: Echo }\nconnections:\n  - { from: input, to: a }\n  - { from: a, to: output }\n  - { from: a, to: b }\n",
        ),
        (
            "an input that leads nowhere",
            "nodes:\n  - { id: mic, type: Input }\n  - { id: line, type: Input }\n  - { id: a, type: Echo }\nconnections:\n  - { from: mic, to: a }\n",
        ),
        (
            "params for an input",
            "nodes:\n  - { id: mic, type: Input, params: { rate: 1 } }\n  - { id: a, type: Echo }\n",
        ),
        ("a mistyped type", "nodes:\n  - { id: a, type: VideoFilp }\n"),
        ("a type from elsewhere", "nodes:\n  - { id: a, type: WhisperX }\n"),
        ("a type whose feature is off", "nodes:\n  - { id: a, type: BackgroundBlur }\n"),
        ("an unknown param", "nodes:\n  - id: a\n    type: VideoFlip\n    params:\n      direcion: both\n"),
        ("a param out of range", "nodes:\n  - id: a\n    type: Gain\n    params:\n      db: 600\n"),
        ("a param of another type", "nodes:\n  - id: a\n    type: Gain\n    params:\n      db: loud\n"),
        ("a mistyped choice", "nodes:\n  - id: a\n    type: VideoFlip\n    params:\n      direction: vertica\n"),
        (
            "params that exclude each other",
            "nodes:\n  - id: a\n    type: Gain\n    params:\n      db: 1\n      linear: 2\n",
        ),
        ("a missing param", "nodes:\n  - { id: a, type: Strict }\n"),
        ("a fraction for a whole number", "nodes:\n  - { id: a, type: Strict, params: { model: m, size: 1.5 } }\n"),
        ("params for a type that has none", "nodes:\n  - { id: a, type: Echo, params: { volume: 1 } }\n"),
        (
            "audio for the eyes",
            "nodes:\n  - { id: ears, type: Ears }\n  - { id: eyes, type: Eyes }\nconnections:\n  - { from: input, to: ears, only: audio }\n  - { from: input, to: eyes, only: audio }\n",
        ),
        (
            "declared video for the ears",
            "pipeline:\n  manifest:\n    inputs: [{ type: audio }, { type: video }]\n  nodes:\n    - { id: ears, type: Ears }\n  graph:\n    - { from: input, to: ears }\n",
        ),
    ];
    let mut report = String::new();
    for (name, yaml) in cases {
        writeln!(report, "{name}\n    {}", refusal(yaml)).unwrap();
    }
    insta::assert_snapshot!(report);
}

#[test]
fn json_is_checked_as_json() {
    for (text, place) in [("{\"nodes\": [}", (1, 12)), ("{\n  \"nodes\": [],\n}", (3, 1)), ("nodes: []", (1, 2))] {
        let error = Manifest::from_json(text).unwrap_err();
        let at = error.place.unwrap();
        assert_eq!((at.line, at.column), place, "{error}");
        assert!(error.to_string().contains("not valid JSON"), "{error}");
    }
    let error = Manifest::from_json("{\n  \"nodes\": [\n    { \"id\": \"a\", \"typ\": \"Echo\" }\n  ]\n}").unwrap_err();
    insta::assert_snapshot!(error, @r#"3:18: node "a": unknown field "typ" (did you mean "type"?); allowed here: id, type, node_type, executor, params, on_error, timeout_ms, queue, is_streaming, is_output_node"#);
}

#[test]
fn an_error_in_a_file_begins_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bad.yaml");
    std::fs::write(&path, "nodes:\n  - { id: a, type: Ekho }\n").unwrap();
    let manifest = Manifest::from_file(&path).unwrap();
    let error = runner().check(&manifest).unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("{}:2:20: node \"a\": no node type is called \"Ekho\"", path.display())),
        "{error}"
    );
    let missing = Manifest::from_file(dir.path().join("none.yaml")).unwrap_err().to_string();
    assert!(missing.contains("none.yaml: the manifest cannot be read"), "{missing}");
    std::fs::write(&path, vec![b' '; (1 << 20) + 1]).unwrap();
    let long = Manifest::from_file(&path).unwrap_err().to_string();
    assert!(long.contains("at most 1048576 bytes are read"), "{long}");
    std::fs::write(&path, [b'n', 0xff, 0xfe]).unwrap();
    assert!(Manifest::from_file(&path).is_err());
}

#[test]
fn manifests_made_in_code_are_checked_alike() {
    use serde_json::json;
    let error = Manifest::builder().node("a", "Echo", json!([1])).build().unwrap_err();
    insta::assert_snapshot!(error, @r#"node "a": params: [1] is not allowed; use an object"#);
    let error = Manifest::builder().node("a", "Echo", json!(null)).edge("input", "b").build().unwrap_err();
    insta::assert_snapshot!(error, @r#"edge "input" -> "b": no node is called "b" (did you mean "a"?); known: a, input, output"#);
    let manifest = Manifest::builder().node("a", "Gain", json!({ "db": 100 })).build().unwrap();
    insta::assert_snapshot!(runner().check(&manifest).unwrap_err(), @r#"node "a" (Gain): param "db": 100 is not allowed; use a number from -120 to 60 dB"#);
}

#[test]
fn a_mistake_in_json_is_placed_by_characters_from_1() {
    for (json, line, column) in
        [("{\"nodes\": \"éé\" x}", 1, 16), ("{\"nodes\": [],\n", 2, 1), ("{\n \"é\": 1 2}", 2, 9)]
    {
        let place = Manifest::from_json(json).unwrap_err().place.unwrap();
        assert_eq!((place.line, place.column), (line, column), "{json:?}");
    }
}
