//! Running recorders and players through real sessions.

use std::{path::Path, sync::Arc, time::Duration};

use remotemedia_codecs::test_media::{Clip, Speech};
use remotemedia_nodes::registry;
use remotemedia_runtime_core::{
    data::{AudioFrame, ControlMessage, RuntimeData, VideoFrame},
    manifest::Manifest,
    runner::{PipelineRunner, Session},
    transport::TransportData,
};

/// A session of the one node `type_name` with `params`, as YAML in braces.
pub(crate) fn session(type_name: &str, params: &str) -> Session {
    start(&format!("pipeline: {{ nodes: [{{ id: it, type: {type_name}, on_error: skip, params: {params} }}] }}"))
}

/// A session of `manifest`.
pub(crate) fn start(manifest: &str) -> Session {
    let manifest = Manifest::from_yaml(manifest).expect("the manifest is well-formed");
    PipelineRunner::with_registry(registry()).create_session(&manifest).expect("the manifest is accepted")
}

/// What refuses the one node `type_name` with `params`, in words.
pub(crate) fn refusal(type_name: &str, params: &str) -> String {
    let manifest = format!("pipeline: {{ nodes: [{{ id: it, type: {type_name}, params: {params} }}] }}");
    let manifest = Manifest::from_yaml(&manifest).expect("the manifest is well-formed");
    PipelineRunner::with_registry(registry()).check(&manifest).expect_err("the manifest is refused").to_string()
}

/// Sends `inputs` through a recorder with `params`, and answers what came out and what was reported.
pub(crate) async fn record(
    params: &str,
    inputs: impl IntoIterator<Item = impl Into<RuntimeData>>,
) -> (Vec<RuntimeData>, Vec<String>) {
    let (sender, mut receiver) = session("Recorder", params).split();
    let inputs: Vec<RuntimeData> = inputs.into_iter().map(Into::into).collect();
    let send = async {
        for input in inputs {
            sender.send_input(TransportData::new(input)).await.expect("the session takes the input");
        }
        sender.finish().await.expect("the session is alive");
    };
    let receive = async {
        let (mut outputs, mut errors) = (Vec::new(), Vec::new());
        loop {
            match receiver.next_output().await {
                Ok(Some(output)) => outputs.push(output.data),
                Ok(None) => return (outputs, errors),
                Err(error) => errors.push(error.to_string()),
            }
        }
    };
    tokio::join!(send, receive).1
}

/// As [`record`], where nothing may go wrong.
pub(crate) async fn record_all(params: &str, inputs: impl IntoIterator<Item = impl Into<RuntimeData>>) {
    let (_, errors) = record(params, inputs).await;
    assert_eq!(errors, [""; 0]);
}

/// Everything that a player of `path` makes until it ends, with `more` params.
pub(crate) async fn play(path: &Path, more: &str) -> Vec<RuntimeData> {
    let mut session = session("FilePlayer", &format!("{{ path: '{}'{more} }}", path.display()));
    let mut outputs = Vec::new();
    loop {
        let output = session.next_output().await.expect("the player does not fail").expect("the session goes on").data;
        let is_end = control(&output).is_some_and(|message| &*message.message_type == "ended");
        outputs.push(output);
        if is_end {
            return outputs;
        }
    }
}

pub(crate) fn control(data: &RuntimeData) -> Option<&ControlMessage> {
    match data {
        RuntimeData::Control(message) => Some(message),
        _ => None,
    }
}

pub(crate) fn audio(outputs: &[RuntimeData]) -> Vec<Arc<AudioFrame>> {
    outputs.iter().filter_map(|output| output.as_audio().cloned()).collect()
}

pub(crate) fn video(outputs: &[RuntimeData]) -> Vec<Arc<VideoFrame>> {
    outputs.iter().filter_map(|output| output.as_video().cloned()).collect()
}

/// All samples of `outputs`.
pub(crate) fn samples(outputs: &[RuntimeData]) -> Vec<f32> {
    audio(outputs).iter().flat_map(|frame| frame.samples().to_vec()).collect()
}

/// The times of all pictures of `outputs`.
pub(crate) fn times(outputs: &[RuntimeData]) -> Vec<Duration> {
    video(outputs).iter().filter_map(|frame| frame.timestamp).collect()
}

/// `samples` in frames of 20 ms, the first of which is at `start`.
pub(crate) fn frames(samples: &[f32], rate: u32, channels: u16, start: Duration) -> Vec<AudioFrame> {
    let length = rate as usize / 50 * usize::from(channels);
    let frame = |(number, chunk): (usize, &[f32])| {
        let before = (number * length / usize::from(channels)) as u64;
        let at = start + Duration::from_nanos(before * 1_000_000_000 / u64::from(rate));
        AudioFrame::new(chunk, rate, channels).unwrap().with_timestamp(at)
    };
    samples.chunks(length).enumerate().map(frame).collect()
}

/// `seconds` of speech-like sound at `rate`, mono.
pub(crate) fn speech(rate: u32, seconds: f32) -> Vec<f32> {
    Speech::new(5, rate).samples((rate as f32 * seconds) as usize)
}

/// `count` pictures at 25 a second, the first of which is at `start`.
pub(crate) fn pictures(count: u64, start: Duration) -> Vec<VideoFrame> {
    let clip = Clip::new(3, 320, 180);
    (0..count).map(|number| clip.frame(number).with_timestamp(start + Duration::from_millis(40 * number))).collect()
}

/// Sound and pictures in the order of their times.
pub(crate) fn interleaved(audio: Vec<AudioFrame>, video: Vec<VideoFrame>) -> Vec<RuntimeData> {
    let audio = audio.into_iter().map(|frame| (frame.timestamp, RuntimeData::from(frame)));
    let video = video.into_iter().map(|frame| (frame.timestamp, RuntimeData::from(frame)));
    let mut all: Vec<_> = audio.chain(video).collect();
    all.sort_by_key(|(at, _)| *at);
    all.into_iter().map(|(_, data)| data).collect()
}

/// The names of the files in `folder`, sorted.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The samples of a WAV file as floating point, and its rate and channels.
pub(crate) fn read_wav(path: &Path) -> (Vec<f32>, u32, u16) {
    let mut reader = hound::WavReader::open(path).unwrap();
    let spec = reader.spec();
    let samples = match spec.sample_format {
        hound::SampleFormat::Float => reader.samples::<f32>().map(Result::unwrap).collect(),
        hound::SampleFormat::Int => {
            reader.samples::<i16>().map(|sample| f32::from(sample.unwrap()) / 32_768.0).collect()
        }
    };
    (samples, spec.sample_rate, spec.channels)
}
