use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, ParamSpec, Params, Produces},
};

use super::{
    level::{finite, from_db},
    streams::Streams,
};

/// `NoiseGate`: makes audio quiet while it is below a threshold. Takes audio of any rate, channels and frame length, and
/// changes every frame of an audio mix; other data passes unchanged. All channels of a frame open and close together.
///
/// Params: `threshold_db`, the peak level in dBFS that opens it, from -100 to 0 (default -45); `attack_ms`, how long it
/// opens, from 0.1 to 100 (default 2); `hold_ms`, how long it stays open once the level is too low, from 0 to 5,000
/// (default 150); `release_ms`, how long it closes, from 1 to 5,000 (default 100); `range_db`, how much quieter it is when
/// closed, from 0 to 120 (default 40). It closes [`NoiseGate::HYSTERESIS_DB`] below the threshold, so that a level near it
/// does not flutter. The gain moves evenly from sample to sample, so nothing clicks; what is open passes unchanged. It adds
/// no delay, so the first moments of a sound fade in over `attack_ms`.
#[derive(Clone, Debug)]
pub struct NoiseGate {
    settings: Settings,
    streams: Streams<Gate>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    open_at: f32,
    close_at: f32,
    attack: f32,
    hold: f32,
    release: f32,
    closed_gain: f32,
}

/// The gate of one stream.
#[derive(Clone, Copy, Debug, Default)]
struct Gate {
    /// The peak of late, falling by 60 dB in [`PEAK_FALL_SECONDS`].
    peak: f32,
    /// How open it is, 0 to 1.
    openness: f32,
    /// For how many seconds more it stays open.
    hold: f32,
}

/// Long enough that the zero crossings of a deep voice do not count as pauses.
const PEAK_FALL_SECONDS: f32 = 0.1;

impl NoiseGate {
    /// How far below the threshold it closes, in dB.
    pub const HYSTERESIS_DB: f32 = 4.0;

    /// The type, to register.
    pub fn node_type() -> NodeType {
        let number = |name, range, default: f64, unit| ParamSpec::number(name, range).default_value(default).unit(unit);
        NodeType::new("NoiseGate", |params| Ok(Self::with_settings(Settings::from_params(params))))
            .describe("Makes audio quiet while it is below a threshold.")
            .param(number("threshold_db", -100.0..=0.0, -45.0, "dBFS").doc("The peak level that opens the gate."))
            .param(number("attack_ms", 0.1..=100.0, 2.0, "ms").doc("How long the gate takes to open."))
            .param(number("hold_ms", 0.0..=5_000.0, 150.0, "ms").doc("How long it stays open at too low a level."))
            .param(number("release_ms", 1.0..=5_000.0, 100.0, "ms").doc("How long the gate takes to close."))
            .param(number("range_db", 0.0..=120.0, 40.0, "dB").doc("How much quieter it is when closed."))
            .produces(Produces::SameAsInput)
            .keeps_format()
    }

    /// A gate that opens at peaks of `threshold_db` dBFS, everything else by default.
    pub fn new(threshold_db: f32) -> Self {
        Self::with_settings(Settings { open_at: threshold_db, ..Settings::DEFAULT }.in_amplitudes())
    }

    fn with_settings(settings: Settings) -> Self {
        Self { settings, streams: Streams::default() }
    }
}

impl Node for NoiseGate {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        self.streams.change(input, out, |gate, frame| gate.apply(&self.settings, frame));
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        self.settings = Settings::from_params(params);
        true
    }
}

impl Settings {
    /// Levels still in decibels.
    const DEFAULT: Self =
        Self { open_at: -45.0, close_at: 0.0, attack: 0.002, hold: 0.15, release: 0.1, closed_gain: -40.0 };

    fn from_params(params: &Params) -> Self {
        let number = |name, default| params.number(name).map_or(default, |value| value as f32);
        let seconds = |name, default: f32| number(name, default * 1e3) / 1e3;
        let default = Self::DEFAULT;
        Self {
            open_at: number("threshold_db", default.open_at),
            attack: seconds("attack_ms", default.attack),
            hold: seconds("hold_ms", default.hold),
            release: seconds("release_ms", default.release),
            closed_gain: -number("range_db", -default.closed_gain),
            ..default
        }
        .in_amplitudes()
    }

    fn in_amplitudes(self) -> Self {
        Self {
            open_at: from_db(self.open_at),
            close_at: from_db(self.open_at - NoiseGate::HYSTERESIS_DB),
            closed_gain: from_db(self.closed_gain),
            ..self
        }
    }
}

impl Gate {
    fn apply(&mut self, settings: &Settings, frame: &mut AudioFrame) {
        let channels = usize::from(frame.channels());
        let second = 1.0 / frame.sample_rate() as f32;
        let fall = 0.001f32.powf(second / PEAK_FALL_SECONDS);
        let (opening, closing) = (second / settings.attack, second / settings.release);
        for samples in frame.samples_mut().chunks_exact_mut(channels) {
            let now = samples.iter().fold(0f32, |peak, sample| peak.max(finite(*sample).abs()));
            self.peak = now.max(self.peak * fall);
            if self.peak >= settings.open_at || (self.hold > 0.0 && self.peak >= settings.close_at) {
                // A gate that is only held open keeps a whole hold before it while the level is within the hysteresis.
                self.hold = settings.hold.max(second);
            } else {
                self.hold = (self.hold - second).max(0.0);
            }
            let step = if self.hold > 0.0 { opening } else { -closing };
            self.openness = (self.openness + step).clamp(0.0, 1.0);
            if self.openness < 1.0 {
                let gain = settings.closed_gain + (1.0 - settings.closed_gain) * self.openness;
                samples.iter_mut().for_each(|sample| *sample *= gain);
            }
        }
    }
}
