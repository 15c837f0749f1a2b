//! `BackgroundBlur` with a model. The model is written here: green is the person.

use std::path::PathBuf;

use remotemedia_media::VideoFrame;

use crate::{
    common::refusal,
    support::{in_format, only, painted, psnr_of},
};

/// A message in the wire format of protocol buffers.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn varint(mut self, mut value: u64) -> Self {
        while value > 0x7f {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
        self
    }

    fn int(self, field: u64, value: u64) -> Self {
        self.varint(field << 3).varint(value)
    }

    fn bytes(self, field: u64, value: &[u8]) -> Self {
        let mut message = self.varint(field << 3 | 2).varint(value.len() as u64);
        message.0.extend_from_slice(value);
        message
    }

    fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u64, value: Message) -> Self {
        self.bytes(field, &value.0)
    }
}

/// `name`: float32 of the shape `shape`.
fn value_info(name: &str, shape: &[u64]) -> Message {
    let dims = shape.iter().fold(Message::default(), |dims, side| dims.message(1, Message::default().int(1, *side)));
    let tensor = Message::default().int(1, 1).message(2, dims);
    Message::default().text(1, name).message(2, Message::default().message(1, tensor))
}

fn tensor(name: &str, shape: &[u64], values: &[f32]) -> Message {
    let raw: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    let message = shape.iter().fold(Message::default(), |message, side| message.int(1, *side));
    message.int(2, 1).text(8, name).bytes(9, &raw)
}

fn node(operator: &str, inputs: &[&str], output: &str) -> Message {
    let message = inputs.iter().fold(Message::default(), |message, input| message.text(1, input));
    message.text(2, output).text(3, output).text(4, operator)
}

/// An attribute that is a list of whole numbers.
fn ints(name: &str, values: &[u64]) -> Message {
    let message = Message::default().text(1, name);
    values.iter().fold(message, |message, value| message.int(8, *value)).int(20, 7)
}

/// A 1x1 convolution that weighs green against red and blue.
fn graph(shape: &[u64], output: &[u64], weights: &[f32], nodes: Vec<Message>) -> Vec<u8> {
    let channels = weights.len() as u64 / 3;
    // Only what is clearly green is the person.
    let bias: Vec<f32> = (1..=channels).map(|channel| if channel == channels { -2.0 } else { 0.0 }).collect();
    let graph = nodes.into_iter().fold(Message::default(), |graph, node| graph.message(1, node));
    let graph = graph
        .text(2, "green")
        .message(5, tensor("weights", &[channels, 3, 1, 1], weights))
        .message(5, tensor("bias", &[channels], &bias))
        .message(11, value_info("picture", shape))
        .message(12, value_info("mask", output));
    let opset = Message::default().text(1, "").int(2, 13);
    Message::default().int(1, 7).message(7, graph).message(8, opset).0
}

const GREEN: [f32; 3] = [-10.0, 20.0, -10.0];

fn planar() -> Vec<u8> {
    let nodes = vec![node("Conv", &["picture", "weights", "bias"], "score"), node("Sigmoid", &["score"], "mask")];
    graph(&[1, 3, 72, 128], &[1, 1, 72, 128], &GREEN, nodes)
}

/// Channels last, two of them: background and person.
fn interleaved() -> Vec<u8> {
    let transpose =
        |input: &str, output: &str, order: &[u64]| node("Transpose", &[input], output).message(5, ints("perm", order));
    let nodes = vec![
        transpose("picture", "planar", &[0, 3, 1, 2]),
        node("Conv", &["planar", "weights", "bias"], "score"),
        transpose("score", "mask", &[0, 2, 3, 1]),
    ];
    let weights: Vec<f32> = [0.0; 3].into_iter().chain(GREEN).collect();
    graph(&[1, 72, 128, 3], &[1, 72, 128, 2], &weights, nodes)
}

struct File {
    _directory: tempfile::TempDir,
    path: PathBuf,
}

fn file(content: &[u8]) -> File {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("model.onnx");
    std::fs::write(&path, content).expect("a file");
    File { _directory: directory, path }
}

fn manifest(model: &File) -> String {
    let path = model.path.display();
    format!("pipeline: {{ nodes: [{{ id: b, type: BackgroundBlur, params: {{ model: '{path}' }} }}] }}")
}

/// A striped wall with a striped green square at the left, where nobody expects a person.
fn picture() -> VideoFrame {
    painted(640, 360, |x, y| {
        let stripe = if ((x * 160.0) as u32).is_multiple_of(2) { 200.0 } else { 120.0 };
        let is_green = (0.1..0.3).contains(&x) && (0.2..0.8).contains(&y);
        if is_green { [0.0, stripe, 0.0] } else { [stripe, stripe, stripe] }
    })
}

#[tokio::test]
async fn the_model_says_who_is_sharp() {
    for (name, model) in [("planar", planar()), ("interleaved", interleaved())] {
        let original = in_format(picture(), remotemedia_media::PixelFormat::I420).await;
        let blurred = only(&manifest(&file(&model)), original.clone()).await;
        let part = |frame: &VideoFrame, x: usize| -> Vec<u8> {
            frame.rows(0).skip(100).take(160).flat_map(|row| row[x..x + 100].to_vec()).collect()
        };
        let detail = |part: &[u8]| -> f64 {
            part.chunks(100)
                .flat_map(|row| row.windows(2))
                .map(|pair| f64::from(pair[0].abs_diff(pair[1])).powi(2))
                .sum()
        };
        let green = psnr_of(&part(&blurred, 75), &part(&original, 75));
        let fall = 10.0 * (detail(&part(&original, 400)) / detail(&part(&blurred, 400)).max(1.0)).log10();
        println!("{name}: green has {green:.1} dB of PSNR, the wall {fall:.1} dB less detail");
        assert!(green >= 40.0 && fall >= 10.0);
    }
}

#[test]
fn files_that_are_no_model_are_refused_with_the_reason() {
    let refused = refusal(&manifest(&file(b"words")));
    assert!(refused.contains("no ONNX model"), "{refused}");
    let nodes = vec![node("Conv", &["picture", "weights", "bias"], "mask")];
    let wrong = graph(&[1, 3, 72, 128], &[1, 3, 72, 128], &GREEN.repeat(3), nodes);
    let refused = refusal(&manifest(&file(&wrong)));
    assert!(refused.contains("1x3x72x128") && refused.contains("1x2xHxW"), "{refused}");
    let missing = "pipeline: { nodes: [{ id: b, type: BackgroundBlur, params: { model: /nowhere.onnx } }] }";
    assert!(refusal(missing).contains("cannot be read"));
}
