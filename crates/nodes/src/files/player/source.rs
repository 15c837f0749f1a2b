//! What plays, whatever the format of the file.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::Path,
    time::Duration,
};

use remotemedia_media::{AudioFrame, VideoFrame};

use super::{PlayerError, ivf::IvfSource, ogg::OggSource, wav::WavSource, webm::WebmSource, y4m::Y4mSource};

/// What files are read through.
pub(super) type Input = BufReader<File>;

/// Sound or a picture out of a file.
#[derive(Debug)]
pub(super) enum Media {
    Audio(AudioFrame),
    Video(VideoFrame),
}

/// A piece of a file.
#[derive(Debug)]
pub(super) struct Item {
    /// When it sounds or is shown, from the beginning of the file.
    pub(super) at: Duration,
    /// When the next piece of its kind is expected.
    pub(super) end: Duration,
    pub(super) media: Media,
}

impl Item {
    pub(super) fn audio(at: Duration, frame: AudioFrame) -> Self {
        Self { at, end: at + frame.duration(), media: Media::Audio(frame) }
    }
}

/// A file that is read piece by piece.
pub(super) trait Source: Send {
    /// The next piece, in the order of the file; `None` at the end, and where the file is cut off.
    fn next(&mut self) -> Result<Option<Item>, PlayerError>;
}

/// Opens the file at `path`, to be played from `start` on. Its format is told by its first bytes.
pub(super) fn open(path: &Path, start: Duration) -> Result<Box<dyn Source>, PlayerError> {
    let mut input = BufReader::new(File::open(path).map_err(PlayerError::Read)?);
    let mut magic = Vec::new();
    (&mut input).take(9).read_to_end(&mut magic).map_err(PlayerError::Read)?;
    input.rewind().map_err(PlayerError::Read)?;
    Ok(match &magic[..] {
        [b'R', b'I', b'F', b'F', ..] => Box::new(WavSource::new(input, start)?),
        [b'O', b'g', b'g', b'S', ..] => Box::new(OggSource::new(input, start)?),
        [b'D', b'K', b'I', b'F', ..] => Box::new(IvfSource::new(input, start)?),
        [0x1a, 0x45, 0xdf, 0xa3, ..] => Box::new(WebmSource::new(input, start)?),
        b"YUV4MPEG2" => Box::new(Y4mSource::new(input, start)?),
        _ => return Err(PlayerError::UnknownFormat),
    })
}

/// `samples` at `rate` as a duration.
pub(super) fn samples_to_time(samples: u64, rate: u32) -> Duration {
    let nanos = u128::from(samples) * 1_000_000_000 / u128::from(rate.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}
