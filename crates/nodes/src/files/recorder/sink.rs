//! What the files of a recorder have in common.

use std::time::Duration;

use remotemedia_media::{Bitrate, MediaKind, VideoFrame};

use super::error::SinkError;

/// A file that is being written.
pub(super) trait Sink: Send {
    /// Whether the file can take media of `kind`, which may be too late for one whose header is written.
    fn takes(&self, _kind: MediaKind) -> bool {
        true
    }

    /// Appends interleaved samples.
    fn audio(&mut self, _samples: &[f32], _rate: u32, _channels: u16) -> Result<(), SinkError> {
        Ok(())
    }

    /// Appends a picture that is shown at `at` from the beginning of the file.
    fn video(&mut self, _frame: &VideoFrame, _at: Duration) -> Result<(), SinkError> {
        Ok(())
    }

    /// Encodes with these bitrates from now on.
    fn set_bitrates(&mut self, _bitrates: Bitrates) -> Result<(), SinkError> {
        Ok(())
    }

    /// Bytes so far.
    fn bytes(&self) -> u64;

    /// The most bytes that the format allows.
    fn most_bytes(&self) -> u64 {
        u64::MAX
    }

    /// Writes what is still kept and completes the header.
    fn finish(&mut self) -> Result<(), SinkError>;
}

/// What encoders aim at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bitrates {
    pub(super) audio: Bitrate,
    pub(super) video: Bitrate,
}
