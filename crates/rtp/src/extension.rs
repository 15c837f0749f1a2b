use std::time::Duration;

use remotemedia_media::NtpTime;

/// When the first sample or picture of a packet was captured, by the clock of whoever captured it.
///
/// The `abs-capture-time` header extension, <http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time>: 8 bytes, or
/// 16 with the offset. It survives mixers and forwarding servers, unlike the mapping in sender reports.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbsCaptureTime {
    /// Capture time on the capturer's clock.
    pub capture: NtpTime,
    /// What a forwarder adds: the capturer's clock minus the forwarder's, in units of 2^-32 s.
    pub clock_offset: Option<i64>,
}

impl AbsCaptureTime {
    /// The URI that negotiates it in SDP.
    pub const URI: &'static str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-capture-time";

    /// Reads the value of the extension.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::Length`] if it is neither 8 nor 16 bytes long.
    pub fn parse(value: &[u8]) -> Result<Self, ExtensionError> {
        let word = |at: usize| value.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_be_bytes);
        match (value.len(), word(0), word(8)) {
            (8, Some(capture), _) => Ok(Self { capture: NtpTime(capture), clock_offset: None }),
            (16, Some(capture), Some(offset)) => {
                Ok(Self { capture: NtpTime(capture), clock_offset: Some(offset as i64) })
            }
            _ => Err(ExtensionError::Length { extension: Self::URI, expected: "8 or 16", bytes: value.len() }),
        }
    }

    /// The value to write.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.capture.0.to_be_bytes().to_vec();
        if let Some(offset) = self.clock_offset {
            bytes.extend(offset.to_be_bytes());
        }
        bytes
    }

    /// The offset as a duration and whether the capturer's clock is the one behind.
    pub fn offset_duration(self) -> Option<(Duration, bool)> {
        let offset = self.clock_offset?;
        let nanos = (u128::from(offset.unsigned_abs()) * 1_000_000_000) >> 32;
        // 2^63 units are 2^31 s, whose nanoseconds fit.
        Some((Duration::from_nanos(nanos as u64), offset < 0))
    }
}

/// How loud the audio of a packet is (RFC 6464).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AudioLevel {
    /// Level in -dBov: 0 is the loudest, 127 silence.
    pub level: u8,
    /// Whether the sender believes that this is speech.
    pub voice: bool,
}

impl AudioLevel {
    /// The URI that negotiates it in SDP.
    pub const URI: &'static str = "urn:ietf:params:rtp-hdrext:ssrc-audio-level";

    /// Measures `samples` in [-1, 1]: the root mean square against a full-scale square wave, as RFC 6464 defines dBov.
    pub fn measure(samples: &[f32], voice: bool) -> Self {
        let energy: f64 = samples.iter().map(|s| f64::from(*s) * f64::from(*s)).sum();
        let mean_square = energy / samples.len().max(1) as f64;
        // The cast saturates: silence is infinitely far down, clipped audio above the top.
        let level = (-10.0 * mean_square.log10()).round() as u8;
        Self { level: level.min(127), voice }
    }

    /// Reads the value of the extension.
    ///
    /// # Errors
    ///
    /// [`ExtensionError::Length`] if it is empty. Bytes behind the first are padding and are ignored.
    pub fn parse(value: &[u8]) -> Result<Self, ExtensionError> {
        match value.first() {
            Some(byte) => Ok(Self { level: byte & 0x7f, voice: byte & 0x80 != 0 }),
            None => Err(ExtensionError::Length { extension: Self::URI, expected: "1", bytes: 0 }),
        }
    }

    /// The value to write. A level above 127 is written as 127.
    pub fn to_bytes(self) -> [u8; 1] {
        [self.level.min(127) | if self.voice { 0x80 } else { 0 }]
    }
}

/// Why the bytes of a header extension are no value of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ExtensionError {
    /// The value has a length that the extension does not have.
    #[error("{extension} is {expected} bytes long, not {bytes}: ignore this value")]
    Length {
        /// URI of the extension.
        extension: &'static str,
        /// The lengths it may have.
        expected: &'static str,
        /// The length it had.
        bytes: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capture_time_round_trips_with_and_without_offset() {
        for clock_offset in [None, Some(0), Some(-(3_i64 << 31)), Some(i64::MAX)] {
            let value = AbsCaptureTime { capture: NtpTime(0xe0e0_e0e0_1234_5678), clock_offset };
            assert_eq!(AbsCaptureTime::parse(&value.to_bytes()), Ok(value));
        }
        let late = AbsCaptureTime { capture: NtpTime(1), clock_offset: Some(-(3_i64 << 31)) };
        assert_eq!(late.offset_duration(), Some((Duration::from_millis(1_500), true)));
    }

    #[test]
    fn odd_lengths_are_refused() {
        for bytes in [0, 1, 7, 9, 15, 17] {
            assert!(AbsCaptureTime::parse(&vec![0; bytes]).is_err(), "{bytes}");
        }
        assert!(AudioLevel::parse(&[]).is_err());
    }

    #[test]
    fn levels_are_those_of_rfc_6464() {
        assert_eq!(AudioLevel::measure(&[1.0, -1.0], true).level, 0);
        assert_eq!(AudioLevel::measure(&[0.1, -0.1], true).level, 20);
        assert_eq!(AudioLevel::measure(&[0.0; 480], false).level, 127);
        assert_eq!(AudioLevel::measure(&[], false).level, 127);
        assert_eq!(AudioLevel::measure(&[4.0; 4], false).level, 0);
        assert_eq!(AudioLevel { level: 30, voice: true }.to_bytes(), [0x9e]);
        assert_eq!(AudioLevel::parse(&[0x9e, 0]), Ok(AudioLevel { level: 30, voice: true }));
    }
}
