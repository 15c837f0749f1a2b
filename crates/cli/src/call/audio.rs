//! What a participant says and hears.

use std::{
    fs::File,
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
};

use anyhow::{Context, Result, bail};
use hound::{SampleFormat, WavReader, WavSpec, WavWriter};
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{AudioFrame, WebRtcTransport};

use super::{
    recording::{Failures, Recorder, empty},
    report::Tally,
};
use crate::failure::with_hint;

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

    /// Sends everything to everybody, in real time: the transport holds back whoever is ahead of it. A file that turns out to
    /// be damaged is played until there.
    pub(super) async fn play(self, transport: WebRtcTransport, tally: Arc<Tally>, failures: Failures) -> Result<()> {
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
                    let damaged = || format!("{} is cut off or damaged; what comes before is sent", path.display());
                    let mut samples = match samples.with_context(damaged) {
                        Ok(samples) => samples,
                        Err(error) => {
                            // There is room for one of each file.
                            let _ = failures.try_send(error);
                            return Ok(());
                        }
                    };
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
    transport.broadcast(&RuntimeData::from(frame)).await.map_err(with_hint)?;
    tally.said();
    Ok(())
}

/// Writes what is heard.
pub(super) type WavRecorder = Recorder<Arc<AudioFrame>>;

impl WavRecorder {
    pub(super) fn wav(path: &Path, failures: Failures) -> Result<Self> {
        Self::create(path, QUEUE, failures, write)
    }
}

fn write(file: File, frames: &mpsc::Receiver<Arc<AudioFrame>>) -> io::Result<()> {
    write_wav(file, frames).map_err(|error| match error {
        hound::Error::IoError(error) => error,
        error => io::Error::other(error),
    })
}

fn write_wav(file: File, frames: &mpsc::Receiver<Arc<AudioFrame>>) -> Result<(), hound::Error> {
    let Ok(first) = frames.recv() else { return Ok(()) };
    empty(&file)?;
    let (channels, sample_rate) = (first.channels(), first.sample_rate());
    let spec = WavSpec { channels, sample_rate, bits_per_sample: 16, sample_format: SampleFormat::Int };
    let mut writer = WavWriter::new(BufWriter::new(file), spec)?;
    for frame in std::iter::once(first).chain(frames) {
        if (frame.channels(), frame.sample_rate()) != (channels, sample_rate) {
            continue;
        }
        let before = writer.duration() / sample_rate;
        for &sample in frame.samples() {
            writer.write_sample((sample.clamp(-1.0, 1.0) * f32::from(i16::MAX)).round() as i16)?;
        }
        // Once a second the header is made right, so that a file that ends early plays.
        if writer.duration() / sample_rate != before {
            writer.flush()?;
        }
    }
    writer.finalize()
}
