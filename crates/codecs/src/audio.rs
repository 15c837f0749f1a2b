use std::time::Duration;

use bytes::Bytes;
use remotemedia_media::{Bitrate, Codec, MediaKind};

use crate::CodecError;

/// Encodes interleaved samples, one frame a call.
///
/// Every setter acts on the next frame.
pub trait AudioEncoder: Send {
    /// Encodes exactly one frame: [`AudioEncoder::frame_samples`] samples of each channel, interleaved, in [-1, 1].
    ///
    /// # Errors
    ///
    /// [`CodecError::AudioLength`] if `pcm` is no whole frame.
    fn encode(&mut self, pcm: &[f32]) -> Result<EncodedAudio, CodecError>;

    /// Samples of one channel in a frame.
    fn frame_samples(&self) -> usize;

    /// By how many samples of one channel the decoded sound trails the input, at the encoder's sample rate.
    fn lookahead(&self) -> usize;

    /// Aims at `bitrate` from now on.
    ///
    /// # Errors
    ///
    /// [`CodecError::InvalidSetting`] outside [`AudioEncoderSettings::MIN_BITRATE`] to
    /// [`AudioEncoderSettings::MAX_BITRATE`].
    fn set_bitrate(&mut self, bitrate: Bitrate) -> Result<(), CodecError>;

    /// Spends more (10) or less (0) computation on quality.
    ///
    /// # Errors
    ///
    /// [`CodecError::InvalidSetting`] above 10.
    fn set_complexity(&mut self, complexity: u8) -> Result<(), CodecError>;

    /// Whether packets carry a coarse copy of the frame before them, for [`AudioDecoder::recover`]. The codec adds it
    /// only while losses are expected: see [`AudioEncoder::set_expected_loss`].
    ///
    /// # Errors
    ///
    /// [`CodecError::Library`].
    fn set_fec(&mut self, enabled: bool) -> Result<(), CodecError>;

    /// The share of packets that get lost, 0.0 to 1.0: the encoder protects itself accordingly.
    ///
    /// # Errors
    ///
    /// [`CodecError::InvalidSetting`] outside 0.0 to 1.0.
    fn set_expected_loss(&mut self, fraction: f32) -> Result<(), CodecError>;

    /// Whether silence is sent as almost nothing (discontinuous transmission).
    ///
    /// # Errors
    ///
    /// [`CodecError::Library`].
    fn set_dtx(&mut self, enabled: bool) -> Result<(), CodecError>;
}

/// Decodes audio packets to interleaved `f32` samples at the decoder's own rate and channel count, whatever the
/// sender's were.
///
/// Every method appends to `out` and answers the appended samples of one channel. On an error `out` is left as it was
/// and the decoder stays usable.
pub trait AudioDecoder: Send {
    /// Decodes one packet.
    ///
    /// # Errors
    ///
    /// [`CodecError::Bitstream`] if it is no valid packet. Conceal it like a lost one.
    fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<usize, CodecError>;

    /// Invents the sound of a lost packet out of what came before. `samples_per_channel` is a multiple of 2.5 ms and
    /// at most 120 ms.
    ///
    /// # Errors
    ///
    /// [`CodecError::AudioLength`] for any other length.
    fn conceal(&mut self, samples_per_channel: usize, out: &mut Vec<f32>) -> Result<usize, CodecError>;

    /// Restores the lost packet *before* `next_packet` from the copy that in-band error correction put there; without
    /// one it is concealed. Decode `next_packet` itself afterwards. `samples_per_channel` is the length of the lost
    /// packet, a multiple of 2.5 ms and at most 120 ms.
    ///
    /// # Errors
    ///
    /// [`CodecError::AudioLength`] for any other length, [`CodecError::Bitstream`] if `next_packet` is no valid packet.
    fn recover(
        &mut self,
        next_packet: &[u8],
        samples_per_channel: usize,
        out: &mut Vec<f32>,
    ) -> Result<usize, CodecError>;

    /// Samples a second of one channel, in Hz.
    fn sample_rate(&self) -> u32;

    /// Interleaved channels, 1 or 2.
    fn channels(&self) -> u16;
}

/// One encoded audio packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncodedAudio {
    /// The packet.
    pub data: Bytes,
    /// Whether the encoder is in a silence that it need not transmit: such a packet may be left unsent.
    pub dtx: bool,
}

/// What an audio encoder is tuned for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AudioContent {
    /// Voices: intelligibility first.
    #[default]
    Speech,
    /// Music and everything else: fidelity first.
    Music,
}

/// How an audio encoder starts.
///
/// ```
/// # use remotemedia_codecs::AudioEncoderSettings;
/// let settings = AudioEncoderSettings { channels: 2, dtx: true, ..AudioEncoderSettings::default() };
/// assert_eq!(settings.frame_samples(), 960);
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct AudioEncoderSettings {
    /// 8,000, 12,000, 16,000, 24,000 or 48,000 Hz. Default 48,000.
    pub sample_rate: u32,
    /// 1 or 2. Default 1.
    pub channels: u16,
    /// 2.5, 5, 10, 20, 40 or 60 ms. Default 20 ms.
    pub frame: Duration,
    /// [`Self::MIN_BITRATE`] to [`Self::MAX_BITRATE`]. Default 32 kbit/s.
    pub bitrate: Bitrate,
    /// 0 (fast) to 10 (best). Default 9.
    pub complexity: u8,
    /// In-band error correction. Default on.
    pub fec: bool,
    /// Share of packets expected to get lost, 0.0 to 1.0. Default 0.0: no redundancy is added yet.
    pub expected_loss: f32,
    /// Discontinuous transmission. Default off.
    pub dtx: bool,
    /// What it is tuned for. Default [`AudioContent::Speech`].
    pub content: AudioContent,
}

impl AudioEncoderSettings {
    /// The lowest bitrate at which Opus is of use (RFC 6716, section 2.1.1).
    pub const MIN_BITRATE: Bitrate = Bitrate::from_kbps(6);
    /// The highest bitrate of Opus (RFC 6716, section 2.1.1).
    pub const MAX_BITRATE: Bitrate = Bitrate::from_kbps(510);

    /// Samples of one channel in a frame.
    pub fn frame_samples(&self) -> usize {
        (u64::from(self.sample_rate) * self.frame.as_micros() as u64 / 1_000_000) as usize
    }

    #[cfg(feature = "opus")]
    pub(crate) fn validate(&self) -> Result<(), CodecError> {
        check_format(self.sample_rate, self.channels)?;
        if ![2_500, 5_000, 10_000, 20_000, 40_000, 60_000].contains(&self.frame.as_micros()) {
            return Err(CodecError::InvalidSetting {
                field: "frame",
                value: format!("{:?}", self.frame),
                range: "2.5, 5, 10, 20, 40 or 60 ms",
            });
        }
        check_bitrate(self.bitrate)?;
        check_complexity(self.complexity)?;
        check_loss(self.expected_loss)
    }
}

impl Default for AudioEncoderSettings {
    fn default() -> Self {
        Self {
            sample_rate: 48_000,
            channels: 1,
            frame: Duration::from_millis(20),
            bitrate: Bitrate::from_kbps(32),
            complexity: 9,
            fec: true,
            expected_loss: 0.0,
            dtx: false,
            content: AudioContent::Speech,
        }
    }
}

/// What an audio decoder puts out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AudioDecoderSettings {
    /// 8,000, 12,000, 16,000, 24,000 or 48,000 Hz. Default 48,000.
    pub sample_rate: u32,
    /// 1 or 2. Default 1.
    pub channels: u16,
}

impl Default for AudioDecoderSettings {
    fn default() -> Self {
        Self { sample_rate: 48_000, channels: 1 }
    }
}

/// Creates an encoder of `codec`.
///
/// # Errors
///
/// [`CodecError::InvalidSetting`], [`CodecError::CodecNotBuilt`], or [`CodecError::WrongKind`] for a video codec.
pub fn audio_encoder(codec: Codec, settings: &AudioEncoderSettings) -> Result<Box<dyn AudioEncoder>, CodecError> {
    match codec {
        #[cfg(feature = "opus")]
        Codec::Opus => Ok(Box::new(crate::opus::OpusEncoder::new(settings)?)),
        #[cfg(not(feature = "opus"))]
        Codec::Opus => {
            let _ = settings;
            Err(CodecError::CodecNotBuilt { codec, feature: "opus" })
        }
        _ => Err(CodecError::WrongKind { codec, wanted: MediaKind::Audio }),
    }
}

/// Creates a decoder of `codec`.
///
/// # Errors
///
/// [`CodecError::InvalidSetting`], [`CodecError::CodecNotBuilt`], or [`CodecError::WrongKind`] for a video codec.
pub fn audio_decoder(codec: Codec, settings: &AudioDecoderSettings) -> Result<Box<dyn AudioDecoder>, CodecError> {
    match codec {
        #[cfg(feature = "opus")]
        Codec::Opus => Ok(Box::new(crate::opus::OpusDecoder::new(settings)?)),
        #[cfg(not(feature = "opus"))]
        Codec::Opus => {
            let _ = settings;
            Err(CodecError::CodecNotBuilt { codec, feature: "opus" })
        }
        _ => Err(CodecError::WrongKind { codec, wanted: MediaKind::Audio }),
    }
}

#[cfg(feature = "opus")]
pub(crate) fn check_format(sample_rate: u32, channels: u16) -> Result<(), CodecError> {
    if ![8_000, 12_000, 16_000, 24_000, 48_000].contains(&sample_rate) {
        return Err(CodecError::InvalidSetting {
            field: "sample_rate",
            value: format!("{sample_rate} Hz"),
            range: "8,000, 12,000, 16,000, 24,000 or 48,000 Hz",
        });
    }
    if !(1..=2).contains(&channels) {
        return Err(CodecError::InvalidSetting { field: "channels", value: channels.to_string(), range: "1 or 2" });
    }
    Ok(())
}

#[cfg(feature = "opus")]
pub(crate) fn check_bitrate(bitrate: Bitrate) -> Result<(), CodecError> {
    if (AudioEncoderSettings::MIN_BITRATE..=AudioEncoderSettings::MAX_BITRATE).contains(&bitrate) {
        Ok(())
    } else {
        Err(CodecError::InvalidSetting { field: "bitrate", value: bitrate.to_string(), range: "6 to 510 kbit/s" })
    }
}

#[cfg(feature = "opus")]
pub(crate) fn check_complexity(complexity: u8) -> Result<(), CodecError> {
    if complexity <= 10 {
        Ok(())
    } else {
        Err(CodecError::InvalidSetting { field: "complexity", value: complexity.to_string(), range: "0 to 10" })
    }
}

#[cfg(feature = "opus")]
pub(crate) fn check_loss(fraction: f32) -> Result<(), CodecError> {
    if (0.0..=1.0).contains(&fraction) {
        Ok(())
    } else {
        Err(CodecError::InvalidSetting { field: "expected_loss", value: fraction.to_string(), range: "0.0 to 1.0" })
    }
}
