use std::sync::Arc;

use remotemedia_media::AudioFrame;
use remotemedia_runtime_core::{
    data::{KindSet, RuntimeData},
    node::{Emitter, Node, NodeError, NodeResult, NodeType, ParamProblem, ParamSpec, Params, Produces},
};

use super::kinds;
use crate::audio::{
    fade::{fade_in, fade_out, mirror, remember},
    streams::Streams,
};

/// `Select`: passes only what one of the nodes or inputs before it sends.
///
/// Params: `from`, the id of that node or input, required; `kinds`, a list of the kinds of data that are chosen from
/// (default: all); data of other kinds always passes.
///
/// Both change while it runs. Video and everything else switches with the next piece of data. Audio fades over within 10 ms,
/// each stream of each peer by itself: the new begins under the end of the old, which is made up from what was last
/// heard if the old sends nothing more. Where rate or channels differ, the end comes as a frame of its own, at most 10 ms.
#[derive(Debug)]
pub struct Select {
    from: String,
    kinds: KindSet,
    streams: Streams<Heard>,
    /// Counts the switches.
    round: u64,
}

/// What was last heard of a stream.
#[derive(Debug, Default)]
struct Heard {
    /// The last 10 ms of it, and its format.
    history: Vec<f32>,
    format: Option<(u32, u16)>,
    /// The round in which it was last heard or ended.
    round: u64,
}

impl Select {
    /// How long audio takes to fade over, in milliseconds.
    pub const FADE_MS: u32 = 10;

    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("Select", |params| {
            let (from, kinds) = config(params)?;
            Ok(Self::new(from).with_kinds(kinds))
        })
        .describe("Passes only what one of the nodes before it sends.")
        .param(ParamSpec::text("from").required().doc("The id of the node or input whose data passes."))
        .param(kinds::spec("The kinds of data that are chosen from; others always pass."))
        // Only what one of the inputs sends passes, and which that is can change.
        .produces(Produces::SameAsInput)
    }

    /// Passes what the node or input `from` sends.
    pub fn new(from: impl Into<String>) -> Self {
        Self { from: from.into(), kinds: KindSet::ALL, streams: Streams::default(), round: 0 }
    }

    /// The same, choosing among data of these kinds only.
    #[must_use]
    pub fn with_kinds(mut self, kinds: KindSet) -> Self {
        self.kinds = kinds;
        self
    }

    fn pass(&mut self, mut frame: Arc<AudioFrame>, out: &mut Emitter<'_>) -> Result<(), NodeError> {
        let round = self.round;
        let (channels, fade) = (usize::from(frame.channels()), fade_length(&frame));
        let format = (frame.sample_rate(), frame.channels());
        let heard = self.streams.of(&frame, || Heard { round, ..Heard::default() });
        if heard.round != round {
            heard.round = round;
            let mut tail = Vec::new();
            if let Some((rate, channels)) = heard.format {
                let length = (rate * Self::FADE_MS / 1_000) as usize;
                // Within this frame, however short it is.
                let length =
                    if heard.format == Some(format) { length.min(frame.samples_per_channel()) } else { length };
                mirror(&heard.history, channels.into(), length, &mut tail);
                if heard.format != Some(format) && !tail.is_empty() {
                    out.emit(like(&frame, AudioFrame::new(std::mem::take(&mut tail), rate, channels)?));
                }
            }
            let samples = Arc::make_mut(&mut frame).samples_mut();
            fade_in(samples, channels, fade.min(samples.len() / channels));
            samples.iter_mut().zip(&tail).for_each(|(sample, end)| *sample += end);
            heard.history.clear();
        }
        if heard.format != Some(format) {
            heard.history.clear();
            heard.format = Some(format);
        }
        remember(&mut heard.history, frame.samples(), channels, fade);
        out.emit(frame);
        Ok(())
    }

    /// The first audio that passes no more is heard for 10 ms, falling, unless the new began before it.
    fn hold_back(&mut self, frame: &AudioFrame, out: &mut Emitter<'_>) -> Result<(), NodeError> {
        let round = self.round;
        let heard = self.streams.of(frame, || Heard { round, ..Heard::default() });
        let continues = heard.round != round && heard.format == Some((frame.sample_rate(), frame.channels()));
        if !continues || frame.samples().is_empty() {
            return Ok(());
        }
        let channels = usize::from(frame.channels());
        let length = fade_length(frame).min(frame.samples_per_channel());
        let mut end = frame.samples()[..length * channels].to_vec();
        fade_out(&mut end, channels, length);
        out.emit(like(frame, AudioFrame::new(end, frame.sample_rate(), frame.channels())?));
        // What begins next still has to rise, but nothing is left of the old.
        heard.format = None;
        heard.history.clear();
        Ok(())
    }
}

impl Node for Select {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        if !self.kinds.contains(input.kind()) {
            out.emit(input);
            return Ok(());
        }
        let passes = out.from() == Some(self.from.as_str());
        match input {
            RuntimeData::Audio { frame } if passes => self.pass(frame, out),
            RuntimeData::Audio { frame } => self.hold_back(&frame, out),
            other => {
                if passes {
                    out.emit(other);
                }
                Ok(())
            }
        }
    }

    fn set_params(&mut self, params: &Params) -> bool {
        let Ok((from, kinds)) = config(params) else { return false };
        self.kinds = kinds;
        if from != self.from {
            self.from = from;
            self.round += 1;
        }
        true
    }
}

fn config(params: &Params) -> Result<(String, KindSet), ParamProblem> {
    Ok((params.text("from").unwrap_or_default().to_owned(), kinds::parse(params, KindSet::ALL)?))
}

fn fade_length(frame: &AudioFrame) -> usize {
    (frame.sample_rate() * Select::FADE_MS / 1_000) as usize
}

/// `made` with everything of `frame` but its samples.
fn like(frame: &AudioFrame, mut made: AudioFrame) -> AudioFrame {
    made.timestamp = frame.timestamp;
    made.stream_id = frame.stream_id.clone();
    made.capture_time = frame.capture_time;
    made.source = frame.source.clone();
    made
}
