use std::time::Duration;

use remotemedia_runtime_core::{
    data::{AudioFrame, DataKind, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, ParamSpec, Params},
};
use serde_json::{Map, Value, json};

use super::{
    level::{finite, to_db},
    streams::{Key, Streams, look_at_frames},
};

/// `AudioLevel`: measures how loud audio is, and passes it unchanged. Takes audio of any rate, channels and frame length,
/// one frame or a mix, and measures each stream by itself; other data passes unchanged.
///
/// Params: `interval_ms`, how much audio one measurement covers, from 10 to 60,000 (default 100); `pass_audio`, whether
/// the audio goes on too (default true). After the frame that completes an interval comes a JSON object for every one:
/// `rms_db` and `peak_db` over all channels in dBFS, -120 for silence; `clipped`, how many samples reach full scale;
/// `duration_ms`; and, where known, `timestamp_ms` of its first sample on the media clock, `peer` and `stream`. What is
/// left over at the end makes a shorter one.
#[derive(Clone, Debug)]
pub struct AudioLevel {
    interval: Duration,
    pass_audio: bool,
    streams: Streams<Meter>,
}

#[derive(Clone, Debug, Default)]
struct Meter {
    sample_rate: u32,
    /// Samples of one channel.
    measured: usize,
    samples: usize,
    power: f64,
    peak: f32,
    clipped: u64,
    timestamp: Option<Duration>,
}

impl AudioLevel {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("AudioLevel", |params| {
            let (interval, pass_audio) = settings(params);
            Ok(Self::new(interval, pass_audio))
        })
        .describe("Measures how loud audio is.")
        .param(
            ParamSpec::number("interval_ms", 10.0..=60_000.0)
                .default_value(100.0)
                .unit("ms")
                .doc("How much audio one measurement covers."),
        )
        .param(ParamSpec::bool("pass_audio").default_value(true).doc("Whether the audio goes on too."))
        .makes(|format, params| {
            let is_audio = matches!(format.kind, DataKind::Audio | DataKind::AudioMix);
            (!is_audio || params.bool("pass_audio").unwrap_or(true)).then_some(format)
        })
    }

    /// A meter that reports every `interval` of audio.
    pub fn new(interval: Duration, pass_audio: bool) -> Self {
        Self { interval: interval.max(Duration::from_millis(1)), pass_audio, streams: Streams::default() }
    }
}

impl Node for AudioLevel {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        let mut reports = Vec::new();
        let Self { interval, streams, .. } = self;
        look_at_frames(&input, |frame, position| {
            let meter = streams.entry_or_default(frame, position);
            meter.measure(frame, *interval, |report| reports.push(report.into_json(&Key::of(frame, position))));
            Ok::<_, std::convert::Infallible>(())
        })?;
        let is_audio = matches!(input, RuntimeData::Audio { .. } | RuntimeData::AudioMix { .. });
        if self.pass_audio || !is_audio {
            out.emit(input);
        }
        reports.into_iter().for_each(|report| out.emit(report));
        Ok(())
    }

    fn finish(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        for (key, meter) in self.streams.iter_mut() {
            if meter.measured > 0 {
                out.emit(std::mem::take(meter).into_json(key));
            }
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        (self.interval, self.pass_audio) = settings(params);
        true
    }
}

fn settings(params: &Params) -> (Duration, bool) {
    let interval = Duration::from_secs_f64(params.number("interval_ms").unwrap_or(100.0) / 1e3);
    (interval, params.bool("pass_audio").unwrap_or(true))
}

impl Meter {
    /// Calls `report` with every interval that `frame` completes.
    fn measure(&mut self, frame: &AudioFrame, interval: Duration, mut report: impl FnMut(Self)) {
        if self.sample_rate != frame.sample_rate() {
            *self = Self { sample_rate: frame.sample_rate(), ..Self::default() };
        }
        let wanted = ((interval.as_secs_f64() * f64::from(self.sample_rate)) as usize).max(1);
        let channels = usize::from(frame.channels());
        let (mut rest, mut taken) = (frame.samples(), 0);
        while !rest.is_empty() {
            if self.measured == 0 {
                let offset = Duration::from_secs_f64(taken as f64 / f64::from(self.sample_rate));
                self.timestamp = frame.timestamp.map(|timestamp| timestamp + offset);
            }
            let count = wanted.saturating_sub(self.measured).clamp(1, rest.len() / channels);
            let (part, after) = rest.split_at(count * channels);
            self.add(part, count);
            (rest, taken) = (after, taken + count);
            if self.measured >= wanted {
                report(std::mem::replace(self, Self { sample_rate: self.sample_rate, ..Self::default() }));
            }
        }
    }

    fn add(&mut self, samples: &[f32], count: usize) {
        for sample in samples {
            self.clipped += u64::from(sample.abs() >= FULL_SCALE);
            // Sums over what is no number would say nothing.
            let sample = finite(*sample);
            self.peak = self.peak.max(sample.abs());
            self.power += f64::from(sample * sample);
        }
        self.measured += count;
        self.samples += samples.len();
    }

    fn into_json(self, key: &Key) -> Value {
        let rms = (self.power / self.samples.max(1) as f64).sqrt() as f32;
        let milliseconds = |duration: Duration| json!(duration.as_micros() as f64 / 1e3);
        let duration = self.measured as f64 * 1e3 / f64::from(self.sample_rate.max(1));
        let mut fields = Map::new();
        fields.insert("rms_db".into(), rounded(to_db(rms)));
        fields.insert("peak_db".into(), rounded(to_db(self.peak)));
        fields.insert("clipped".into(), json!(self.clipped));
        fields.insert("duration_ms".into(), json!(duration));
        if let Some(timestamp) = self.timestamp {
            fields.insert("timestamp_ms".into(), milliseconds(timestamp));
        }
        if let Some(peer) = &key.peer {
            fields.insert("peer".into(), json!(peer.as_str()));
        }
        if let Some(stream) = &key.stream {
            fields.insert("stream".into(), json!(stream.as_str()));
        }
        Value::Object(fields)
    }
}

/// The largest value of 16-bit samples: what was clipped before it was sent reaches it.
const FULL_SCALE: f32 = 32_767.0 / 32_768.0;

/// To a hundredth of a decibel.
fn rounded(db: f32) -> Value {
    json!((f64::from(db) * 100.0).round() / 100.0)
}
