use std::{f32::consts::TAU, time::Duration};

use remotemedia_media::StreamId;
use remotemedia_runtime_core::{
    data::{AudioFrame, DataKind, KindSet, RuntimeData},
    manifest::MediaFormat,
    node::{Emitter, Node, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};
use tokio::time::Instant;

use super::AudioNodeError;

/// `TestTone`: a source of audio with a clock of its own; it takes nothing. It ends with the session or after
/// `duration_s`.
///
/// Params: `wave`, one of `sine` (the default), `square` (band-limited), `noise` (white, the same in every run) and
/// `bursts` (harmonics of `hertz` in syllables, four a second, 1.5 s long with 0.5 s of silence between: for what waits
/// for speech); `hertz`, 20 to 20,000 Hz (default 440), up to half the rate; `db`, the peak's level, -120 to 0 dBFS (default
/// -20); `sample_rate`, 8,000 to 192,000 Hz (default 48,000); `channels`, 1 to 8 (default 1), all alike; `frame_ms`, 1 to
/// 100 ms (default 20); `stream_id`; `duration_s`, above 0 to 86,400 s.
///
/// Frames are stamped by samples from 0. A session that falls behind by more than 200 ms loses what is older: the
/// timestamps jump. `hertz` and `db` change while it runs without a click; anything else starts it anew.
#[derive(Debug)]
pub struct TestTone {
    config: TestToneConfig,
    /// When sample 0 was due.
    started: Option<Instant>,
    /// Samples per channel so far.
    position: u64,
    generator: Generator,
}

/// What a [`TestTone`] sounds like.
#[derive(Clone, Debug, PartialEq)]
pub struct TestToneConfig {
    /// The form of the signal.
    pub wave: Wave,
    /// The frequency in Hz.
    pub hertz: f32,
    /// The level of the peak in dBFS.
    pub db: f32,
    /// Samples per second.
    pub sample_rate: u32,
    /// Number of channels.
    pub channels: u16,
    /// How long a frame is, in milliseconds.
    pub frame_ms: u32,
    /// The stream that the frames belong to.
    pub stream_id: Option<StreamId>,
    /// How long it sounds.
    pub duration: Option<Duration>,
}

impl Default for TestToneConfig {
    fn default() -> Self {
        Self {
            wave: Wave::Sine,
            hertz: 440.0,
            db: -20.0,
            sample_rate: 48_000,
            channels: 1,
            frame_ms: 20,
            stream_id: None,
            duration: None,
        }
    }
}

/// The form of a test signal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Wave {
    /// One frequency.
    #[default]
    Sine,
    /// Odd harmonics, without aliases.
    Square,
    /// White noise.
    Noise,
    /// Syllables and pauses.
    Bursts,
}

impl TestTone {
    /// How far the tone may be behind its clock before it skips.
    pub const MAX_LAG: Duration = Duration::from_millis(200);

    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("TestTone", |params| Ok(Self::new(config(params)?)))
            .describe("Makes a tone, noise or bursts, on its own clock.")
            .param(
                ParamSpec::choice("wave", ["sine", "square", "noise", "bursts"])
                    .default_value("sine")
                    .doc("The form of the signal."),
            )
            .param(
                ParamSpec::number("hertz", 20.0..=20_000.0)
                    .unit("Hz")
                    .default_value(440.0)
                    .doc("The frequency, up to half the sample rate."),
            )
            .param(ParamSpec::number("db", -120.0..=0.0).unit("dBFS").default_value(-20.0).doc("The peak's level."))
            .param(
                ParamSpec::integer("sample_rate", 8_000..=192_000)
                    .unit("Hz")
                    .default_value(48_000)
                    .doc("Samples per second."),
            )
            .param(ParamSpec::integer("channels", 1..=8).default_value(1).doc("How many channels, all alike."))
            .param(ParamSpec::integer("frame_ms", 1..=100).unit("ms").default_value(20).doc("How long a frame is."))
            .param(ParamSpec::text("stream_id").doc("The stream that the frames belong to."))
            .param(ParamSpec::number("duration_s", 0.001..=86_400.0).unit("s").doc("How long it sounds."))
            .accepts(KindSet::NONE)
            .produces(Produces::Kinds(KindSet::of(&[DataKind::Audio])))
            .emits(|params| {
                let format = |config: TestToneConfig| MediaFormat::audio(config.sample_rate, config.channels);
                config(params).map(format).into_iter().collect()
            })
    }

    /// A source as `config` says.
    pub fn new(config: TestToneConfig) -> Self {
        let generator = Generator::new(&config);
        Self { config, started: None, position: 0, generator }
    }

    fn emit_until(&mut self, due: u64, out: &mut Emitter<'_>) -> Result<(), AudioNodeError> {
        let rate = u64::from(self.config.sample_rate);
        let frame = (rate * u64::from(self.config.frame_ms) / 1_000).max(1);
        let end = self.config.duration.map_or(u64::MAX, |duration| samples(duration, self.config.sample_rate));
        let allowed = samples(Self::MAX_LAG, self.config.sample_rate);
        if due.saturating_sub(self.position) > allowed {
            // By whole frames, so that the grid of timestamps is kept.
            self.position += (due - self.position - allowed).div_ceil(frame) * frame;
        }
        while self.position < end && self.position + frame.min(end - self.position) <= due {
            let length = frame.min(end - self.position);
            let channels = usize::from(self.config.channels);
            let mut samples = Vec::with_capacity(length as usize * channels);
            for position in self.position..self.position + length {
                let sample = self.generator.next(position, &self.config);
                samples.extend(std::iter::repeat_n(sample, channels));
            }
            let mut frame = AudioFrame::new(samples, self.config.sample_rate, self.config.channels)?;
            frame.timestamp =
                Some(Duration::from_nanos((u128::from(self.position) * 1_000_000_000 / u128::from(rate)) as u64));
            frame.stream_id = self.config.stream_id.clone();
            self.position += length;
            out.emit(frame);
        }
        Ok(())
    }
}

impl Node for TestTone {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        out.emit(input);
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.config.frame_ms.into()))
    }

    fn tick(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        let now = Instant::now();
        let period = Duration::from_millis(self.config.frame_ms.into());
        // The first tick comes when the first frame is complete.
        let started = *self.started.get_or_insert_with(|| now.checked_sub(period).unwrap_or(now));
        self.emit_until(samples(now.saturating_duration_since(started), self.config.sample_rate), out)?;
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok(new) = config(params) else { return false };
        let fixed = TestToneConfig { hertz: self.config.hertz, db: self.config.db, ..new.clone() };
        if fixed != self.config {
            return false;
        }
        self.config = new;
        true
    }
}

#[derive(Debug)]
struct Generator {
    /// In turns, 0 to 1.
    phase: f64,
    amplitude: f32,
    noise: u32,
}

impl Generator {
    fn new(config: &TestToneConfig) -> Self {
        Self { phase: 0.0, amplitude: amplitude(config.db), noise: 0x9e37_79b9 }
    }

    fn next(&mut self, position: u64, config: &TestToneConfig) -> f32 {
        // A new level is approached within about 5 ms.
        let target = amplitude(config.db);
        self.amplitude += (target - self.amplitude) * (1_000.0 / config.sample_rate as f32).min(1.0);
        let turns = f64::from(config.hertz) / f64::from(config.sample_rate);
        let (phase, step) = (self.phase as f32, turns as f32);
        let value = match config.wave {
            Wave::Sine => (TAU * phase).sin(),
            Wave::Square => square(phase, step),
            Wave::Noise => self.white(),
            Wave::Bursts => harmonics(phase, step) * envelope(position, config.sample_rate),
        };
        self.phase = (self.phase + turns).fract();
        value * self.amplitude
    }

    /// Marsaglia's xorshift with 32 bits.
    fn white(&mut self) -> f32 {
        self.noise ^= self.noise << 13;
        self.noise ^= self.noise >> 17;
        self.noise ^= self.noise << 5;
        self.noise as f32 / (u32::MAX as f32 / 2.0) - 1.0
    }
}

/// A square wave whose edges are rounded by the polynomial of PolyBLEP (Välimäki and Huovilainen, 2007), which keeps aliases low.
fn square(phase: f32, step: f32) -> f32 {
    let edge = |phase: f32| {
        if phase < step {
            let x = phase / step;
            x + x - x * x - 1.0
        } else if phase > 1.0 - step {
            let x = (phase - 1.0) / step;
            x * x + x + x + 1.0
        } else {
            0.0
        }
    };
    let plain = if phase < 0.5 { 1.0 } else { -1.0 };
    (plain + edge(phase) - edge((phase + 0.5).fract())).clamp(-1.0, 1.0)
}

/// Up to ten harmonics, each the softer the higher, as a voice has them; between -1 and 1.
fn harmonics(phase: f32, step: f32) -> f32 {
    let audible = (1..=10u8).map(f32::from).filter(|number| number * step < 0.5);
    let (sum, peak) = audible
        .fold((0.0, 0.0), |(sum, peak), number| (sum + (TAU * number * phase).sin() / number, peak + 1.0 / number));
    if peak > 0.0 { sum / peak } else { 0.0 }
}

/// Four syllables a second for 1.5 s of every 2 s.
fn envelope(position: u64, rate: u32) -> f32 {
    let within = (position % (2 * u64::from(rate))) as f32 / rate as f32;
    if within < 1.5 { (TAU * 2.0 * within).sin().powi(2) } else { 0.0 }
}

fn amplitude(db: f32) -> f32 {
    10f32.powf(db / 20.0)
}

fn samples(time: Duration, rate: u32) -> u64 {
    u64::try_from(time.as_nanos() * u128::from(rate) / 1_000_000_000).unwrap_or(u64::MAX)
}

fn config(params: &Params) -> Result<TestToneConfig, ParamProblem> {
    let default = TestToneConfig::default();
    let number = |name: &str| params.number(name).map(|value| value as f32);
    let integer = |name: &str| params.integer(name).and_then(|value| u32::try_from(value).ok());
    let wave = match params.text("wave") {
        Some("square") => Wave::Square,
        Some("noise") => Wave::Noise,
        Some("bursts") => Wave::Bursts,
        _ => Wave::Sine,
    };
    let unusable = |param, value: String, reason: String| ParamProblem::Unusable { param, value, reason };
    let stream_id = params.text("stream_id").map(StreamId::new).transpose();
    let stream_id = stream_id.map_err(|error| {
        let value = params.text("stream_id").unwrap_or_default().chars().take(60).collect();
        unusable("stream_id", value, error.to_string())
    })?;
    let config = TestToneConfig {
        wave,
        hertz: number("hertz").unwrap_or(default.hertz),
        db: number("db").unwrap_or(default.db),
        sample_rate: integer("sample_rate").unwrap_or(default.sample_rate),
        channels: integer("channels").and_then(|value| u16::try_from(value).ok()).unwrap_or(default.channels),
        frame_ms: integer("frame_ms").unwrap_or(default.frame_ms),
        stream_id,
        duration: params.number("duration_s").and_then(|value| Duration::try_from_secs_f64(value).ok()),
    };
    if config.hertz > config.sample_rate as f32 / 2.0 {
        let reason = format!("it is above half the sample rate: use at most {} Hz", config.sample_rate / 2);
        return Err(unusable("hertz", config.hertz.to_string(), reason));
    }
    Ok(config)
}
