use std::{io::Seek, time::Duration};

use super::{
    PlayerError,
    source::{Input, Item, Source},
    video::{VideoPlayback, frames_before_start},
};
use crate::files::ivf::IvfReader;

const FORMAT: &str = "IVF";

/// An IVF file, picture by picture.
pub(super) struct IvfSource {
    reader: IvfReader<Input>,
    playback: VideoPlayback,
}

impl IvfSource {
    pub(super) fn new(input: Input, start: Duration) -> Result<Self, PlayerError> {
        let damaged = |error| PlayerError::io(FORMAT, error);
        let mut reader = IvfReader::new(input).map_err(damaged)?;
        let codec = reader.codec();
        let mut skipped = 0;
        if !start.is_zero() {
            let frames = std::iter::from_fn(|| reader.next().ok().flatten());
            skipped = frames_before_start(codec, start, frames);
            let mut input = reader.into_inner();
            input.rewind().map_err(damaged)?;
            reader = IvfReader::new(input).map_err(damaged)?;
        }
        Ok(Self { reader, playback: VideoPlayback::new(codec, start, skipped)? })
    }
}

impl Source for IvfSource {
    fn next(&mut self) -> Result<Option<Item>, PlayerError> {
        while let Some((at, data)) = self.reader.next().map_err(|error| PlayerError::io(FORMAT, error))? {
            if let Some(item) = self.playback.decode(data, at) {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }
}

#[cfg(all(test, feature = "h264"))]
mod tests {
    use std::{fs::File, io::BufReader};

    use remotemedia_codecs::{VideoEncoderSettings, test_media::Clip, video_encoder};
    use remotemedia_media::Codec;

    use super::*;
    use crate::files::ivf::IvfWriter;

    #[test]
    fn h264_is_played_from_the_beginning_and_from_a_later_keyframe() {
        let path = tempfile::NamedTempFile::new().unwrap();
        let mut writer = IvfWriter::new(path.as_file(), Codec::H264, 160, 120).unwrap();
        let mut encoder = video_encoder(Codec::H264, &VideoEncoderSettings::default()).unwrap();
        let clip = Clip::new(2, 160, 120);
        let time = |number: u64| Duration::from_millis(40) * number as u32;
        for number in 0..10 {
            let encoded = encoder.encode(&clip.frame(number), time(number), number == 5).unwrap().unwrap();
            writer.write(&encoded.data, time(number)).unwrap();
        }
        writer.flush().unwrap();
        for (start, expected) in [(0, 10), (7, 3)] {
            let input = BufReader::new(File::open(path.path()).unwrap());
            let mut source = IvfSource::new(input, time(start)).unwrap();
            let mut times = Vec::new();
            while let Some(item) = source.next().unwrap() {
                times.push(item.at);
            }
            assert_eq!(times, (start..start + expected).map(time).collect::<Vec<_>>());
        }
    }
}
