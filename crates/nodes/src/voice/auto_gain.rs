use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, ParamSpec, Params, Produces},
};

use super::{
    level::{Floor, finite, from_db, to_db},
    limiter::Limiter,
    streams::Streams,
};

/// `AutoGain`: brings voices to one loudness. Takes audio of any rate, channels and frame length, and changes every frame of
/// an audio mix, each stream by itself; other data passes unchanged. It adds no delay.
///
/// Params: `target_db`, the level (RMS) of speech that it aims at, in dBFS from -40 to -6 (default -20); `max_gain_db`, how
/// far it amplifies, from 0 to 60 (default 30). It attenuates by up to [`AutoGain::MAX_ATTENUATION_DB`]. Peaks are limited
/// to [`AutoGain::CEILING_DB`].
///
/// Only what stands out from the background moves the gain: 10 ms that are 9 dB above the lowest level of the last two
/// seconds and above -65 dBFS. Pauses, steady noise and steady tones leave it where it is. The level of speech is the mean
/// power of about the last two seconds of it. The gain rises by at most 12 dB a second and falls by 30, and moves faster
/// in the first second of speech. The gain control of WebRTC is not used here, because it aims at the peaks, so that the
/// loudness depends on the voice, and never attenuates.
#[derive(Clone, Debug)]
pub struct AutoGain {
    settings: Settings,
    streams: Streams<Control>,
}

#[derive(Clone, Copy, Debug)]
struct Settings {
    target_db: f32,
    max_gain_db: f32,
}

/// The gain control of one stream.
#[derive(Clone, Debug)]
struct Control {
    sample_rate: u32,
    power: f64,
    /// Samples of one channel that `power` is the sum of.
    measured: usize,
    floor: Floor,
    /// Mean power of speech, and of how many parts it is the mean.
    speech: f64,
    spoken: u32,
    gain_db: f32,
    /// The factor at the last sample, which follows `gain_db`.
    gain: f32,
    limiter: Limiter,
}

/// Parts of 10 ms whose mean power is the level of speech.
const MEMORY: u32 = 200;
/// How far speech stands out from the background.
const MARGIN_DB: f32 = 9.0;
/// Below this nothing is speech.
const SPEECH_ABOVE_DB: f32 = -65.0;
/// Below this a stream is muted, which says nothing about its background.
const MUTED_BELOW_DB: f32 = -100.0;
/// How long the factor takes to follow a step of the gain by 63 percent.
const SMOOTHING_SECONDS: f32 = 0.01;

impl AutoGain {
    /// What peaks are limited to, in dBFS.
    pub const CEILING_DB: f32 = -1.0;
    /// How far loud voices are attenuated, in dB.
    pub const MAX_ATTENUATION_DB: f32 = 40.0;

    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("AutoGain", |params| Ok(Self::with_settings(Settings::from_params(params))))
            .describe("Brings voices to one loudness.")
            .param(
                ParamSpec::number("target_db", -40.0..=-6.0)
                    .default_value(-20.0)
                    .unit("dBFS")
                    .doc("The level of speech that it aims at."),
            )
            .param(
                ParamSpec::number("max_gain_db", 0.0..=60.0)
                    .default_value(30.0)
                    .unit("dB")
                    .doc("How far it amplifies at most."),
            )
            .produces(Produces::SameAsInput)
            .keeps_format()
    }

    /// A gain control that aims at `target_db` dBFS and amplifies by at most `max_gain_db`.
    pub fn new(target_db: f32, max_gain_db: f32) -> Self {
        Self::with_settings(Settings { target_db, max_gain_db })
    }

    fn with_settings(settings: Settings) -> Self {
        Self { settings, streams: Streams::default() }
    }
}

impl Node for AutoGain {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        self.streams.change(input, out, |control, frame| control.apply(self.settings, frame));
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        self.settings = Settings::from_params(params);
        true
    }
}

impl Settings {
    fn from_params(params: &Params) -> Self {
        let number = |name, default| params.number(name).unwrap_or(default) as f32;
        Self { target_db: number("target_db", -20.0), max_gain_db: number("max_gain_db", 30.0) }
    }
}

impl Default for Control {
    fn default() -> Self {
        Self {
            sample_rate: 0,
            power: 0.0,
            measured: 0,
            floor: Floor::new(25, MUTED_BELOW_DB),
            speech: 0.0,
            spoken: 0,
            gain_db: 0.0,
            gain: 1.0,
            limiter: Limiter::default(),
        }
    }
}

impl Control {
    fn apply(&mut self, settings: Settings, frame: &mut AudioFrame) {
        let (sample_rate, channels) = (frame.sample_rate(), usize::from(frame.channels()));
        if self.sample_rate != sample_rate {
            // What was learned about voice and background holds at any rate.
            (self.sample_rate, self.measured, self.power) = (sample_rate, 0, 0.0);
        }
        let part = (sample_rate as usize / 100).max(1);
        let follow = 1.0 - (-1.0 / (SMOOTHING_SECONDS * sample_rate as f32)).exp();
        let mut target = from_db(self.gain_db);
        for samples in frame.samples_mut().chunks_exact_mut(channels) {
            let power: f32 = samples.iter().map(|sample| finite(*sample).powi(2)).sum();
            self.power += f64::from(power) / channels as f64;
            self.measured += 1;
            if self.measured == part {
                self.adapt(settings, self.power / part as f64);
                (self.measured, self.power) = (0, 0.0);
                target = from_db(self.gain_db);
            }
            self.gain += (target - self.gain) * follow;
            samples.iter_mut().for_each(|sample| *sample *= self.gain);
        }
        self.limiter.apply(frame.samples_mut(), channels, sample_rate, from_db(AutoGain::CEILING_DB));
    }

    /// Takes in 10 ms of the mean power `power`.
    fn adapt(&mut self, settings: Settings, power: f64) {
        let level = to_db(power.sqrt() as f32);
        let floor = self.floor.update(level);
        if level > SPEECH_ABOVE_DB && level > floor + MARGIN_DB {
            self.spoken = self.spoken.saturating_add(1);
            self.speech += (power - self.speech) / f64::from(self.spoken.min(MEMORY));
            let wanted = settings.target_db - to_db(self.speech.sqrt() as f32);
            let (down, up) = if self.spoken <= 100 { (0.6, 0.6) } else { (0.3, 0.12) };
            self.gain_db += (wanted - self.gain_db).clamp(-down, up);
        }
        // New params hold in pauses too.
        self.gain_db = self.gain_db.clamp(-AutoGain::MAX_ATTENUATION_DB, settings.max_gain_db);
    }
}
