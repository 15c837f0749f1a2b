use std::{collections::VecDeque, sync::Arc, time::Duration};

use remotemedia_media::{AudioFrame, PeerId, StreamId};
use remotemedia_resample::{ChannelMatrix, FormatConverter, Timing};

use crate::audio::{
    AudioNodeError,
    fade::{mirror, remember, rise},
};

/// What tells inputs apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InputKey {
    pub(super) peer: Option<PeerId>,
    pub(super) stream_id: Option<StreamId>,
    /// The upstream node; only of audio that no peer sent.
    from: Option<Arc<str>>,
    /// The place within an audio mix; only of audio that no peer sent.
    place: usize,
}

impl InputKey {
    pub(super) fn of(frame: &AudioFrame, from: Option<&str>, place: usize) -> Self {
        let (from, place) = if frame.source.is_some() { (None, 0) } else { (from.map(Arc::from), place) };
        Self { peer: frame.source.clone(), stream_id: frame.stream_id.clone(), from, place }
    }

    pub(super) fn is_of(&self, frame: &AudioFrame, from: Option<&str>, place: usize) -> bool {
        let same_sender = frame.source.is_some() || (self.from.as_deref() == from && self.place == place);
        self.peer == frame.source && self.stream_id == frame.stream_id && same_sender
    }

    /// The name under which the gain of the input is given.
    pub(super) fn name(&self) -> Option<&str> {
        self.peer.as_deref().or(self.from.as_deref())
    }
}

/// The format of the mix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Format {
    pub(super) sample_rate: u32,
    pub(super) channels: usize,
}

impl Format {
    /// Samples per channel of a fade: 5 ms.
    fn fade(self) -> usize {
        self.sample_rate as usize / 200
    }

    pub(super) fn time(self, samples: u64) -> Duration {
        Duration::from_nanos((u128::from(samples) * 1_000_000_000 / u128::from(self.sample_rate)) as u64)
    }
}

/// One input of a mixer: what waits to be mixed, and how it begins and ends.
pub(super) struct Input {
    pub(super) key: InputKey,
    /// The same for all inputs of one peer.
    pub(super) party: u32,
    /// When it was last used, on the mixer's count of calls.
    pub(super) used: u64,
    /// Whether the mix waits for it.
    pub(super) is_active: bool,
    /// Whether it goes once it has faded out.
    pub(super) is_ended: bool,
    format: Format,
    converter: Option<FormatConverter>,
    buffer: VecDeque<f32>,
    /// What was mixed last.
    history: Vec<f32>,
    /// What is still to be mixed of a stretch that is over.
    tail: Vec<f32>,
    /// How the samples that come next begin.
    onset: Onset,
    gain: GainRamp,
    clock: SenderClock,
    scratch: Vec<f32>,
}

/// The first samples of a stretch: they fade in, over the end of what was before.
#[derive(Default)]
struct Onset {
    tail: Vec<f32>,
    at: usize,
}

impl Input {
    pub(super) fn new(key: InputKey, party: u32, format: Format, gain: f32) -> Self {
        Self {
            key,
            party,
            used: 0,
            is_active: false,
            is_ended: false,
            format,
            converter: None,
            buffer: VecDeque::new(),
            history: Vec::new(),
            tail: Vec::new(),
            onset: Onset::default(),
            gain: GainRamp { current: gain, target: gain, remaining: 0 },
            clock: SenderClock::default(),
            scratch: Vec::new(),
        }
    }

    /// Gets ready for a frame when the next mix begins at `position` samples. `false` if it comes too late to be heard.
    pub(super) fn begin(&mut self, frame: &AudioFrame, position: u64) -> Result<bool, AudioNodeError> {
        let plays_at = self.format.time(position + self.buffered() as u64);
        let (rate, channels) = (frame.sample_rate(), frame.channels());
        AudioNodeError::check_rate(rate)?;
        if !self.is_active {
            if self.clock.is_stale(frame, plays_at) {
                return Ok(false);
            }
            self.is_active = true;
            self.converter = None;
            self.history.clear();
            self.onset = Onset::default();
        } else if self.clock.jumps(frame)
            || self.converter.as_ref().is_some_and(|converter| !converter.is_for(rate, channels))
        {
            self.splice()?;
        }
        self.clock.follow(frame, plays_at);
        Ok(true)
    }

    /// Takes samples of the format of the frame that [`Input::begin`] was told of.
    pub(super) fn push(&mut self, samples: &[f32], sample_rate: u32, channels: u16) -> Result<(), AudioNodeError> {
        self.scratch.clear();
        let converter = match &mut self.converter {
            Some(converter) => converter,
            slot => {
                let matrix = ChannelMatrix::new(channels, self.format.channels as u16);
                slot.insert(FormatConverter::new(sample_rate, self.format.sample_rate, matrix, Timing::Exact)?)
            }
        };
        converter.push(samples, &mut self.scratch)?;
        self.append();
        Ok(())
    }

    /// Puts what the converter still holds behind the rest: nothing follows.
    pub(super) fn flush(&mut self) -> Result<(), AudioNodeError> {
        self.scratch.clear();
        if let Some(mut converter) = self.converter.take() {
            converter.finish(&mut self.scratch)?;
        }
        self.append();
        Ok(())
    }

    /// Samples per channel that wait.
    pub(super) fn buffered(&self) -> usize {
        self.buffer.len() / self.format.channels
    }

    /// Whether a mix now would hear something of it.
    pub(super) fn sounds(&self) -> bool {
        self.is_active || !self.tail.is_empty()
    }

    /// Fills `voice` with what comes next. An input that runs dry within it fades out and becomes inactive.
    pub(super) fn render(&mut self, voice: &mut [f32]) {
        let channels = self.format.channels;
        let length = if self.is_active { self.buffer.len().min(voice.len()) } else { 0 };
        voice.iter_mut().zip(self.buffer.drain(..length)).for_each(|(slot, sample)| *slot = sample);
        remember(&mut self.history, &voice[..length], channels, self.format.fade());
        voice[length..].fill(0.0);
        self.add_tail(voice);
        if self.is_active && length < voice.len() {
            self.is_active = false;
            mirror(&self.history, channels, self.format.fade(), &mut self.tail);
            self.add_tail(&mut voice[length..]);
        }
        self.gain.apply(voice, channels);
    }

    /// Ends it at once: what is heard of it from now on is a fade-out.
    pub(super) fn end(&mut self) {
        self.is_ended = true;
        if !self.is_active {
            return;
        }
        self.is_active = false;
        let channels = self.format.channels;
        let length = self.buffer.len().min(self.format.fade() * channels);
        let mut tail: Vec<f32> = self.buffer.drain(..length).collect();
        self.buffer.clear();
        remember(&mut self.history, &tail, channels, self.format.fade());
        mirror(&self.history, channels, self.format.fade(), &mut tail);
        // A stretch before may still fade out.
        let both = self.tail.len().min(tail.len());
        tail.iter_mut().zip(&self.tail).for_each(|(sample, before)| *sample += before);
        tail.extend_from_slice(&self.tail[both..]);
        self.tail = tail;
    }

    /// Lets the end of `other`, whose place it takes, be heard.
    pub(super) fn inherit(&mut self, mut other: Self) {
        other.end();
        self.tail = std::mem::take(&mut other.tail);
    }

    pub(super) fn set_gain(&mut self, factor: f32) {
        if factor != self.gain.target {
            self.gain.target = factor;
            // 10 ms.
            self.gain.remaining = self.format.sample_rate as usize / 100;
        }
    }

    /// What comes next does not continue what is there: one fades over into the other.
    fn splice(&mut self) -> Result<(), AudioNodeError> {
        let is_resampled = self.converter.as_ref().is_some_and(FormatConverter::is_resampling);
        self.flush()?;
        let (channels, fade) = (self.format.channels, self.format.fade());
        let end = self.buffer.len();
        // The filter has met silence there: 2 ms are bent towards it.
        let bent = if is_resampled { (self.format.sample_rate as usize / 500 * channels).min(end) } else { 0 };
        self.buffer.truncate(end - bent);
        let mut before = self.history.clone();
        before.extend(self.buffer.iter().skip(self.buffer.len().saturating_sub(2 * fade * channels)));
        let mut tail = Vec::with_capacity(fade * channels + bent);
        mirror(&before, channels, fade + bent / channels, &mut tail);
        // What was bent is made up, so that what follows is on time.
        let made_up = bent.min(tail.len());
        self.buffer.extend(tail.drain(..made_up));
        self.buffer.resize(end, 0.0);
        self.onset = Onset { tail, at: 0 };
        Ok(())
    }

    fn append(&mut self) {
        let (channels, fade) = (self.format.channels, self.format.fade());
        for sample in &mut self.scratch {
            // Nothing that a sender makes up may spoil the sum for everybody.
            *sample = if sample.is_finite() { sample.clamp(-1_000.0, 1_000.0) } else { 0.0 };
        }
        for frame in self.scratch.chunks_exact_mut(channels) {
            if self.onset.at >= fade {
                break;
            }
            let weight = rise(self.onset.at, fade);
            let tail = self.onset.tail.chunks_exact(channels).nth(self.onset.at);
            for (channel, sample) in frame.iter_mut().enumerate() {
                *sample = *sample * weight + tail.map_or(0.0, |tail| tail[channel]);
            }
            self.onset.at += 1;
        }
        self.buffer.extend(&self.scratch);
    }

    fn add_tail(&mut self, voice: &mut [f32]) {
        let length = self.tail.len().min(voice.len());
        voice.iter_mut().zip(self.tail.drain(..length)).for_each(|(slot, sample)| *slot += sample);
    }
}

/// A gain that moves evenly to where it shall be.
struct GainRamp {
    current: f32,
    target: f32,
    /// Samples per channel until it is there.
    remaining: usize,
}

impl GainRamp {
    fn apply(&mut self, samples: &mut [f32], channels: usize) {
        let ramp = self.remaining.min(samples.len() / channels) * channels;
        let (moving, steady) = samples.split_at_mut(ramp);
        for frame in moving.chunks_exact_mut(channels) {
            self.current += (self.target - self.current) / self.remaining as f32;
            self.remaining -= 1;
            frame.iter_mut().for_each(|sample| *sample *= self.current);
        }
        if self.remaining == 0 {
            self.current = self.target;
        }
        if self.current != 1.0 {
            steady.iter_mut().for_each(|sample| *sample *= self.current);
        }
    }
}

/// Where the sender's timestamps lie on the time of the mix.
#[derive(Default)]
struct SenderClock {
    /// A timestamp, and when what has it plays.
    anchor: Option<(Duration, Duration)>,
    /// The timestamp that continues what came last.
    next: Option<Duration>,
    /// How late the last frame came that was not heard.
    lateness: Option<Duration>,
}

impl SenderClock {
    /// Later than this is another timeline.
    const LONGEST: Duration = Duration::from_secs(5);
    const TOLERANCE: Duration = Duration::from_millis(10);

    fn jumps(&self, frame: &AudioFrame) -> bool {
        self.next.zip(frame.timestamp).is_some_and(|(next, now)| next.abs_diff(now) > Self::TOLERANCE)
    }

    fn follow(&mut self, frame: &AudioFrame, plays_at: Duration) {
        self.lateness = None;
        self.anchor = frame.timestamp.map(|timestamp| (timestamp, plays_at));
        self.next = frame.timestamp.map(|timestamp| timestamp + frame.duration());
    }

    /// Whether `frame`, which could play at `now`, is part of what the mix went on without. Frames that were held up come
    /// in a burst, each less late than the one before; if they stay equally late, the way has become longer, and what
    /// comes is worth hearing.
    fn is_stale(&mut self, frame: &AudioFrame, now: Duration) -> bool {
        let Some(((known, played), timestamp)) = self.anchor.zip(frame.timestamp) else { return false };
        let Some(ahead) = timestamp.checked_sub(known) else { return false };
        let lateness = now.saturating_sub(played + ahead);
        let catches_up = self.lateness.is_none_or(|before| lateness + frame.duration() / 2 < before);
        self.lateness = Some(lateness);
        lateness > Self::TOLERANCE && lateness <= Self::LONGEST && catches_up
    }
}
