use std::io;

use remotemedia_codecs::CodecError;
use remotemedia_media::{AudioFrameError, VideoFrameError};

/// Why a file is not played, or not to its end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlayerError {
    /// The file is not there, or cannot be read.
    #[error("it cannot be read: {0}")]
    Read(#[source] io::Error),
    /// The first bytes are those of no format that is played.
    #[error("it is no WAV, Ogg Opus, IVF, Y4M or WebM file: convert it, for example with ffmpeg")]
    UnknownFormat,
    /// The file is damaged.
    #[error("the {format} file is damaged: {reason}")]
    Damaged {
        /// The format that it began as.
        format: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// The file is right, but has something in it that is not played.
    #[error("the {format} file has {found}: {wanted}")]
    Unsupported {
        /// The format of the file.
        format: &'static str,
        /// What it has.
        found: String,
        /// What is played.
        wanted: &'static str,
    },
    /// The codec is not part of the build, or refused.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// The samples make no frame.
    #[error(transparent)]
    Audio(#[from] AudioFrameError),
    /// The pixels make no picture.
    #[error(transparent)]
    Video(#[from] VideoFrameError),
}

impl PlayerError {
    pub(super) fn damaged(format: &'static str, reason: impl ToString) -> Self {
        Self::Damaged { format, reason: reason.to_string() }
    }

    /// What reading reports: either the disk or what is on it.
    pub(super) fn io(format: &'static str, error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => Self::damaged(format, error),
            _ => Self::Read(error),
        }
    }
}
