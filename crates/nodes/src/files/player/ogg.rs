use std::{io, time::Duration};

use ogg::{OggReadError, PacketReader};

use super::{
    PlayerError,
    opus::OpusPlayback,
    source::{Input, Item, Source},
};
use crate::files::opus_head::OpusHead;

const FORMAT: &str = "Ogg";

/// The first Opus stream of an Ogg file, one packet at a time.
pub(super) struct OggSource {
    reader: PacketReader<Input>,
    serial: u32,
    playback: OpusPlayback,
    has_tags: bool,
}

impl OggSource {
    pub(super) fn new(input: Input, start: Duration) -> Result<Self, PlayerError> {
        let mut reader = PacketReader::new(input);
        // The first packets of all streams come before anything else.
        while let Some(packet) = read(&mut reader)? {
            if packet.data.starts_with(b"OpusHead") {
                let head = OpusHead::parse(&packet.data).ok_or_else(|| PlayerError::Unsupported {
                    format: FORMAT,
                    found: "an Opus stream of more than two channels".to_owned(),
                    wanted: "mono and stereo are played",
                })?;
                let playback = OpusPlayback::new(head, start)?;
                return Ok(Self { reader, serial: packet.stream_serial(), playback, has_tags: false });
            }
            if !packet.first_in_stream() {
                break;
            }
        }
        Err(PlayerError::Unsupported {
            format: FORMAT,
            found: "no Opus stream".to_owned(),
            wanted: "only Opus is played, so encode it again",
        })
    }
}

fn read(reader: &mut PacketReader<Input>) -> Result<Option<ogg::Packet>, PlayerError> {
    reader.read_packet().or_else(|error| match error {
        OggReadError::ReadError(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        OggReadError::ReadError(error) => Err(PlayerError::Read(error)),
        other => Err(PlayerError::damaged(FORMAT, other)),
    })
}

impl Source for OggSource {
    fn next(&mut self) -> Result<Option<Item>, PlayerError> {
        while let Some(packet) = read(&mut self.reader)? {
            if packet.stream_serial() != self.serial {
                continue;
            }
            if !self.has_tags {
                self.has_tags = true;
                continue;
            }
            // The position of a page is that of its end; only the last one cuts a packet.
            let end = if packet.last_in_stream() { packet.absgp_page() } else { u64::MAX };
            if let Some(item) = self.playback.decode(&packet.data, end)? {
                return Ok(Some(item));
            }
        }
        Ok(None)
    }
}
