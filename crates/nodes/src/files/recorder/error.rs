use std::{io, path::Path};

use remotemedia_codecs::CodecError;
use remotemedia_resample::ResampleError;

/// Why something is not recorded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecorderError {
    /// The disk is full, the folder is gone, or the like.
    #[error("{path} cannot be written: {source}")]
    Write {
        /// The file.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// A second stream would go into a file that already has one.
    #[error("{stream} would go into {path}, which records another stream: put {{peer}} or {{stream}} into the path")]
    SecondStream {
        /// The stream that is not recorded.
        stream: String,
        /// The path as the manifest gives it.
        path: String,
    },
    /// The codec refused.
    #[error("{path} cannot be encoded: {source}")]
    Codec {
        /// The file.
        path: String,
        /// What the codec said.
        source: CodecError,
    },
    /// The sound cannot be converted to the rate of the file.
    #[error("{path}: the sound cannot be converted: {source}")]
    Resample {
        /// The file.
        path: String,
        /// What the resampler says.
        source: ResampleError,
    },
    /// Every number that a file name can get is taken.
    #[error("{path} and its 9,999 successors exist: clear the folder, or put {{time}} into the path")]
    NoFreeName {
        /// The first file.
        path: String,
    },
}

/// Why a file cannot go on, before it is known which one.
#[derive(Debug, thiserror::Error)]
pub(super) enum SinkError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Codec(#[from] CodecError),
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

impl SinkError {
    pub(super) fn at(self, path: &Path) -> RecorderError {
        let path = path.display().to_string();
        match self {
            Self::Io(source) => RecorderError::Write { path, source },
            Self::Codec(source) => RecorderError::Codec { path, source },
            Self::Resample(source) => RecorderError::Resample { path, source },
        }
    }
}

impl From<hound::Error> for SinkError {
    fn from(error: hound::Error) -> Self {
        Self::Io(match error {
            hound::Error::IoError(error) => error,
            other => io::Error::other(other),
        })
    }
}

impl From<y4m::Error> for SinkError {
    fn from(error: y4m::Error) -> Self {
        Self::Io(match error {
            y4m::Error::IoError(error) => error,
            other => io::Error::other(other),
        })
    }
}
