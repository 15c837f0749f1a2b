//! Turning the knobs of nodes that run.

use remotemedia_runtime_core::{
    RuntimeError,
    manifest::Suggestion,
    node::{NodeRegistry, NodeType, ParamKind, ParamSpec},
    runner::SessionControl,
};
use serde::Serialize;
use serde_json::{Map, Value};

/// A param that a page may change while the node runs: a number, a switch or a choice. Texts may name files of this machine,
/// and stay as the manifest has them.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Knob {
    name: &'static str,
    #[serde(flatten)]
    kind: KnobKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit: Option<&'static str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'static str,
    default: Option<Value>,
}

#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
enum KnobKind {
    Number { least: f64, most: f64 },
    Integer { least: i64, most: i64 },
    Bool,
    Choice { choices: Vec<&'static str> },
}

/// Why a knob was not turned.
#[derive(Debug, thiserror::Error)]
pub(super) enum TuningError {
    #[error("no pipeline runs for {peer:?}: call first")]
    NoSession { peer: String },
    #[error("the pipeline of {peer:?} does not run: try again in a second, or choose another")]
    Failed { peer: String },
    #[error("the pipeline has no node {node:?}; it has {}", known.join(", "))]
    UnknownNode { node: String, known: Vec<String> },
    #[error("node {node:?} has no param {param:?}{suggestion}; here one can change {}", or_nothing(known))]
    UnknownParam { node: String, param: String, suggestion: Suggestion, known: Vec<&'static str> },
    #[error("the param {param:?} of node {node:?} is fixed by the manifest; here one can change {}", or_nothing(known))]
    Fixed { node: String, param: String, known: Vec<&'static str> },
    #[error("{value} {SIZE} are too many for {param:?} of node {node:?}: here one can ask for up to {MOST_PIXELS}")]
    TooLarge { node: String, param: &'static str, value: i64 },
    #[error(transparent)]
    Refused(#[from] RuntimeError),
}

fn or_nothing(names: &[&str]) -> String {
    if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }
}

impl Knob {
    fn of(spec: &ParamSpec) -> Option<Self> {
        let kind = match spec.kind() {
            ParamKind::Number(range) => KnobKind::Number { least: *range.start(), most: *range.end() },
            ParamKind::Integer(range) => {
                let most = if spec.unit_name() == Some(SIZE) { MOST_PIXELS } else { i64::MAX };
                KnobKind::Integer { least: *range.start(), most: most.min(*range.end()) }
            }
            ParamKind::Bool => KnobKind::Bool,
            ParamKind::Choice(choices) => KnobKind::Choice { choices: choices.clone() },
            _ => return None,
        };
        Some(Self {
            name: spec.name(),
            kind,
            unit: spec.unit_name(),
            description: spec.description(),
            default: spec.value_by_default().cloned(),
        })
    }
}

/// The unit of widths, heights and places in pictures.
const SIZE: &str = "pixels";

/// The longest side that a page can ask for. A node takes sides up to 16,384, at which a single picture has 400 MB; the manifest
/// may ask for that, but not whoever opens the page.
const MOST_PIXELS: i64 = 1_920;

/// Types whose nodes stay as they are: one that is built anew begins its files anew.
const FIXED: [&str; 1] = ["Recorder"];

/// What of a node of that type can be changed.
pub(super) fn knobs(node_type: &NodeType) -> Vec<Knob> {
    let specs = node_type.params().iter().filter(|_| !FIXED.contains(&node_type.name()));
    specs.filter_map(Knob::of).collect()
}

/// Of a node's params the values of those that can be changed; one that is not given is null.
pub(super) fn values(node_type: &NodeType, params: &Value) -> Value {
    let known = knobs(node_type).into_iter();
    known.map(|knob| (knob.name.to_owned(), params[knob.name].clone())).collect::<Map<_, _>>().into()
}

/// Changes some params of a node and leaves the others as they are; null takes one back to its default. Of two that exclude
/// each other, the one that is changed stays.
pub(super) async fn turn(
    session: &SessionControl,
    node: &str,
    registry: &NodeRegistry,
    changes: &Map<String, Value>,
) -> Result<(), TuningError> {
    let running = session.metrics();
    let node_type = running.iter().find(|known| &*known.id == node).and_then(|known| registry.get(&known.node_type));
    let Some(node_type) = node_type else {
        let known = running.iter().map(|node| node.id.to_string()).collect();
        return Err(TuningError::UnknownNode { node: node.to_owned(), known });
    };
    let knobs = knobs(node_type);
    if let Some(name) = changes.keys().find(|name| knobs.iter().all(|knob| knob.name != **name)) {
        let (node, param) = (node.to_owned(), name.chars().take(60).collect());
        let known = knobs.iter().map(|knob| knob.name).collect();
        let names = || node_type.params().iter().map(ParamSpec::name);
        if names().any(|known| known == name) {
            return Err(TuningError::Fixed { node, param, known });
        }
        let suggestion = Suggestion::for_name(name, names());
        return Err(TuningError::UnknownParam { node, param, suggestion, known });
    }
    for knob in knobs.iter().filter(|knob| knob.unit == Some(SIZE)) {
        if let Some(value) = changes.get(knob.name).and_then(Value::as_f64).filter(|value| *value > MOST_PIXELS as f64)
        {
            return Err(TuningError::TooLarge { node: node.to_owned(), param: knob.name, value: value as i64 });
        }
    }
    session.change_params(node, changes.clone()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner};
    use serde_json::json;

    use super::*;

    fn of(node_type: &str) -> Vec<Knob> {
        knobs(remotemedia_webrtc::nodes::registry().get(node_type).unwrap())
    }

    #[test]
    fn numbers_switches_and_choices_can_be_changed_and_texts_cannot() {
        let gain = serde_json::to_value(of("Gain")).unwrap();
        assert_eq!(gain[0]["name"], "db");
        assert_eq!(
            (&gain[0]["kind"], &gain[0]["least"], &gain[0]["most"]),
            (&json!("number"), &json!(-120.0), &json!(60.0))
        );
        assert_eq!(gain[0]["unit"], "dB");
        let flip = serde_json::to_value(of("VideoFlip")).unwrap();
        assert_eq!(flip[0]["choices"], json!(["horizontal", "vertical", "both"]));
        let player: Vec<&str> = of("FilePlayer").iter().map(|knob| knob.name).collect();
        assert!(player.contains(&"loop") && !player.contains(&"path"), "{player:?}");
        let scale = serde_json::to_value(of("VideoScale")).unwrap();
        assert!(
            scale.as_array().unwrap().iter().any(|knob| knob["name"] == "width" && knob["most"] == 1_920),
            "{scale}"
        );
        assert!(of("Recorder").is_empty(), "a recording that runs is not begun anew");
    }

    #[tokio::test]
    async fn what_is_turned_moves_and_the_rest_stays_with_what_is_wrong_said_in_words() {
        let manifest = "nodes: [{ id: gate, type: NoiseGate, params: { hold_ms: 200 } }, { id: louder, type: Gain, params: { db: 6 } }, { id: scale, type: VideoScale, params: { max_height: 360 } }, { id: label, type: Overlay, params: { text: hello } }]
connections: [{ from: gate, to: louder }, { from: louder, to: scale }, { from: scale, to: label }]";
        let registry = Arc::new(remotemedia_webrtc::nodes::registry());
        let runner = PipelineRunner::with_registry(Arc::clone(&registry));
        let session = runner.create_session(&Manifest::from_yaml(manifest).unwrap()).unwrap();
        let control = session.control();
        let change = async |node: &str, changes: Value| {
            turn(&control, node, &registry, &changes.as_object().cloned().unwrap()).await
        };
        change("gate", json!({"threshold_db": -30})).await.unwrap();
        let gate = control.params("gate").unwrap();
        assert_eq!((gate.number("threshold_db"), gate.number("hold_ms")), (Some(-30.0), Some(200.0)));
        // The two ways to say how loud exclude each other.
        change("louder", json!({"linear": 0.5})).await.unwrap();
        let louder = control.params("louder").unwrap();
        assert_eq!((louder.number("linear"), louder.number("db")), (Some(0.5), None));
        change("gate", json!({"threshold_db": null})).await.unwrap();
        assert_eq!(control.params("gate").unwrap().number("threshold_db"), Some(-45.0), "back to the default");
        for (node, changes, said) in [
            ("gate", json!({"threshold_db": 3}), "a number from -100 to 0 dBFS"),
            ("louder", json!({"loud": 3}), "node \"louder\" has no param \"loud\"; here one can change db, linear"),
            (
                "scale",
                json!({"hight": 3}),
                "no param \"hight\" (did you mean \"height\"?); here one can change width, height",
            ),
            (
                "label",
                json!({"image": "/etc/secret.png"}),
                "the param \"image\" of node \"label\" is fixed by the manifest",
            ),
            ("louder", json!({"db": 3, "linear": 3}), "exclude each other"),
            ("scale", json!({"max_width": 16_384}), "16384 pixels are too many"),
            ("lauder", json!({"db": 3}), "it has gate, louder, scale, label"),
        ] {
            let error = change(node, changes).await.unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert_eq!(control.params("louder").unwrap().number("linear"), Some(0.5), "it goes on with what it had");
    }
}
