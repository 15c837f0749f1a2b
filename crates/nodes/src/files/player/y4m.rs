use std::{
    io::{BufRead, Seek},
    time::Duration,
};

use remotemedia_media::VideoFrame;
use y4m::{Decoder, Limits};

use super::{
    PlayerError,
    source::{Input, Item, Media, Source},
};

const FORMAT: &str = "Y4M";
/// Bytes of the largest picture: 3840 x 2160, as the video decoders have it, and a little more.
const MOST_BYTES: usize = 16 << 20;

/// A Y4M file, picture by picture.
pub(super) struct Y4mSource {
    decoder: Decoder<Input>,
    start: Duration,
    number: u64,
}

impl Y4mSource {
    pub(super) fn new(mut input: Input, start: Duration) -> Result<Self, PlayerError> {
        check_size(input.fill_buf().map_err(PlayerError::Read)?)?;
        input.rewind().map_err(PlayerError::Read)?;
        let limits = Limits { bytes: MOST_BYTES };
        let decoder = Decoder::new_with_limits(input, limits).map_err(|error| PlayerError::damaged(FORMAT, error))?;
        let unsupported = |found, wanted| Err(PlayerError::Unsupported { format: FORMAT, found, wanted });
        let colours = format!("{:?}", decoder.get_colorspace());
        if decoder.get_bit_depth() != 8 || !colours.starts_with("C420") {
            return unsupported(format!("the colour space {colours}"), "4:2:0 with 8 bits a sample is played");
        }
        let rate = decoder.get_framerate();
        let fps = rate.num as f64 / rate.den.max(1) as f64;
        if rate.den == 0 || !(0.1..=240.0).contains(&fps) {
            return unsupported(format!("{fps} pictures a second"), "0.1 to 240 are played");
        }
        Ok(Self { decoder, start, number: 0 })
    }

    fn time(&self, number: u64) -> Duration {
        let rate = self.decoder.get_framerate();
        let nanos = u128::from(number) * rate.den as u128 * 1_000_000_000 / rate.num.max(1) as u128;
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

/// Refuses sides whose product does not fit a number: the decoder multiplies before it looks at its limits.
fn check_size(begin: &[u8]) -> Result<(), PlayerError> {
    let header = begin.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let sides = header.split(|byte| *byte == b' ').filter(|field| matches!(field.first(), Some(b'W' | b'H')));
    if sides.into_iter().any(|side| side.len() > 6) {
        return Err(PlayerError::damaged(FORMAT, "the picture is too large"));
    }
    Ok(())
}

impl Source for Y4mSource {
    fn next(&mut self) -> Result<Option<Item>, PlayerError> {
        let (width, height) = (self.decoder.get_width() as u32, self.decoder.get_height() as u32);
        loop {
            let (at, end) = (self.time(self.number), self.time(self.number + 1));
            self.number += 1;
            let frame = match self.decoder.read_frame() {
                Ok(frame) => frame,
                Err(y4m::Error::EOF) => return Ok(None),
                Err(y4m::Error::IoError(error)) => {
                    return match error.kind() {
                        std::io::ErrorKind::UnexpectedEof => Ok(None),
                        _ => Err(PlayerError::Read(error)),
                    };
                }
                Err(error) => return Err(PlayerError::damaged(FORMAT, error)),
            };
            if end <= self.start {
                continue;
            }
            let planes = [frame.get_y_plane(), frame.get_u_plane(), frame.get_v_plane()].concat();
            return Ok(Some(Item { at, end, media: Media::Video(VideoFrame::i420(width, height, planes)?) }));
        }
    }
}
