//! Running a manifest over inputs, with the real runner.

mod refused;

use std::sync::Arc;

use remotemedia_nodes::registry;
use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData, VideoFrame},
    manifest::Manifest,
    runner::PipelineRunner,
    transport::TransportData,
};

pub(crate) use refused::refusal;

/// Everything that `manifest` makes of `inputs`, which are all there is.
pub(crate) async fn run<I: Into<TransportData>>(
    manifest: &str,
    inputs: impl IntoIterator<Item = I>,
) -> Vec<TransportData> {
    let manifest = Manifest::from_yaml(manifest).expect("the manifest is well-formed");
    let session =
        PipelineRunner::with_registry(registry()).create_session(&manifest).expect("the manifest is accepted");
    let (sender, mut receiver) = session.split();
    let inputs: Vec<TransportData> = inputs.into_iter().map(Into::into).collect();
    let send = async {
        for input in inputs {
            sender.send_input(input).await.expect("the session takes the input");
        }
        sender.finish().await.expect("the session is alive");
    };
    let receive = async {
        let mut outputs = Vec::new();
        while let Some(output) = receiver.next_output().await.expect("no node fails") {
            outputs.push(output);
        }
        outputs
    };
    tokio::join!(send, receive).1
}

/// The audio frames among `outputs`.
pub(crate) fn audio(outputs: &[TransportData]) -> Vec<Arc<AudioFrame>> {
    outputs.iter().filter_map(|output| output.data.as_audio().cloned()).collect()
}

/// The pictures among `outputs`.
pub(crate) fn video(outputs: &[TransportData]) -> Vec<Arc<VideoFrame>> {
    outputs.iter().filter_map(|output| output.data.as_video().cloned()).collect()
}

/// `count` frames of 20 ms of a sine of `hertz` and `amplitude`, mono, at `rate`.
pub(crate) fn tone(hertz: f32, amplitude: f32, rate: u32, count: usize) -> Vec<RuntimeData> {
    let length = rate as usize / 50;
    let sample = |index: usize| amplitude * (std::f32::consts::TAU * hertz * index as f32 / rate as f32).sin();
    let frame = |number: usize| {
        let samples: Vec<f32> = (number * length..(number + 1) * length).map(sample).collect();
        AudioFrame::new(samples, rate, 1).expect("a legal frame").into()
    };
    (0..count).map(frame).collect()
}
