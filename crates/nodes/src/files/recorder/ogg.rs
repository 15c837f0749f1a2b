//! Opus in Ogg (RFC 7845).

use std::{
    fs::File,
    io::{BufWriter, Write},
};

use ogg::writing::{PacketWriteEndInfo, PacketWriter};

use super::{
    error::SinkError,
    opus_track::{OpusTrack, PACKET, Packet},
    sink::{Bitrates, Sink},
};

/// The one stream of a file; numbers tell only streams of one file apart.
const SERIAL: u32 = 1;
/// Packets on a page: a second, which is what is lost of a file whose writer was killed.
const PACKETS_PER_PAGE: u32 = 50;

/// An Ogg file with one Opus stream, mono or stereo as what comes first.
pub(super) struct OggSink {
    pages: Pages,
    bitrates: Bitrates,
    track: Option<OpusTrack>,
}

struct Pages {
    writer: PacketWriter<'static, BufWriter<File>>,
    bytes: u64,
    pre_skip: u64,
    on_page: u32,
    /// The newest packet waits, since the last one of a stream is marked.
    waiting: Option<Packet>,
}

impl OggSink {
    pub(super) fn new(file: File, bitrates: Bitrates) -> Self {
        let writer = PacketWriter::new(BufWriter::new(file));
        let pages = Pages { writer, bytes: 0, pre_skip: 0, on_page: 0, waiting: None };
        Self { pages, bitrates, track: None }
    }
}

impl Pages {
    fn begin(&mut self, track: &OpusTrack) -> Result<(), SinkError> {
        let head = track.head();
        self.pre_skip = head.pre_skip.into();
        // A page of its own for each header (RFC 7845, section 3).
        self.put(head.to_bytes().to_vec(), PacketWriteEndInfo::EndPage, 0)?;
        let vendor = concat!("remotemedia-nodes ", env!("CARGO_PKG_VERSION"));
        let mut tags = b"OpusTags".to_vec();
        tags.extend_from_slice(&(vendor.len() as u32).to_le_bytes());
        tags.extend_from_slice(vendor.as_bytes());
        tags.extend_from_slice(&0_u32.to_le_bytes());
        self.put(tags, PacketWriteEndInfo::EndPage, 0)
    }

    fn push(&mut self, packet: Packet) -> Result<(), SinkError> {
        let Some(before) = self.waiting.replace(packet) else { return Ok(()) };
        self.on_page += 1;
        let ends_page = self.on_page == PACKETS_PER_PAGE;
        let info = if ends_page { PacketWriteEndInfo::EndPage } else { PacketWriteEndInfo::NormalPacket };
        let end = before.start + PACKET as u64;
        self.put(before.data, info, end)?;
        if ends_page {
            self.on_page = 0;
            self.writer.inner_mut().flush()?;
        }
        Ok(())
    }

    /// Ends the stream after `length` samples, which may be within the last packet.
    fn finish(&mut self, length: u64) -> Result<(), SinkError> {
        if let Some(last) = self.waiting.take() {
            let end = (self.pre_skip + length).min(last.start + PACKET as u64);
            self.put(last.data, PacketWriteEndInfo::EndStream, end)?;
        }
        Ok(self.writer.inner_mut().flush()?)
    }

    fn put(&mut self, data: Vec<u8>, info: PacketWriteEndInfo, position: u64) -> Result<(), SinkError> {
        // One lacing value for each 255 bytes; page headers are less than a thousandth of the rest.
        self.bytes += data.len() as u64 + data.len() as u64 / 255 + 1;
        Ok(self.writer.write_packet(data, SERIAL, info, position)?)
    }
}

impl Sink for OggSink {
    fn audio(&mut self, samples: &[f32], rate: u32, channels: u16) -> Result<(), SinkError> {
        if self.track.is_none() {
            let track = OpusTrack::new(rate, channels, self.bitrates.audio)?;
            self.pages.begin(&track)?;
            self.track = Some(track);
        }
        let Some(track) = &mut self.track else { return Ok(()) };
        track.push(samples, rate, channels, &mut |packet| self.pages.push(packet))
    }

    fn set_bitrates(&mut self, bitrates: Bitrates) -> Result<(), SinkError> {
        self.bitrates = bitrates;
        self.track.as_mut().map_or(Ok(()), |track| track.set_bitrate(bitrates.audio))
    }

    fn bytes(&self) -> u64 {
        self.pages.bytes
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        let Some(mut track) = self.track.take() else { return Ok(()) };
        track.finish(&mut |packet| self.pages.push(packet))?;
        self.pages.finish(track.length())
    }
}
