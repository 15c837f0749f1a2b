//! Sound to test with, and measures of it.

use std::time::Duration;

use remotemedia_codecs::test_media::Speech;
use remotemedia_runtime_core::{
    data::{AudioFrame, ControlMessage, RuntimeData},
    transport::TransportData,
};

use crate::common::{audio, run};

/// `seconds` of sound like speech.
pub(crate) fn speech(seed: u64, rate: u32, seconds: f32) -> Vec<f32> {
    Speech::new(seed, rate).samples((rate as f32 * seconds) as usize)
}

/// White noise of an amplitude.
pub(crate) fn noise(seed: u32, amplitude: f32, count: usize) -> Vec<f32> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        (state as f32 / u32::MAX as f32 * 2.0 - 1.0) * amplitude
    };
    (0..count).map(|_| next()).collect()
}

/// A sine.
pub(crate) fn sine(hertz: f32, amplitude: f32, rate: u32, count: usize) -> Vec<f32> {
    (0..count).map(|n| amplitude * (std::f32::consts::TAU * hertz * n as f32 / rate as f32).sin()).collect()
}

/// The sum of two sounds of one length.
pub(crate) fn sum(a: &[f32], b: &[f32]) -> Vec<f32> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// `sound` times `factor`.
pub(crate) fn scaled(sound: &[f32], factor: f32) -> Vec<f32> {
    sound.iter().map(|sample| sample * factor).collect()
}

/// `samples` in frames of `length` samples of one channel, with timestamps from one second on. Every channel has the same.
pub(crate) fn frames(samples: &[f32], rate: u32, channels: u16, length: usize) -> Vec<AudioFrame> {
    let frame = |(number, part): (usize, &[f32])| {
        let all: Vec<f32> = part.iter().flat_map(|sample| std::iter::repeat_n(*sample, channels.into())).collect();
        let at = 1.0 + (number * length) as f64 / f64::from(rate);
        AudioFrame::new(all, rate, channels).unwrap().with_timestamp(Duration::from_secs_f64(at))
    };
    samples.chunks(length).enumerate().map(frame).collect()
}

/// A manifest with the one node `node`, which is what stands after `id: node, `.
pub(crate) fn manifest(node: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: node, {node} }}] }}")
}

/// What the node makes of `samples` of one channel in frames of 20 ms.
pub(crate) async fn changed(node: &str, samples: &[f32], rate: u32) -> Vec<f32> {
    let inputs = frames(samples, rate, 1, rate as usize / 50).into_iter().map(TransportData::new);
    joined(&run(&manifest(node), inputs).await)
}

/// The samples of all frames among `outputs`.
pub(crate) fn joined(outputs: &[TransportData]) -> Vec<f32> {
    audio(outputs).iter().flat_map(|frame| frame.samples().to_vec()).collect()
}

/// The control messages among `outputs`.
pub(crate) fn messages(outputs: &[TransportData]) -> Vec<ControlMessage> {
    let message = |output: &TransportData| match &output.data {
        RuntimeData::Control(message) => Some(message.clone()),
        _ => None,
    };
    outputs.iter().filter_map(message).collect()
}

/// The level (RMS) in dBFS.
pub(crate) fn rms_db(samples: &[f32]) -> f32 {
    10.0 * (samples.iter().map(|sample| sample * sample).sum::<f32>() / samples.len() as f32 + 1e-20).log10()
}

/// By how many samples `late` is best said to come after `early`, up to `most`, and the correlation there.
pub(crate) fn delay(early: &[f32], late: &[f32], most: usize) -> (usize, f32) {
    // Two seconds at 48 kHz say enough.
    let length = (early.len().min(late.len()) - most).min(96_000);
    let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum::<f64>();
    let at = |shift: usize| {
        let (a, b) = (&early[..length], &late[shift..shift + length]);
        (dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12)) as f32
    };
    (0..=most).map(|shift| (shift, at(shift))).max_by(|a, b| a.1.total_cmp(&b.1)).unwrap()
}

/// How much the loudness of `late` follows that of `early`: the correlation of the levels of their 10 ms, whatever the
/// filters between them do to phases. `late` may come up to 50 ms later.
pub(crate) fn likeness(early: &[f32], late: &[f32], rate: u32) -> f32 {
    let contour = |sound: &[f32]| -> Vec<f32> {
        let levels: Vec<f32> = sound.chunks(rate as usize / 100).map(|part| rms_db(part).max(-60.0)).collect();
        let mean = levels.iter().sum::<f32>() / levels.len() as f32;
        levels.into_iter().map(|level| level - mean).collect()
    };
    delay(&contour(early), &contour(late), 5).1
}
