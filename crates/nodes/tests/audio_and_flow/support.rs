//! Signals, measurements, and sessions that are steered while they run.

use std::{sync::Arc, time::Duration};

use remotemedia_nodes::registry;
use remotemedia_runtime_core::{
    data::{AudioFrame, ControlMessage, RuntimeData},
    manifest::Manifest,
    runner::{PipelineRunner, Session},
    transport::TransportData,
};
use serde_json::{Value, json};

/// Somebody who sends a tone.
#[derive(Clone)]
pub(crate) struct Talker {
    pub(crate) peer: Option<&'static str>,
    pub(crate) stream: Option<&'static str>,
    pub(crate) hertz: f32,
    pub(crate) amplitude: f32,
    pub(crate) rate: u32,
    pub(crate) channels: u16,
    /// Samples per channel of a frame.
    pub(crate) length: usize,
    /// Samples per channel so far.
    pub(crate) position: usize,
}

impl Talker {
    pub(crate) fn new(peer: &'static str, hertz: f32) -> Self {
        let (rate, channels, length) = (48_000, 1, 960);
        Self { peer: Some(peer), stream: None, hertz, amplitude: 0.1, rate, channels, length, position: 0 }
    }

    pub(crate) fn nobody(hertz: f32) -> Self {
        Self { peer: None, ..Self::new("", hertz) }
    }

    pub(crate) fn loud(self, amplitude: f32) -> Self {
        Self { amplitude, ..self }
    }

    pub(crate) fn format(self, rate: u32, channels: u16, length: usize) -> Self {
        Self { rate, channels, length, ..self }
    }

    pub(crate) fn at(&self, position: usize) -> f32 {
        let turns = f64::from(self.hertz) * position as f64 / f64::from(self.rate);
        self.amplitude * (turns.fract() as f32 * std::f32::consts::TAU).sin()
    }

    /// The next frame.
    pub(crate) fn frame(&mut self) -> AudioFrame {
        let range = self.position..self.position + self.length;
        let samples: Vec<f32> =
            range.clone().flat_map(|n| std::iter::repeat_n(self.at(n), self.channels.into())).collect();
        let mut frame = AudioFrame::new(samples, self.rate, self.channels).unwrap();
        frame.timestamp = Some(Duration::from_secs_f64(range.start as f64 / f64::from(self.rate)));
        frame.source = self.peer.map(|peer| peer.parse().unwrap());
        frame.stream_id = self.stream.map(|stream| stream.parse().unwrap());
        self.position = range.end;
        frame
    }

    pub(crate) fn frames(&mut self, count: usize) -> Vec<AudioFrame> {
        (0..count).map(|_| self.frame()).collect()
    }
}

/// One thing that happens to a session.
pub(crate) enum Step {
    Send(TransportData),
    /// New params of a node.
    Change(&'static str, Value),
}

impl<T: Into<RuntimeData>> From<T> for Step {
    fn from(data: T) -> Self {
        Self::Send(TransportData::new(data))
    }
}

/// `data` for the pipeline's input `port`.
pub(crate) fn to(port: &str, data: impl Into<RuntimeData>) -> Step {
    Step::Send(TransportData::new(data).with_port(port))
}

pub(crate) fn session(manifest: &str) -> Session {
    let manifest = Manifest::from_yaml(manifest).unwrap();
    PipelineRunner::with_registry(registry()).create_session(&manifest).unwrap()
}

/// Does one step after the other, each when the one before has had all its effects, and answers what came out.
pub(crate) async fn drive(manifest: &str, steps: impl IntoIterator<Item = Step>) -> Vec<TransportData> {
    let mut session = session(manifest);
    let mut outputs = Vec::new();
    for step in steps {
        match step {
            Step::Send(input) => session.send_input(input).await.unwrap(),
            Step::Change(node, params) => session.control().reconfigure(node, params).await.unwrap(),
        }
        while let Some(output) = session.recv_output().await.unwrap() {
            outputs.push(output);
        }
    }
    session.finish().await.unwrap();
    while let Some(output) = session.recv_output().await.unwrap() {
        outputs.push(output);
    }
    outputs
}

/// The message that says that `peer` is gone.
pub(crate) fn left(peer: &str) -> Step {
    ControlMessage::new("peer_left").with_payload(json!({ "peer": peer })).into()
}

/// The samples of all frames, in order.
pub(crate) fn join<'a>(frames: impl IntoIterator<Item = &'a Arc<AudioFrame>>) -> Vec<f32> {
    frames.into_iter().flat_map(|frame| frame.samples().iter().copied()).collect()
}

/// What `peer` hears, of the outputs of a mixer.
pub(crate) fn heard_by(outputs: &[TransportData], peer: &str) -> Vec<f32> {
    let frames = outputs.iter().filter(|output| output.get_metadata("peer") == Some(peer));
    join(frames.filter_map(|output| output.data.as_audio()))
}

/// The level of `hertz` in dB, 0 for a sine of amplitude 1: the recurrence of Goertzel, under a window of Hann.
pub(crate) fn level(samples: &[f32], hertz: f32, rate: u32) -> f64 {
    let length = samples.len() as f64;
    let k = 2.0 * (f64::from(hertz) / f64::from(rate) * std::f64::consts::TAU).cos();
    let window = |n: usize| 1.0 - (std::f64::consts::TAU * (n as f64 + 0.5) / length).cos();
    let windowed = samples.iter().enumerate().map(|(n, sample)| f64::from(*sample) * window(n));
    let (s1, s2) = windowed.fold((0.0, 0.0), |(s1, s2), x| (x + k * s1 - s2, s1));
    let amplitude = (s1 * s1 + s2 * s2 - k * s1 * s2).max(0.0).sqrt() * 2.0 / length;
    20.0 * amplitude.max(1e-12).log10()
}

/// An amplitude in dB.
pub(crate) fn db(amplitude: f32) -> f64 {
    20.0 * f64::from(amplitude).log10()
}

/// What is left of `samples` without the tone of `hertz` that fits best, in dB below that tone.
pub(crate) fn signal_to_rest(samples: &[f32], hertz: f64, rate: u32) -> f64 {
    let angle = |n: usize| (hertz * n as f64 / f64::from(rate)).fract() * std::f64::consts::TAU;
    let (mut ss, mut cc, mut sc, mut xs, mut xc) = (0.0, 0.0, 0.0, 0.0, 0.0);
    for (n, x) in samples.iter().enumerate() {
        let (s, c) = angle(n).sin_cos();
        ss += s * s;
        cc += c * c;
        sc += s * c;
        xs += f64::from(*x) * s;
        xc += f64::from(*x) * c;
    }
    let determinant = ss * cc - sc * sc;
    let (a, b) = ((xs * cc - xc * sc) / determinant, (xc * ss - xs * sc) / determinant);
    let (mut tone, mut rest) = (0.0, 0.0);
    for (n, x) in samples.iter().enumerate() {
        let (s, c) = angle(n).sin_cos();
        let fit = a * s + b * c;
        tone += fit * fit;
        rest += (f64::from(*x) - fit).powi(2);
    }
    10.0 * (tone / rest).log10()
}

/// The largest difference between neighbours.
pub(crate) fn largest_step(samples: &[f32]) -> f32 {
    samples.windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f32::max)
}

/// The largest step that tones of these talkers can make together.
pub(crate) fn own_step(talkers: &[&Talker]) -> f32 {
    let step = |talker: &&Talker| 2.0 * talker.amplitude * (std::f32::consts::PI * talker.hertz / 48_000.0).sin();
    talkers.iter().map(step).sum()
}

pub(crate) fn peak(samples: &[f32]) -> f32 {
    samples.iter().fold(0.0, |peak, sample| peak.max(sample.abs()))
}
