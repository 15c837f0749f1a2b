use std::time::Duration;

use remotemedia_media::NtpTime;
use remotemedia_resample::{StreamResampler, Timing};
use remotemedia_runtime_core::{
    data::{AudioFrame, DataKind, RuntimeData},
    manifest::MediaFormat,
    node::{Conversion, Emitter, Node, NodeResult, NodeType, ParamSpec, Params, Produces},
};

use super::{
    AudioNodeError, audible,
    streams::{StreamKey, Streams},
};

/// `Resample`: gives audio another sample rate. Takes 8 to 192 kHz, 1 to 8 channels and frames of any length; other data,
/// audio mixes included, passes unchanged.
///
/// Param: `sample_rate`, 8,000 to 192,000 Hz, required. A tone keeps 100 dB of distance to what the conversion adds.
/// What the lower of the two rates cannot carry is filtered out, from 93 % of its Nyquist frequency on (96 % from 24 kHz).
///
/// The audio comes out up to 15 ms later than it went in, 30 ms where one rate is below 24 kHz, as frames of uneven
/// length; timestamps and capture times are those of the samples, not of their arrival. Each stream of each peer is
/// converted by itself. A stream whose format changes, or whose timestamps jump by more than 100 ms, ends and starts anew.
pub struct Resample {
    sample_rate: u32,
    streams: Streams<Option<Stream>>,
}

struct Stream {
    resampler: StreamResampler,
    /// The newest times of the input that are known, each with the count of samples before it.
    timestamp: Option<(Duration, u64)>,
    capture_time: Option<(NtpTime, u64)>,
}

impl Resample {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("Resample", |params| Ok(Self::new(sample_rate(params))))
            .describe("Gives audio another sample rate.")
            .param(
                ParamSpec::integer("sample_rate", 8_000..=192_000)
                    .unit("Hz")
                    .required()
                    .doc("The rate of what comes out."),
            )
            .produces(Produces::SameAsInput)
            .takes(audible())
            .makes(|format, params| match format.kind {
                DataKind::Audio => Some(MediaFormat { sample_rate: Some(sample_rate(params)), ..format }),
                _ => Some(format),
            })
            .converts(Conversion::SampleRate("sample_rate"))
    }

    /// Converts to `sample_rate`, 8,000 to 192,000 Hz; other rates become the nearest of these.
    pub fn new(sample_rate: u32) -> Self {
        Self { sample_rate: sample_rate.clamp(8_000, 192_000), streams: Streams::default() }
    }

    fn convert(&mut self, frame: &AudioFrame, out: &mut Emitter<'_>) -> Result<(), AudioNodeError> {
        let to = self.sample_rate;
        let key = || StreamKey::of(frame);
        let slot = self.streams.of(frame, || None);
        if let Some(mut ended) = slot.take_if(|stream| !stream.continues_with(frame))
            && let Some(rest) = ended.finish(to, key())?
        {
            out.emit(rest);
        }
        let stream = match slot {
            Some(stream) => stream,
            None => {
                AudioNodeError::check_rate(frame.sample_rate())?;
                let resampler = StreamResampler::new(frame.sample_rate(), to, frame.channels(), Timing::Exact)?;
                slot.insert(Stream { resampler, timestamp: None, capture_time: None })
            }
        };
        let (taken, given) = stream.resampler.progress();
        stream.timestamp = frame.timestamp.map(|time| (time, taken)).or(stream.timestamp);
        stream.capture_time = frame.capture_time.map(|time| (time, taken)).or(stream.capture_time);
        let mut samples = Vec::with_capacity(frame.samples().len() * 2);
        if let Err(error) = stream.resampler.push(frame.samples(), &mut samples) {
            *slot = None;
            return Err(error.into());
        }
        if !samples.is_empty() {
            out.emit(stream.frame(samples, given, to, key())?);
        }
        Ok(())
    }
}

impl Stream {
    fn continues_with(&self, frame: &AudioFrame) -> bool {
        let has_same_format =
            self.resampler.from() == frame.sample_rate() && self.resampler.channels() == usize::from(frame.channels());
        let jumps = self.timestamp.zip(frame.timestamp).is_some_and(|((known, at), now)| {
            let passed = self.resampler.progress().0 - at;
            (known + seconds(passed, self.resampler.from())).abs_diff(now) > Duration::from_millis(100)
        });
        has_same_format && !jumps
    }

    fn finish(&mut self, to: u32, key: StreamKey) -> Result<Option<AudioFrame>, AudioNodeError> {
        let given = self.resampler.progress().1;
        let mut samples = Vec::new();
        self.resampler.finish(&mut samples)?;
        if samples.is_empty() { Ok(None) } else { self.frame(samples, given, to, key).map(Some) }
    }

    /// A frame of `samples` that begins after `given` samples.
    fn frame(&self, samples: Vec<f32>, given: u64, to: u32, key: StreamKey) -> Result<AudioFrame, AudioNodeError> {
        let mut frame = AudioFrame::new(samples, to, self.resampler.channels() as u16)?;
        // Times are relative to the newest that is known, so that the clock that stamped them is followed.
        let position = seconds(given, to);
        let behind = |at: u64| seconds(at, self.resampler.from()).saturating_sub(position);
        let ahead = |at: u64| position.saturating_sub(seconds(at, self.resampler.from()));
        frame.timestamp = self.timestamp.map(|(time, at)| (time + ahead(at)).saturating_sub(behind(at)));
        frame.capture_time = self.capture_time.map(|(time, at)| earlier(time + ahead(at), behind(at)));
        frame.stream_id = key.stream_id;
        frame.source = key.source;
        Ok(frame)
    }
}

impl Node for Resample {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Audio { frame } if frame.sample_rate() == self.sample_rate => {
                // What is left of the time before the rate was right comes first.
                if let Some(mut ended) = self.streams.of(&frame, || None).take()
                    && let Some(rest) = ended.finish(self.sample_rate, StreamKey::of(&frame))?
                {
                    out.emit(rest);
                }
                out.emit(frame);
            }
            RuntimeData::Audio { frame } => self.convert(&frame, out)?,
            other => out.emit(other),
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Emitter<'_>) -> NodeResult {
        for (key, stream) in self.streams.take_all() {
            if let Some(rest) = stream.and_then(|mut stream| stream.finish(self.sample_rate, key).transpose()) {
                out.emit(rest?);
            }
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        self.sample_rate() == sample_rate(params)
    }
}

impl Resample {
    /// The rate of what comes out, in Hz.
    pub fn sample_rate(&self) -> u32 {
        self.sample_rate
    }
}

impl std::fmt::Debug for Resample {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resample").field("sample_rate", &self.sample_rate).finish_non_exhaustive()
    }
}

fn sample_rate(params: &Params) -> u32 {
    params.integer("sample_rate").and_then(|rate| u32::try_from(rate).ok()).unwrap_or(48_000)
}

fn seconds(samples: u64, rate: u32) -> Duration {
    Duration::from_nanos((u128::from(samples) * 1_000_000_000 / u128::from(rate)) as u64)
}

fn earlier(time: NtpTime, by: Duration) -> NtpTime {
    NtpTime(time.0.saturating_sub(((by.as_nanos() << 32) / 1_000_000_000) as u64))
}
