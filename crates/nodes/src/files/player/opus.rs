//! Opus out of a container.

use std::time::Duration;

use remotemedia_codecs::{AudioDecoder, AudioDecoderSettings, audio_decoder};
use remotemedia_media::{AudioFrame, Codec};

use super::{
    PlayerError,
    source::{Item, samples_to_time},
};
use crate::files::opus_head::{OpusHead, packet_samples};

/// The rate that everything is decoded to.
pub(super) const RATE: u32 = 48_000;
/// Samples that a decoder needs until it is right when it begins in the middle (RFC 7845, section 4.6: 80 ms).
const PRE_ROLL: u64 = 3_840;

/// A decoder that leaves out what comes before the beginning of the sound.
pub(super) struct OpusPlayback {
    decoder: Box<dyn AudioDecoder>,
    gain: f32,
    pre_skip: u64,
    /// Samples in front of the next packet, counted from where the decoder began.
    position: u64,
    /// The first sample that is played, counted likewise.
    first: u64,
}

impl OpusPlayback {
    pub(super) fn new(head: OpusHead, start: Duration) -> Result<Self, PlayerError> {
        let settings = AudioDecoderSettings { sample_rate: RATE, channels: head.channels };
        let pre_skip = u64::from(head.pre_skip);
        let first = pre_skip + (start.as_secs_f64() * f64::from(RATE)) as u64;
        let gain = head.gain_factor();
        Ok(Self { decoder: audio_decoder(Codec::Opus, &settings)?, gain, pre_skip, position: 0, first })
    }

    /// Goes on at `position`, in samples from where the decoder began.
    pub(super) fn move_to(&mut self, position: u64) {
        self.position = position;
    }

    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Decodes `packet`, whose sound ends at `end` at the latest. `None` if nothing of it is played.
    pub(super) fn decode(&mut self, packet: &[u8], end: u64) -> Result<Option<Item>, PlayerError> {
        // What is no packet is as long as most are.
        let length = packet_samples(packet).unwrap_or(960);
        let begin = self.position;
        self.position += length as u64;
        if self.position + PRE_ROLL < self.first {
            return Ok(None);
        }
        let mut samples = Vec::new();
        if self.decoder.decode(packet, &mut samples).is_err() {
            // A damaged packet is one that was lost.
            self.decoder.conceal(length.next_multiple_of(120), &mut samples)?;
        }
        let channels = usize::from(self.decoder.channels());
        let decoded = (samples.len() / channels) as u64;
        let from = self.first.saturating_sub(begin).min(decoded);
        let until = end.saturating_sub(begin).min(decoded);
        if from >= until {
            return Ok(None);
        }
        samples.truncate(until as usize * channels);
        samples.drain(..from as usize * channels);
        if self.gain != 1.0 {
            samples.iter_mut().for_each(|sample| *sample *= self.gain);
        }
        let at = samples_to_time((begin + from).saturating_sub(self.pre_skip), RATE);
        Ok(Some(Item::audio(at, AudioFrame::new(samples, RATE, self.decoder.channels())?)))
    }
}
