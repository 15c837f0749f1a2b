use std::{io, time::Duration};

use hound::{SampleFormat, WavReader, WavSpec};
use remotemedia_media::AudioFrame;

use super::{
    PlayerError,
    source::{Input, Item, Source, samples_to_time},
};

const FORMAT: &str = "WAV";

/// A WAV file, in frames of 20 ms.
pub(super) struct WavSource {
    reader: WavReader<Input>,
    /// Samples of one channel in front of the next frame.
    position: u64,
}

impl WavSource {
    pub(super) fn new(input: Input, start: Duration) -> Result<Self, PlayerError> {
        let mut reader = WavReader::new(input).map_err(|error| match error {
            hound::Error::IoError(error) if is_end(&error) => PlayerError::damaged(FORMAT, "it ends within its header"),
            hound::Error::IoError(error) => PlayerError::io(FORMAT, error),
            hound::Error::Unsupported => PlayerError::Unsupported {
                format: FORMAT,
                found: "samples of an unknown encoding".to_owned(),
                wanted: "8 to 32 bits, or 32-bit floating point, are played",
            },
            other => PlayerError::damaged(FORMAT, other),
        })?;
        let WavSpec { channels, sample_rate, .. } = reader.spec();
        // Told now what every frame would be refused for.
        AudioFrame::new(Vec::new(), sample_rate, channels)?;
        let wanted = (start.as_secs_f64() * f64::from(sample_rate)) as u64;
        let position = wanted.min(reader.duration().into());
        if position > 0 {
            reader.seek(position as u32).map_err(|error| PlayerError::io(FORMAT, error))?;
        }
        Ok(Self { reader, position })
    }

    fn read(&mut self, count: usize) -> Result<Vec<f32>, PlayerError> {
        let WavSpec { sample_format, bits_per_sample, .. } = self.reader.spec();
        let mut samples = Vec::with_capacity(count);
        let mut push = |sample: Result<f32, hound::Error>| match sample {
            Ok(sample) => {
                samples.push(sample);
                Ok(true)
            }
            // The header promised more than there is.
            Err(hound::Error::IoError(error)) if is_end(&error) => Ok(false),
            Err(hound::Error::FormatError(_)) => Ok(false),
            Err(hound::Error::IoError(error)) => Err(PlayerError::io(FORMAT, error)),
            Err(other) => Err(PlayerError::damaged(FORMAT, other)),
        };
        match sample_format {
            SampleFormat::Float => {
                for sample in self.reader.samples::<f32>().take(count) {
                    if !push(sample)? {
                        break;
                    }
                }
            }
            SampleFormat::Int => {
                let scale = 1.0 / (1_u64 << (bits_per_sample.clamp(1, 32) - 1)) as f32;
                for sample in self.reader.samples::<i32>().take(count) {
                    if !push(sample.map(|sample| sample as f32 * scale))? {
                        break;
                    }
                }
            }
        }
        Ok(samples)
    }
}

/// Whether the file ends here: hound has no kind of its own for that, but what the system reports has a number.
fn is_end(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

impl Source for WavSource {
    fn next(&mut self) -> Result<Option<Item>, PlayerError> {
        let WavSpec { channels, sample_rate, .. } = self.reader.spec();
        let channels_usize = usize::from(channels);
        let mut samples = self.read((sample_rate / 50).max(1) as usize * channels_usize)?;
        samples.truncate(samples.len() / channels_usize * channels_usize);
        if samples.is_empty() {
            return Ok(None);
        }
        let at = samples_to_time(self.position, sample_rate);
        self.position += (samples.len() / channels_usize) as u64;
        Ok(Some(Item::audio(at, AudioFrame::new(samples, sample_rate, channels)?)))
    }
}
