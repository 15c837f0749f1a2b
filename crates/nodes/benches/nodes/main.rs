//! `cargo xtask bench nodes`: what one call of a native node takes, on one thread.
//!
//! Prints a table, and with `--json` one JSON object on the last line:
//!
//! - `picture_ms`: one picture of 1280 x 720, I420 unless the name says otherwise;
//! - `blur_core_share`: what blurring 30 of them a second takes of a core;
//! - `audio_us`: 20 ms of audio at 48 kHz, one channel unless the name says otherwise.

#[path = "../../../webrtc/benches/call/figure.rs"]
mod figure;

use std::time::{Duration, Instant};

use figure::{Figure, Report};
use remotemedia_codecs::test_media::{Clip, ClipContent, Speech};
use remotemedia_media::{AudioFrame, PixelFormat, VideoFrame};
use remotemedia_nodes::registry;
use remotemedia_runtime_core::{data::RuntimeData, node::process_once};
use serde_json::{Value, json};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often the same second of media is played.
const ROUNDS: usize = 8;

fn main() -> Result<(), Error> {
    let is_json = std::env::args().any(|argument| argument == "--json");
    let mut report = Report::default();
    // A camera that stands still, and somebody who moves.
    let clip = Clip::with_content(7, 1_280, 720, ClipContent { pan: 0.0, ..ClipContent::default() });
    let pictures: Vec<VideoFrame> = (0..25u16).map(|number| clip.frame(number.into())).collect();
    let rgb = converted(&pictures, PixelFormat::Rgba)?;
    for (case, node_type, params, pictures) in [
        ("blur", "BackgroundBlur", json!({}), &pictures),
        ("blur strongly", "BackgroundBlur", json!({ "blur_strength": 60 }), &pictures),
        ("blur a little", "BackgroundBlur", json!({ "blur_strength": 2 }), &pictures),
        ("blur rgba", "BackgroundBlur", json!({}), &rgb),
        ("colour behind", "BackgroundBlur", json!({ "mode": "color" }), &pictures),
        ("scale to 640x360", "VideoScale", json!({ "width": 640 }), &pictures),
        ("to rgba", "VideoFormat", json!({ "format": "rgba" }), &pictures),
        ("overlay", "Overlay", json!({ "text": "{time}" }), &pictures),
    ] {
        let inputs = pictures.iter().cloned().map(RuntimeData::from).collect::<Vec<_>>();
        let times = measure(node_type, &params, &inputs, Duration::from_millis(40))?;
        if case == "blur" {
            let mean = times.iter().sum::<f64>() / times.len() as f64;
            report.add("blur_core_share", Figure::new("cores", vec![mean * 30.0]));
        }
        let longest = times.iter().copied().fold(0.0, f64::max) * 1e3;
        let figure = Figure::new("ms", times.iter().map(|time| time * 1e3).collect()).with("longest", longest);
        report.add_case("picture_ms", case, figure);
    }
    let mut voice = Speech::new(7, 48_000);
    let mono = audio(&mut || voice.samples(960), 1)?;
    let mut voice = Speech::new(8, 48_000);
    let stereo = audio(&mut || voice.samples(1_920), 2)?;
    for (case, node_type, params, frames) in [
        ("resample to 16 kHz", "Resample", json!({ "sample_rate": 16_000 }), &mono),
        ("stereo to mono", "ChannelConvert", json!({ "channels": 1 }), &stereo),
        ("detect speech", "Vad", json!({}), &mono),
        ("suppress noise", "NoiseSuppress", json!({}), &mono),
        ("suppress noise, light", "NoiseSuppress", json!({ "model": "light" }), &mono),
        ("gain control", "AutoGain", json!({}), &mono),
        ("gate", "NoiseGate", json!({}), &mono),
    ] {
        let times = measure(node_type, &params, frames, Duration::from_millis(20))?;
        report.add_case("audio_us", case, Figure::new("us", times.iter().map(|time| time * 1e6).collect()));
    }
    report.print_table();
    if is_json {
        println!("{}", report.to_json());
    }
    Ok(())
}

/// Seconds per call, without those of the first round.
fn measure(node_type: &str, params: &Value, inputs: &[RuntimeData], every: Duration) -> Result<Vec<f64>, Error> {
    let registry = registry();
    let node_type = registry.get(node_type).ok_or("no such node")?;
    let mut instance = node_type.build(&node_type.params_from(params.as_object().cloned().unwrap_or_default())?)?;
    let node = instance.as_node().ok_or("it waits")?;
    let mut times = Vec::new();
    for round in 0..=ROUNDS {
        for (number, input) in inputs.iter().enumerate() {
            let input = at(input.clone(), every * (round * inputs.len() + number) as u32);
            let started = Instant::now();
            let outputs = process_once(node, input)?;
            let taken = started.elapsed();
            drop(outputs);
            if round > 0 {
                times.push(taken.as_secs_f64());
            }
        }
    }
    Ok(times)
}

/// The same data at another time.
fn at(data: RuntimeData, timestamp: Duration) -> RuntimeData {
    match data {
        RuntimeData::Video { frame } => VideoFrame::clone(&frame).with_timestamp(timestamp).into(),
        RuntimeData::Audio { frame } => AudioFrame::clone(&frame).with_timestamp(timestamp).into(),
        other => other,
    }
}

fn converted(pictures: &[VideoFrame], format: PixelFormat) -> Result<Vec<VideoFrame>, Error> {
    let registry = registry();
    let node_type = registry.get("VideoFormat").ok_or("no such node")?;
    let params = json!({ "format": format.name() });
    let mut instance = node_type.build(&node_type.params_from(params.as_object().cloned().unwrap_or_default())?)?;
    let node = instance.as_node().ok_or("it waits")?;
    pictures
        .iter()
        .map(|picture| {
            let outputs = process_once(node, picture.clone())?;
            Ok(VideoFrame::clone(outputs.first().and_then(RuntimeData::as_video).ok_or("no picture")?))
        })
        .collect()
}

/// A second in frames of 20 ms.
fn audio(samples: &mut dyn FnMut() -> Vec<f32>, channels: u16) -> Result<Vec<RuntimeData>, Error> {
    (0..50).map(|_| Ok(AudioFrame::new(samples(), 48_000, channels)?.into())).collect()
}
