//! VP8 or VP9 in IVF.

use std::{fs::File, io::BufWriter, time::Duration};

use remotemedia_media::{Codec, VideoFrame};

use super::{
    error::SinkError,
    sink::{Bitrates, Sink},
    video_track::VideoTrack,
};
use crate::files::ivf::IvfWriter;

/// An IVF file with pictures at their own times.
pub(super) struct IvfSink {
    file: Option<File>,
    writer: Option<IvfWriter<BufWriter<File>>>,
    track: VideoTrack,
    flushed: Duration,
}

impl IvfSink {
    pub(super) fn new(file: File, codec: Codec, bitrates: Bitrates, framerate: f64) -> Result<Self, SinkError> {
        let track = VideoTrack::new(codec, bitrates.video, framerate)?;
        Ok(Self { file: Some(file), writer: None, track, flushed: Duration::ZERO })
    }
}

impl Sink for IvfSink {
    fn video(&mut self, frame: &VideoFrame, at: Duration) -> Result<(), SinkError> {
        let Some(encoded) = self.track.encode(frame, at)? else { return Ok(()) };
        if let Some(file) = self.file.take() {
            let output = BufWriter::new(file);
            self.writer = Some(IvfWriter::new(output, self.track.codec(), encoded.width, encoded.height)?);
        }
        let Some(writer) = &mut self.writer else { return Ok(()) };
        writer.write(&encoded.data, at)?;
        if at.saturating_sub(self.flushed) >= Duration::from_secs(1) {
            self.flushed = at;
            writer.flush()?;
        }
        Ok(())
    }

    fn set_bitrates(&mut self, bitrates: Bitrates) -> Result<(), SinkError> {
        self.track.set_bitrate(bitrates.video)
    }

    fn bytes(&self) -> u64 {
        self.writer.as_ref().map_or(0, IvfWriter::bytes)
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(self.writer.as_mut().map_or(Ok(()), IvfWriter::flush)?)
    }
}
