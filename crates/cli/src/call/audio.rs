//! What a participant says and hears.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::JoinHandle,
};

use anyhow::{Context, Result, bail};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{AudioFrame, WebRtcTransport};

use super::{empty, recording, report::Tally};

/// Frames that wait to be written. A disk that is slower loses the rest, which is counted.
const QUEUE: usize = 512;

/// Where sound comes from.
pub(super) enum Microphone {
    /// 440 Hz.
    Tone,
    File {
        path: PathBuf,
        reader: WavReader<BufReader<File>>,
    },
}

impl Microphone {
    pub(super) fn open(file: Option<&Path>) -> Result<Self> {
        let Some(path) = file else { return Ok(Self::Tone) };
        let reader = WavReader::open(path).with_context(|| format!("{} cannot be read as WAV", path.display()))?;
        let WavSpec { channels, sample_rate, .. } = reader.spec();
        if !(1..=2).contains(&channels) || !(8_000..=192_000).contains(&sample_rate) {
            bail!(
                "{} has {channels} channels at {sample_rate} Hz: 1 or 2 channels at 8000 to 192000 Hz are taken",
                path.display()
            );
        }
        Ok(Self::File { path: path.to_owned(), reader })
    }

    /// Whether it ends by itself.
    pub(super) fn ends(&self) -> bool {
        matches!(self, Self::File { .. })
    }

    /// Sends everything to everybody, in real time: the transport holds back whoever is ahead of it.
    pub(super) async fn play(self, transport: WebRtcTransport, tally: Arc<Tally>) -> Result<()> {
        match self {
            Self::Tone => {
                for start in (0..).step_by(960) {
                    let sample = |n: u64| 0.25 * (n as f64 * 440.0 * std::f64::consts::TAU / 48_000.0).sin() as f32;
                    // Whole periods of the tone are whole seconds, so the number of a sample may start again there.
                    let samples: Vec<f32> = (start..start + 960).map(|n| sample(n % 48_000)).collect();
                    send(&transport, &tally, samples, 48_000, 1).await?;
                }
                Ok(())
            }
            Self::File { path, mut reader } => {
                let WavSpec { channels, sample_rate, sample_format, bits_per_sample } = reader.spec();
                let chunk = (sample_rate / 50) as usize * usize::from(channels);
                let scale = 1.0 / (1_u64 << (bits_per_sample.clamp(1, 32) - 1)) as f32;
                loop {
                    let samples: Result<Vec<f32>, hound::Error> = match sample_format {
                        SampleFormat::Float => reader.samples::<f32>().take(chunk).collect(),
                        SampleFormat::Int => {
                            reader.samples::<i32>().take(chunk).map(|s| s.map(|s| s as f32 * scale)).collect()
                        }
                    };
                    let mut samples = samples.with_context(|| format!("{} is damaged", path.display()))?;
                    samples.truncate(samples.len() / usize::from(channels) * usize::from(channels));
                    if samples.is_empty() {
                        return Ok(());
                    }
                    send(&transport, &tally, samples, sample_rate, channels).await?;
                }
            }
        }
    }
}

async fn send(transport: &WebRtcTransport, tally: &Tally, samples: Vec<f32>, rate: u32, channels: u16) -> Result<()> {
    let frame = AudioFrame::new(samples, rate, channels)?;
    transport.broadcast(&RuntimeData::from(frame)).await?;
    tally.said();
    Ok(())
}

/// Writes what is heard, on a thread of its own.
pub(super) struct WavRecorder {
    frames: mpsc::SyncSender<Arc<AudioFrame>>,
    writer: JoinHandle<Result<()>>,
}

/// The way into a [`WavRecorder`].
pub(super) struct WavInput(mpsc::SyncSender<Arc<AudioFrame>>);

impl WavInput {
    pub(super) fn push(&self, frame: Arc<AudioFrame>) {
        if self.0.try_send(frame).is_err() {
            tracing::warn!("the disk is too slow: sound is missing in the recording");
        }
    }
}

impl WavRecorder {
    pub(super) fn create(path: &Path) -> Result<Self> {
        let file = recording(path)?;
        let (frames, queue) = mpsc::sync_channel(QUEUE);
        let path = path.to_owned();
        let writer = std::thread::spawn(move || {
            write(file, &queue).with_context(|| format!("{} cannot be written", path.display()))
        });
        Ok(Self { frames, writer })
    }

    pub(super) fn input(&self) -> WavInput {
        WavInput(self.frames.clone())
    }

    /// Completes the file, once every input has been dropped.
    pub(super) fn finish(self) -> Result<()> {
        drop(self.frames);
        self.writer.join().unwrap_or_else(|_| bail!("the recorder went down"))
    }
}

fn write(file: File, frames: &mpsc::Receiver<Arc<AudioFrame>>) -> Result<()> {
    let Ok(first) = frames.recv() else { return Ok(()) };
    empty(&file)?;
    let (channels, sample_rate) = (first.channels(), first.sample_rate());
    let spec = WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::new(BufWriter::new(file), spec)?;
    for frame in std::iter::once(first).chain(frames) {
        if (frame.channels(), frame.sample_rate()) != (channels, sample_rate) {
            continue;
        }
        for &sample in frame.samples() {
            writer.write_sample((sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16)?;
        }
    }
    Ok(writer.finalize()?)
}
