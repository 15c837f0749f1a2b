use std::time::Duration;

use remotemedia_resample::BlockResampler;
use remotemedia_runtime_core::data::AudioFrame;

use super::{VadSettings, VoiceError};
use crate::voice::level::{Floor, SILENCE_DB, to_db};

/// Where speech begins or ends in one stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Edge {
    Start { at: Option<Duration>, probability: f32 },
    End { at: Option<Duration>, probability: f32, duration: Duration },
}

/// The detector of one stream at one sample rate.
pub(super) struct Detector {
    sample_rate: u32,
    network: Box<earshot::Detector>,
    resampler: BlockResampler,
    /// One channel at the rate of the stream, until it makes 10 ms.
    coming: Vec<f32>,
    /// Samples of 10 ms at the rate of the stream.
    ten_ms: usize,
    converted: [f32; TEN_MS],
    /// At 16 kHz, until it makes a block of the network.
    waiting: Vec<f32>,
    /// Samples of one channel that came, at the rate of the stream.
    received: u64,
    /// Blocks that the network was given.
    judged: u64,
    /// A time on the media clock, and what had been received then.
    clock: Option<(Duration, u64)>,
    floor: Floor,
    state: State,
}

#[derive(Clone, Copy, Debug)]
enum State {
    /// How many blocks of speech came lately, and the first of them.
    Silence {
        run: u32,
        first: u64,
    },
    Speech {
        first: u64,
        end: u64,
        score_sum: f32,
        blocks: u32,
    },
}

/// 10 ms at the 16 kHz of the network.
const TEN_MS: usize = 160;
/// What the network judges at once: 16 ms.
const BLOCK: usize = 256;
/// How much less of a score keeps speech alive than starts it.
const END_MARGIN: f32 = 0.15;
/// How far speech stands out from the background, in dB. The network alone takes steady tones and loud noise for speech now
/// and then; their levels stay within this.
const MARGIN_DB: f32 = 3.0;
/// Blocks at the start of a stream in which conversion and network have not heard enough.
const WARM_UP: u64 = 2;

impl Detector {
    pub(super) fn new(sample_rate: u32) -> Result<Self, VoiceError> {
        VoiceError::check_rate("Vad", sample_rate)?;
        let ten_ms = (sample_rate as usize + 50) / 100;
        Ok(Self {
            sample_rate,
            network: earshot::Detector::default_boxed(),
            resampler: BlockResampler::new(ten_ms, TEN_MS)?,
            coming: Vec::new(),
            ten_ms,
            converted: [0.0; TEN_MS],
            waiting: Vec::new(),
            received: 0,
            judged: 0,
            clock: None,
            floor: Floor::new(16, SILENCE_DB),
            state: State::Silence { run: 0, first: 0 },
        })
    }

    pub(super) fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    /// Takes in `frame` and calls `report` where speech begins or ends.
    pub(super) fn listen(
        &mut self,
        frame: &AudioFrame,
        settings: &VadSettings,
        mut report: impl FnMut(Edge),
    ) -> Result<(), VoiceError> {
        if let Some(timestamp) = frame.timestamp {
            self.clock = Some((timestamp, self.received));
        }
        let channels = frame.channels();
        let mono = |all: &[f32]| all.iter().sum::<f32>() / f32::from(channels);
        // The network takes numbers within full scale only.
        let legal = |sample: f32| if sample.is_finite() { sample.clamp(-1.0, 1.0) } else { 0.0 };
        self.coming.extend(frame.samples().chunks_exact(channels.into()).map(|all| legal(mono(all))));
        self.received += frame.samples_per_channel() as u64;
        let whole = self.coming.len() - self.coming.len() % self.ten_ms;
        for part in self.coming[..whole].chunks_exact(self.ten_ms) {
            self.resampler.convert(part, &mut self.converted)?;
            // Conversion overshoots.
            self.waiting.extend(self.converted.iter().copied().map(legal));
        }
        self.coming.drain(..whole);
        let mut taken = 0;
        while let Some(block) = self.waiting.get(taken..taken + BLOCK) {
            let score = self.network.predict_f32(block);
            let level = to_db((block.iter().map(|sample| sample * sample).sum::<f32>() / BLOCK as f32).sqrt());
            taken += BLOCK;
            if let Some(edge) = self.judge(score, level, settings) {
                report(edge);
            }
        }
        self.waiting.drain(..taken);
        Ok(())
    }

    /// The end of what was being said, if the stream stops now.
    pub(super) fn interrupted(&self) -> Option<Edge> {
        match self.state {
            State::Silence { .. } => None,
            State::Speech { first, end, score_sum, blocks } => Some(self.end(first, end, score_sum / blocks as f32)),
        }
    }

    fn judge(&mut self, score: f32, level: f32, settings: &VadSettings) -> Option<Edge> {
        let now = self.judged;
        self.judged += 1;
        if now < WARM_UP {
            return None;
        }
        let loud = level >= settings.min_level_db.max(self.floor.update(level) + MARGIN_DB);
        match self.state {
            State::Silence { run, first } => {
                let (run, first) = match (loud && score >= settings.threshold, run) {
                    (true, 0) => (1, now),
                    (true, run) => (run + 1, first),
                    // One doubtful block within speech does not start it all over.
                    (false, run) => (run.saturating_sub(1), first),
                };
                self.state = State::Silence { run, first };
                if run == 0 || duration(u64::from(run)) < settings.start {
                    return None;
                }
                self.state = State::Speech { first, end: now + 1, score_sum: score, blocks: 1 };
                Some(Edge::Start { at: self.time_of(first), probability: score })
            }
            State::Speech { first, end, score_sum, blocks } => {
                let end = if loud && score >= settings.threshold - END_MARGIN { now + 1 } else { end };
                let (score_sum, blocks) =
                    if end > now { (score_sum + score, blocks.saturating_add(1)) } else { (score_sum, blocks) };
                self.state = State::Speech { first, end, score_sum, blocks };
                if duration(now + 1 - end) < settings.hangover {
                    return None;
                }
                self.state = State::Silence { run: 0, first: 0 };
                Some(self.end(first, end, score_sum / blocks as f32))
            }
        }
    }

    fn end(&self, first: u64, end: u64, probability: f32) -> Edge {
        Edge::End { at: self.time_of(end), probability, duration: duration(end - first) }
    }

    /// Where the block `block` begins on the media clock.
    fn time_of(&self, block: u64) -> Option<Duration> {
        let (timestamp, received) = self.clock?;
        let sample = block * BLOCK as u64 * self.ten_ms as u64 / TEN_MS as u64;
        let seconds = (sample as f64 - received as f64) / f64::from(self.sample_rate);
        let offset = Duration::from_secs_f64(seconds.abs());
        Some(if seconds < 0.0 { timestamp.saturating_sub(offset) } else { timestamp.saturating_add(offset) })
    }
}

/// How long so many blocks last.
fn duration(blocks: u64) -> Duration {
    Duration::from_millis(blocks.saturating_mul(16))
}
