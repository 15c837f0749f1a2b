use std::{
    io::{self, Read, Seek, SeekFrom},
    time::Duration,
};

use remotemedia_media::Codec;

use super::{
    PlayerError,
    opus::{OpusPlayback, RATE},
    source::{Input, Item, Source},
    video::{VideoPlayback, frames_before_start},
};
use crate::files::{
    ebml::{self, Header, at_end, children, id, uint},
    opus_head::OpusHead,
};

const FORMAT: &str = "WebM";
/// The largest description of tracks, and the largest block.
const MOST_DESCRIPTION: u64 = 1 << 20;
const MOST_BLOCK: u64 = 16 << 20;
/// By how much the times of packets, which are whole milliseconds, may differ from the count of their samples.
const JITTER: u64 = 240;

/// The first Opus track and the first VP8 or VP9 track of a WebM file.
pub(super) struct WebmSource {
    blocks: Blocks,
    audio: Option<OpusPlayback>,
    video: Option<VideoPlayback>,
}

impl WebmSource {
    pub(super) fn new(input: Input, start: Duration) -> Result<Self, PlayerError> {
        let mut blocks = Blocks::new(input)?;
        let audio = blocks.audio.map(|(_, head)| OpusPlayback::new(head, start)).transpose()?;
        let mut video = None;
        if let Some((number, codec)) = blocks.video {
            let mut skipped = 0;
            if !start.is_zero() {
                let pictures = std::iter::from_fn(|| blocks.next().ok().flatten())
                    .filter(|block| block.track == number)
                    .map(|block| (block.at, block.data));
                skipped = frames_before_start(codec, start, pictures);
                blocks.rewind()?;
            }
            video = Some(VideoPlayback::new(codec, start, skipped)?);
        }
        Ok(Self { blocks, audio, video })
    }

    fn decode_audio(playback: &mut OpusPlayback, block: &Block) -> Result<Option<Item>, PlayerError> {
        // Positions count from where the decoder begins, which is as much before time zero as players leave out.
        let told = (block.at.as_nanos() * u128::from(RATE) / 1_000_000_000) as u64;
        if told.abs_diff(playback.position()) > JITTER {
            playback.move_to(told);
        }
        playback.decode(&block.data, u64::MAX)
    }
}

impl Source for WebmSource {
    fn next(&mut self) -> Result<Option<Item>, PlayerError> {
        while let Some(block) = self.blocks.next()? {
            let item = match (&mut self.audio, &mut self.video) {
                (Some(playback), _) if self.blocks.audio.is_some_and(|(number, _)| number == block.track) => {
                    Self::decode_audio(playback, &block)?
                }
                (_, Some(playback)) if self.blocks.video.is_some_and(|(number, _)| number == block.track) => {
                    playback.decode(block.data, block.at)
                }
                _ => None,
            };
            if item.is_some() {
                return Ok(item);
            }
        }
        Ok(None)
    }
}

/// One block of a track.
struct Block {
    track: u64,
    at: Duration,
    data: Vec<u8>,
}

/// The blocks of a file. Elements that contain blocks are entered, and all others skipped, so that neither the order of
/// elements nor unknown sizes matter.
struct Blocks {
    input: Input,
    /// Nanoseconds of a tick.
    scale: u64,
    audio: Option<(u64, OpusHead)>,
    video: Option<(u64, Codec)>,
    /// Time of the cluster in ticks.
    cluster: u64,
    first_cluster: u64,
}

impl Blocks {
    /// Reads everything up to the first cluster.
    fn new(input: Input) -> Result<Self, PlayerError> {
        let mut this = Self { input, scale: 1_000_000, audio: None, video: None, cluster: 0, first_cluster: 0 };
        while let Some(header) = Header::read(&mut this.input).map_err(error)? {
            match header.id {
                id::SEGMENT => {}
                id::CLUSTER => {
                    this.first_cluster = this.input.stream_position().map_err(error)?;
                    break;
                }
                id::INFO => {
                    let body = this.body(header, MOST_DESCRIPTION)?.unwrap_or_default();
                    let scale =
                        children(&body).find(|(id, _)| *id == id::TIMESTAMP_SCALE).and_then(|(_, body)| uint(body));
                    // Beyond a second a tick is no time any more.
                    this.scale = scale.unwrap_or(this.scale).clamp(1, 1_000_000_000);
                }
                id::TRACKS => {
                    let body = this.body(header, MOST_DESCRIPTION)?.unwrap_or_default();
                    for (_, track) in children(&body).filter(|(id, _)| *id == id::TRACK_ENTRY) {
                        this.add_track(track);
                    }
                }
                _ => this.skip(header)?,
            }
        }
        if this.audio.is_none() && this.video.is_none() {
            return Err(PlayerError::Unsupported {
                format: FORMAT,
                found: "no track of a known codec".to_owned(),
                wanted: "VP8, VP9 and Opus of one or two channels are played",
            });
        }
        Ok(this)
    }

    fn add_track(&mut self, track: &[u8]) {
        let child = |wanted| children(track).find(|(id, _)| *id == wanted).map(|(_, body)| body);
        let Some(number) = child(id::TRACK_NUMBER).and_then(uint) else { return };
        match child(id::CODEC_ID) {
            Some(b"V_VP8") => self.video = self.video.or(Some((number, Codec::Vp8))),
            Some(b"V_VP9") => self.video = self.video.or(Some((number, Codec::Vp9))),
            Some(b"A_OPUS") => {
                let head = child(id::CODEC_PRIVATE).and_then(OpusHead::parse);
                self.audio = self.audio.or(head.map(|head| (number, head)));
            }
            _ => {}
        }
    }

    fn next(&mut self) -> Result<Option<Block>, PlayerError> {
        while let Some(header) = Header::read(&mut self.input).map_err(error)? {
            match header.id {
                id::SEGMENT | id::CLUSTER | id::BLOCK_GROUP => {}
                id::TIMESTAMP => {
                    let Some(body) = self.body(header, 8)? else { return Ok(None) };
                    self.cluster = uint(&body).unwrap_or(0);
                }
                id::SIMPLE_BLOCK | id::BLOCK => {
                    let Some(body) = self.body(header, MOST_BLOCK)? else { return Ok(None) };
                    if let Some(block) = self.block(&body)? {
                        return Ok(Some(block));
                    }
                }
                _ => self.skip(header)?,
            }
        }
        Ok(None)
    }

    fn block(&self, mut body: &[u8]) -> Result<Option<Block>, PlayerError> {
        let Some((track, _)) = at_end(ebml::read_number(&mut body, 8, false)).map_err(error)? else { return Ok(None) };
        let [t0, t1, flags, data @ ..] = body else { return Ok(None) };
        if flags & 0x06 != 0 {
            return Err(PlayerError::Unsupported {
                format: FORMAT,
                found: "several frames in one block".to_owned(),
                wanted: "blocks of one frame are played, so mux it again without lacing",
            });
        }
        let ticks = i128::from(self.cluster) + i128::from(i16::from_be_bytes([*t0, *t1]));
        let nanos = u64::try_from(ticks.max(0) * i128::from(self.scale)).unwrap_or(u64::MAX);
        Ok(Some(Block { track, at: Duration::from_nanos(nanos), data: data.to_vec() }))
    }

    fn rewind(&mut self) -> Result<(), PlayerError> {
        self.cluster = 0;
        self.input.seek(SeekFrom::Start(self.first_cluster)).map(drop).map_err(error)
    }

    /// The body of an element; `None` if the file ends within it.
    fn body(&mut self, header: Header, most: u64) -> Result<Option<Vec<u8>>, PlayerError> {
        let size = header.size.filter(|size| *size <= most).ok_or_else(|| {
            PlayerError::damaged(FORMAT, format!("element {:x} claims more than {most} bytes", header.id))
        })?;
        let mut body = Vec::new();
        // Grows with what is there, not with what the header claims.
        (&mut self.input).take(size).read_to_end(&mut body).map_err(error)?;
        Ok((body.len() as u64 == size).then_some(body))
    }

    fn skip(&mut self, header: Header) -> Result<(), PlayerError> {
        let size = header.size.and_then(|size| i64::try_from(size).ok());
        let size = size.ok_or_else(|| {
            PlayerError::damaged(FORMAT, format!("element {:x} does not say where it ends", header.id))
        })?;
        // Behind the end of the file there is nothing more to read, and that is all.
        self.input.seek_relative(size).map_err(error)
    }
}

fn error(error: io::Error) -> PlayerError {
    PlayerError::io(FORMAT, error)
}
