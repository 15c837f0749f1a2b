use std::{sync::Arc, time::Duration};

use remotemedia_runtime_core::{
    data::{ControlMessage, DataKind, RuntimeData},
    node::{Emitter, Node, NodeResult, NodeType, ParamSpec, Params},
};
use serde_json::{Map, Value, json};

use super::{
    VoiceError,
    streams::{Key, Streams, look_at_frames},
};

use crate::audio::audible;

mod detector;
use detector::{Detector, Edge};

/// `Vad`: says when speech starts and ends. It uses the network of the crate `earshot` and needs the cargo feature `voice`.
/// Takes audio of 8 to 192 kHz, any channels (which are averaged) and frame length, one frame or a mix, and judges each
/// stream by itself. Audio and all other data pass unchanged.
///
/// Params: `threshold`, the score from which 16 ms count as speech, from 0.05 to 0.95 (default 0.5); `start_ms`, how much
/// speech it takes to start, from 16 to 1,000 (default 32); `hangover_ms`, how much silence ends it, from 50 to 10,000
/// (default 500); `min_level_db`, the level (RMS) below which nothing is speech, from -100 to 0 dBFS (default -50);
/// `pass_audio`, whether the audio goes on too (default true).
///
/// Speech has to stand out by 3 dB from the lowest level of the last two seconds, so that steady noise and tones are none,
/// or end as such after two seconds if they came suddenly. A start is found out 60 ms after it is heard (median of 80
/// drawn voices), six of seven within 150 ms. One in ten takes 220 to 700 ms: those begin with a hiss, which is not taken for
/// speech until the voice follows. With `threshold: 0.35` and `start_ms: 16`, for agents that are to stop when interrupted, the median is 40 ms.
///
/// Each start makes a control message `speech_start` before the frame in which it was found out, and each end a
/// `speech_end` after that frame. `timestamp` is where on the media clock the speech itself began or ended, if the frames
/// tell. Both bear the same `segment_id`, which no other segment has. Their payload has `probability` (of the start the
/// score, of the end the mean over the segment), at the end `duration_ms` without the silence after it, and `peer` and
/// `stream` where known. A stream that stops while someone speaks ends its segment after one to two times `hangover_ms` and
/// 200 ms.
pub struct Vad {
    settings: VadSettings,
    streams: Streams<Stream>,
}

/// When a [`Vad`] takes sound for speech.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VadSettings {
    /// The score from which 16 ms count as speech, 0 to 1. Within speech 0.15 less is enough.
    pub threshold: f32,
    /// How much speech it takes to start.
    pub start: Duration,
    /// How much silence ends it.
    pub hangover: Duration,
    /// The level below which nothing is speech, in dBFS.
    pub min_level_db: f32,
    /// Whether the audio goes on too.
    pub pass_audio: bool,
}

#[derive(Default)]
struct Stream {
    detector: Option<Box<Detector>>,
    segment: Option<Arc<str>>,
    /// Whether a frame came since the last tick.
    fresh: bool,
}

impl Default for VadSettings {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            start: Duration::from_millis(32),
            hangover: Duration::from_millis(500),
            min_level_db: -50.0,
            pass_audio: true,
        }
    }
}

impl Vad {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        let number = |name, range, default: f64| ParamSpec::number(name, range).default_value(default);
        NodeType::new("Vad", |params| Ok(Self::new(VadSettings::from_params(params))))
            .describe("Says when speech starts and ends.")
            .param(number("threshold", 0.05..=0.95, 0.5).doc("The score from which 16 ms count as speech."))
            .param(number("start_ms", 16.0..=1_000.0, 32.0).unit("ms").doc("How much speech it takes to start."))
            .param(number("hangover_ms", 50.0..=10_000.0, 500.0).unit("ms").doc("How much silence ends speech."))
            .param(number("min_level_db", -100.0..=0.0, -50.0).unit("dBFS").doc("Below this level nothing is speech."))
            .param(ParamSpec::bool("pass_audio").default_value(true).doc("Whether the audio goes on too."))
            .takes(audible())
            .makes(|format, params| {
                let is_audio = matches!(format.kind, DataKind::Audio | DataKind::AudioMix);
                (!is_audio || params.bool("pass_audio").unwrap_or(true)).then_some(format)
            })
    }

    /// A detector with `settings`.
    pub fn new(settings: VadSettings) -> Self {
        Self { settings, streams: Streams::default() }
    }
}

impl VadSettings {
    fn from_params(params: &Params) -> Self {
        let default = Self::default();
        let number = |name, default: f32| params.number(name).map_or(default, |value| value as f32);
        let duration =
            |name, default| params.number(name).map_or(default, |value| Duration::from_secs_f64(value / 1e3));
        Self {
            threshold: number("threshold", default.threshold),
            start: duration("start_ms", default.start),
            hangover: duration("hangover_ms", default.hangover),
            min_level_db: number("min_level_db", default.min_level_db),
            pass_audio: params.bool("pass_audio").unwrap_or(default.pass_audio),
        }
    }
}

impl Node for Vad {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        let Self { settings, streams } = self;
        let mut messages = Vec::new();
        look_at_frames(&input, |frame, position| {
            let stream = streams.entry_or_default(frame, position);
            stream.fresh = true;
            let detector = match &mut stream.detector {
                Some(detector) if detector.sample_rate() == frame.sample_rate() => detector,
                other => {
                    // At another rate the stream begins anew; so does what is said in it.
                    let before = other.take();
                    messages.extend(
                        before
                            .and_then(|before| before.interrupted())
                            .map(|edge| edge.into_message(stream.segment.take(), &Key::of(frame, position))),
                    );
                    other.insert(Box::new(Detector::new(frame.sample_rate())?))
                }
            };
            detector.listen(frame, settings, |edge| {
                if matches!(edge, Edge::Start { .. }) {
                    stream.segment = Some(uuid::Uuid::new_v4().to_string().into());
                }
                messages.push(edge.into_message(stream.segment.clone(), &Key::of(frame, position)));
            })
        })?;
        let is_start = |message: &ControlMessage| &*message.message_type == START;
        let after = messages.split_off(messages.iter().rposition(is_start).map_or(0, |index| index + 1));
        messages.into_iter().for_each(|message| out.emit(message));
        let is_audio = matches!(input, RuntimeData::Audio { .. } | RuntimeData::AudioMix { .. });
        if settings.pass_audio || !is_audio {
            out.emit(input);
        }
        after.into_iter().for_each(|message| out.emit(message));
        Ok(())
    }

    fn finish(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        self.streams.iter_mut().for_each(|(key, stream)| stream.end(key, out));
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        Some(self.settings.hangover + Duration::from_millis(200))
    }

    fn tick(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        for (key, stream) in self.streams.iter_mut() {
            if !std::mem::take(&mut stream.fresh) {
                stream.end(key, out);
            }
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        self.settings = VadSettings::from_params(params);
        true
    }
}

impl Stream {
    /// Ends what is being said, if anything is.
    fn end(&mut self, key: &Key, out: &mut Emitter<'_>) {
        // What comes next does not follow what was: the detector is made anew for it.
        if let Some(edge) = self.detector.take().and_then(|detector| detector.interrupted()) {
            out.emit(edge.into_message(self.segment.take(), key));
        }
    }
}

const START: &str = "speech_start";
const END: &str = "speech_end";

impl Edge {
    fn into_message(self, segment_id: Option<Arc<str>>, key: &Key) -> ControlMessage {
        let mut payload = Map::new();
        let (kind, timestamp) = match self {
            Self::Start { at, probability } => {
                payload.insert("probability".into(), json!(probability));
                (START, at)
            }
            Self::End { at, probability, duration } => {
                payload.insert("probability".into(), json!(probability));
                payload.insert("duration_ms".into(), json!(duration.as_micros() as f64 / 1e3));
                (END, at)
            }
        };
        if let Some(peer) = &key.peer {
            payload.insert("peer".into(), json!(peer.as_str()));
        }
        if let Some(stream) = &key.stream {
            payload.insert("stream".into(), json!(stream.as_str()));
        }
        let mut message = ControlMessage::new(kind).with_payload(Value::Object(payload));
        message.segment_id = segment_id;
        message.timestamp = timestamp;
        message
    }
}
