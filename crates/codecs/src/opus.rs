//! Opus (RFC 6716) on libopus, which the `opus` crate brings along.

use bytes::Bytes;
use remotemedia_media::{Bitrate, Codec};

use crate::{
    AudioContent, AudioDecoder, AudioDecoderSettings, AudioEncoder, AudioEncoderSettings, CodecError, EncodedAudio,
    audio::{check_bitrate, check_complexity, check_format, check_loss},
};

/// The largest packet: 60 ms at 510 kbit/s, rounded up (libopus itself recommends 4,000 bytes).
const MAX_PACKET: usize = 4_000;
/// The longest packet, in units of 2.5 ms (RFC 6716, section 3.1: 120 ms).
const MAX_UNITS: usize = 48;

/// The Opus encoder.
pub(crate) struct OpusEncoder {
    encoder: opus::Encoder,
    frame_samples: usize,
    channels: usize,
    lookahead: usize,
    packet: Vec<u8>,
}

impl OpusEncoder {
    pub(crate) fn new(settings: &AudioEncoderSettings) -> Result<Self, CodecError> {
        settings.validate()?;
        let application = match settings.content {
            AudioContent::Speech => opus::Application::Voip,
            AudioContent::Music => opus::Application::Audio,
        };
        let mut encoder = opus::Encoder::new(settings.sample_rate, channels(settings.channels), application)
            .map_err(library("creating the encoder"))?;
        let lookahead = encoder.get_lookahead().map_err(library("asking for the lookahead"))?;
        let mut this = Self {
            encoder,
            frame_samples: settings.frame_samples(),
            channels: usize::from(settings.channels),
            lookahead: usize::try_from(lookahead).unwrap_or(0),
            packet: vec![0; MAX_PACKET],
        };
        this.set_bitrate(settings.bitrate)?;
        this.set_complexity(settings.complexity)?;
        this.set_fec(settings.fec)?;
        this.set_expected_loss(settings.expected_loss)?;
        this.set_dtx(settings.dtx)?;
        Ok(this)
    }
}

impl AudioEncoder for OpusEncoder {
    fn encode(&mut self, pcm: &[f32]) -> Result<EncodedAudio, CodecError> {
        let expected = self.frame_samples * self.channels;
        if pcm.len() != expected {
            return Err(CodecError::AudioLength { expected: expected.to_string(), actual: pcm.len() });
        }
        let len = self.encoder.encode_float(pcm, &mut self.packet).map_err(library("encoding"))?;
        // opus_encode answers 2 bytes or less for what need not be sent, and in a longer silence keeps the state.
        let dtx = len <= 2 || self.encoder.get_in_dtx().map_err(library("asking for silence"))?;
        Ok(EncodedAudio { data: Bytes::copy_from_slice(&self.packet[..len]), dtx })
    }

    fn frame_samples(&self) -> usize {
        self.frame_samples
    }

    fn lookahead(&self) -> usize {
        self.lookahead
    }

    fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), CodecError> {
        check_bitrate(bitrate)?;
        // The check keeps it far below i32::MAX.
        let bits = i32::try_from(bitrate.as_bps()).unwrap_or(i32::MAX);
        self.encoder.set_bitrate(opus::Bitrate::Bits(bits)).map_err(library("setting the bitrate"))
    }

    fn set_complexity(&mut self, complexity: u8) -> Result<(), CodecError> {
        check_complexity(complexity)?;
        self.encoder.set_complexity(i32::from(complexity)).map_err(library("setting the complexity"))
    }

    fn set_fec(&mut self, enabled: bool) -> Result<(), CodecError> {
        self.encoder.set_inband_fec(enabled).map_err(library("setting error correction"))
    }

    fn set_expected_loss(&mut self, fraction: f32) -> Result<(), CodecError> {
        check_loss(fraction)?;
        let percent = (fraction * 100.0).round() as i32;
        self.encoder.set_packet_loss_perc(percent).map_err(library("setting the expected loss"))
    }

    fn set_dtx(&mut self, enabled: bool) -> Result<(), CodecError> {
        self.encoder.set_dtx(enabled).map_err(library("setting discontinuous transmission"))
    }
}

/// The Opus decoder.
pub(crate) struct OpusDecoder {
    decoder: opus::Decoder,
    sample_rate: u32,
    channels: u16,
}

impl OpusDecoder {
    pub(crate) fn new(settings: &AudioDecoderSettings) -> Result<Self, CodecError> {
        check_format(settings.sample_rate, settings.channels)?;
        let decoder = opus::Decoder::new(settings.sample_rate, channels(settings.channels))
            .map_err(library("creating the decoder"))?;
        Ok(Self { decoder, sample_rate: settings.sample_rate, channels: settings.channels })
    }

    /// Samples of one channel in 2.5 ms.
    fn unit(&self) -> usize {
        self.sample_rate as usize / 400
    }

    fn check_length(&self, samples: usize) -> Result<(), CodecError> {
        let unit = self.unit();
        if samples.is_multiple_of(unit) && (1..=MAX_UNITS).contains(&(samples / unit)) {
            return Ok(());
        }
        let expected = format!("a multiple of {unit} up to {} for each channel", unit * MAX_UNITS);
        Err(CodecError::AudioLength { expected, actual: samples })
    }

    fn run(&mut self, packet: &[u8], samples: usize, fec: bool, out: &mut Vec<f32>) -> Result<usize, CodecError> {
        let start = out.len();
        let channels = usize::from(self.channels);
        out.resize(start + samples * channels, 0.0);
        match self.decoder.decode_float(packet, &mut out[start..], fec) {
            Ok(decoded) => {
                out.truncate(start + decoded * channels);
                Ok(decoded)
            }
            Err(error) => {
                out.truncate(start);
                Err(CodecError::bitstream(Codec::Opus, error))
            }
        }
    }
}

impl AudioDecoder for OpusDecoder {
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<usize, CodecError> {
        // To libopus an empty packet means "conceal"; from the network it is a broken one.
        if packet.is_empty() {
            return Err(CodecError::bitstream(Codec::Opus, "the packet is empty"));
        }
        self.run(packet, self.unit() * MAX_UNITS, false, out)
    }

    fn conceal(&mut self, samples_per_channel: usize, out: &mut Vec<f32>) -> Result<usize, CodecError> {
        self.check_length(samples_per_channel)?;
        self.run(&[], samples_per_channel, false, out)
    }

    fn recover(
        &mut self,
        next_packet: &[u8],
        samples_per_channel: usize,
        out: &mut Vec<f32>,
    ) -> Result<usize, CodecError> {
        self.check_length(samples_per_channel)?;
        if next_packet.is_empty() {
            return Err(CodecError::bitstream(Codec::Opus, "the packet is empty"));
        }
        self.run(next_packet, samples_per_channel, true, out)
    }

    fn sample_rate(&self) -> u32 {
        self.sample_rate
    }

    fn channels(&self) -> u16 {
        self.channels
    }
}

fn channels(count: u16) -> opus::Channels {
    if count == 2 { opus::Channels::Stereo } else { opus::Channels::Mono }
}

fn library(operation: &'static str) -> impl Fn(opus::Error) -> CodecError {
    move |error| CodecError::library(Codec::Opus, operation, error)
}
