//! Sound of any format as Opus packets of 20 ms.

use remotemedia_codecs::{AudioContent, AudioEncoder, AudioEncoderSettings, audio_encoder};
use remotemedia_media::{Bitrate, Codec};
use remotemedia_resample::{StreamConverter, Timing};

use super::error::SinkError;
use crate::files::opus_head::OpusHead;

/// Samples of one channel in a packet.
pub(super) const PACKET: usize = 960;

/// An encoder with what must come before it.
pub(super) struct OpusTrack {
    encoder: Box<dyn AudioEncoder>,
    converter: StreamConverter,
    input_rate: u32,
    pending: Vec<f32>,
    /// Samples of one channel that were pushed, at 48 kHz.
    pushed: u64,
    encoded: u64,
}

/// One packet.
pub(super) struct Packet {
    pub(super) data: Vec<u8>,
    /// Samples at 48 kHz in front of it.
    pub(super) start: u64,
}

impl OpusTrack {
    /// A track for sound that begins with `rate` and `channels`; more than two channels become two.
    pub(super) fn new(rate: u32, channels: u16, bitrate: Bitrate) -> Result<Self, SinkError> {
        let channels = channels.min(2);
        let content = AudioContent::Music;
        let settings =
            AudioEncoderSettings { channels, bitrate, content, fec: false, ..AudioEncoderSettings::default() };
        Ok(Self {
            encoder: audio_encoder(Codec::Opus, &settings)?,
            converter: StreamConverter::new(48_000, channels, Timing::Exact),
            input_rate: rate,
            pending: Vec::new(),
            pushed: 0,
            encoded: 0,
        })
    }

    pub(super) fn head(&self) -> OpusHead {
        OpusHead {
            channels: self.converter.channels(),
            pre_skip: self.encoder.lookahead() as u16,
            input_rate: self.input_rate,
            gain: 0,
        }
    }

    /// Samples of one channel at 48 kHz so far, without those that a player leaves out.
    pub(super) fn length(&self) -> u64 {
        self.pushed
    }

    pub(super) fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), SinkError> {
        Ok(self.encoder.set_bitrate(bitrate)?)
    }

    /// Encodes what fills packets, and hands them to `take`.
    pub(super) fn push(
        &mut self,
        samples: &[f32],
        rate: u32,
        channels: u16,
        take: &mut dyn FnMut(Packet) -> Result<(), SinkError>,
    ) -> Result<(), SinkError> {
        let before = self.pending.len();
        self.converter.push(samples, rate, channels, &mut self.pending)?;
        self.count(before);
        self.encode(take)
    }

    /// Encodes the rest, with so much silence behind it that a decoder gives all of it.
    pub(super) fn finish(&mut self, take: &mut dyn FnMut(Packet) -> Result<(), SinkError>) -> Result<(), SinkError> {
        let before = self.pending.len();
        self.converter.finish(&mut self.pending)?;
        self.count(before);
        let needed = self.pushed + self.encoder.lookahead() as u64 - self.encoded;
        let samples = needed.next_multiple_of(PACKET as u64) as usize;
        self.pending.resize(samples * usize::from(self.converter.channels()), 0.0);
        self.encode(take)
    }

    fn count(&mut self, before: usize) {
        self.pushed += ((self.pending.len() - before) / usize::from(self.converter.channels())) as u64;
    }

    fn encode(&mut self, take: &mut dyn FnMut(Packet) -> Result<(), SinkError>) -> Result<(), SinkError> {
        let length = PACKET * usize::from(self.converter.channels());
        let mut taken = 0;
        while let Some(pcm) = self.pending.get(taken..taken + length) {
            let data = self.encoder.encode(pcm)?.data;
            take(Packet { data: data.to_vec(), start: self.encoded })?;
            self.encoded += PACKET as u64;
            taken += length;
        }
        self.pending.drain(..taken);
        Ok(())
    }
}
