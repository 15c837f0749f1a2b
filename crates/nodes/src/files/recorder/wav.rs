//! WAV with 16-bit or float samples.

use std::{fs::File, io::BufWriter};

use hound::{SampleFormat, WavSpec, WavWriter};
use remotemedia_resample::{StreamConverter, Timing};

use super::{WavFormat, error::SinkError, sink::Sink};

/// The format keeps its sizes in 32 bits.
const MOST_BYTES: u64 = u32::MAX as u64 - (1 << 24);

/// A WAV file with the rate and the channels of what comes first. What comes later in another format is converted.
pub(super) struct WavSink {
    file: Option<File>,
    format: WavFormat,
    track: Option<Track>,
}

struct Track {
    writer: WavWriter<BufWriter<File>>,
    converter: StreamConverter,
    converted: Vec<f32>,
    /// Samples of one channel since the header was right.
    unflushed: u32,
}

impl WavSink {
    pub(super) fn new(file: File, format: WavFormat) -> Self {
        Self { file: Some(file), format, track: None }
    }

    fn open(&self, file: File, sample_rate: u32, channels: u16) -> Result<Track, SinkError> {
        let (bits_per_sample, sample_format) = match self.format {
            WavFormat::Pcm16 => (16, SampleFormat::Int),
            WavFormat::Float => (32, SampleFormat::Float),
        };
        let spec = WavSpec { channels, sample_rate, bits_per_sample, sample_format };
        let writer = WavWriter::new(BufWriter::new(file), spec)?;
        let converter = StreamConverter::new(sample_rate, channels, Timing::Exact);
        Ok(Track { writer, converter, converted: Vec::new(), unflushed: 0 })
    }
}

impl Track {
    fn write(&mut self) -> Result<(), SinkError> {
        match self.writer.spec().sample_format {
            SampleFormat::Float => {
                for sample in &self.converted {
                    self.writer.write_sample(*sample)?;
                }
            }
            SampleFormat::Int => {
                for sample in &self.converted {
                    // The conversion to i16 saturates, as it should for what is too loud.
                    self.writer.write_sample((sample * 32_768.0).round() as i16)?;
                }
            }
        }
        self.unflushed += (self.converted.len() / usize::from(self.converter.channels())) as u32;
        self.converted.clear();
        if self.unflushed >= self.converter.sample_rate() {
            self.unflushed = 0;
            self.writer.flush()?;
        }
        Ok(())
    }
}

impl Sink for WavSink {
    fn audio(&mut self, samples: &[f32], rate: u32, channels: u16) -> Result<(), SinkError> {
        if let Some(file) = self.file.take() {
            self.track = Some(self.open(file, rate, channels)?);
        }
        let Some(track) = &mut self.track else { return Ok(()) };
        track.converter.push(samples, rate, channels, &mut track.converted)?;
        track.write()
    }

    fn bytes(&self) -> u64 {
        self.track
            .as_ref()
            .map_or(0, |track| 68 + u64::from(track.writer.len()) * u64::from(track.writer.spec().bits_per_sample / 8))
    }

    fn most_bytes(&self) -> u64 {
        MOST_BYTES
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let Some(mut track) = self.track.take() else { return Ok(()) };
        track.converter.finish(&mut track.converted)?;
        track.write()?;
        Ok(track.writer.finalize()?)
    }
}
