//! VP8 or VP9 and Opus in WebM.

use std::{
    fs::File,
    io::{Seek, SeekFrom, Write},
    time::Duration,
};

use remotemedia_media::{Codec, MediaKind, VideoFrame};

use super::{
    error::SinkError,
    opus_track::{OpusTrack, Packet},
    sink::{Bitrates, Sink},
    video_track::VideoTrack,
};
use crate::files::{
    ebml::{self, id, put, put_float, put_id, put_master, put_uint},
    opus_head::OpusHead,
};

/// How long a cluster is, in milliseconds; also how long the header waits for the other kind of media.
const CLUSTER: u64 = 1_000;
/// How much later than its cluster's end, in milliseconds, a block may come: sound waits for its packet to fill.
const REORDERING: u64 = 200;
/// A cluster ends early at this size, so that little is lost of a file whose writer was killed.
const MOST_PENDING: usize = 8 << 20;

const VIDEO_TRACK: u64 = 1;
const AUDIO_TRACK: u64 = 2;

/// A WebM file with sound, pictures, or both. Its header is written when both are known, or after a second of either.
pub(super) struct WebmSink {
    muxer: Muxer,
    bitrates: Bitrates,
    video: VideoTrack,
    audio: Option<OpusTrack>,
}

impl WebmSink {
    pub(super) fn new(file: File, codec: Codec, bitrates: Bitrates, framerate: f64) -> Result<Self, SinkError> {
        let video = VideoTrack::new(codec, bitrates.video, framerate)?;
        Ok(Self { muxer: Muxer::new(file, codec), bitrates, video, audio: None })
    }
}

impl Sink for WebmSink {
    fn takes(&self, kind: MediaKind) -> bool {
        !self.muxer.has_begun
            || match kind {
                MediaKind::Audio => self.muxer.opus.is_some(),
                MediaKind::Video => self.muxer.size.is_some(),
            }
    }

    fn audio(&mut self, samples: &[f32], rate: u32, channels: u16) -> Result<(), SinkError> {
        if self.audio.is_none() {
            let track = OpusTrack::new(rate, channels, self.bitrates.audio)?;
            self.muxer.opus = Some(track.head());
            self.audio = Some(track);
        }
        let Some(track) = &mut self.audio else { return Ok(()) };
        track.push(samples, rate, channels, &mut |packet| self.muxer.push_audio(packet))
    }

    fn video(&mut self, frame: &VideoFrame, at: Duration) -> Result<(), SinkError> {
        let Some(encoded) = self.video.encode(frame, at)? else { return Ok(()) };
        self.muxer.size.get_or_insert((encoded.width, encoded.height));
        let at = ((at.as_nanos() + 500_000) / 1_000_000) as u64;
        self.muxer.push(Block { at, track: VIDEO_TRACK, keyframe: encoded.keyframe, data: encoded.data.to_vec() })
    }

    fn set_bitrates(&mut self, bitrates: Bitrates) -> Result<(), SinkError> {
        self.bitrates = bitrates;
        self.video.set_bitrate(bitrates.video)?;
        self.audio.as_mut().map_or(Ok(()), |track| track.set_bitrate(bitrates.audio))
    }

    fn bytes(&self) -> u64 {
        self.muxer.position + self.muxer.pending_bytes as u64
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        if let Some(mut track) = self.audio.take() {
            track.finish(&mut |packet| self.muxer.push_audio(packet))?;
        }
        self.muxer.finish()
    }
}

/// One packet or picture.
struct Block {
    /// Milliseconds from the beginning of the file.
    at: u64,
    track: u64,
    keyframe: bool,
    data: Vec<u8>,
}

/// Puts blocks in order into clusters. The file is valid after each of them.
struct Muxer {
    file: File,
    codec: Codec,
    size: Option<(u32, u32)>,
    opus: Option<OpusHead>,
    has_begun: bool,
    pending: Vec<Block>,
    pending_bytes: usize,
    /// Bytes written.
    position: u64,
    /// Where the body of the segment begins; positions within the file count from there.
    segment: u64,
    seek_head: u64,
    info: u64,
    tracks: u64,
    duration: u64,
    /// Time and position of clusters with a keyframe.
    cues: Vec<(u64, u64)>,
    end: u64,
}

impl Muxer {
    fn new(file: File, codec: Codec) -> Self {
        Self {
            file,
            codec,
            size: None,
            opus: None,
            has_begun: false,
            pending: Vec::new(),
            pending_bytes: 0,
            position: 0,
            segment: 0,
            seek_head: 0,
            info: 0,
            tracks: 0,
            duration: 0,
            cues: Vec::new(),
            end: 0,
        }
    }

    fn push_audio(&mut self, packet: Packet) -> Result<(), SinkError> {
        // The time of a packet is that of what was encoded: players subtract CodecDelay for what the decoder is late.
        let at = (packet.start + 24) / 48;
        self.push(Block { at, track: AUDIO_TRACK, keyframe: true, data: packet.data })
    }

    fn push(&mut self, block: Block) -> Result<(), SinkError> {
        let length = if block.track == AUDIO_TRACK { 20 } else { 0 };
        self.end = self.end.max(block.at + length);
        self.pending_bytes += block.data.len() + 16;
        self.pending.push(block);
        loop {
            let first = self.pending.iter().map(|block| block.at).min().unwrap_or(self.end);
            if self.end.saturating_sub(first) >= CLUSTER + REORDERING {
                self.write_cluster(first + CLUSTER)?;
            } else if self.pending_bytes >= MOST_PENDING {
                self.write_cluster(u64::MAX)?;
            } else {
                return Ok(());
            }
        }
    }

    fn begin(&mut self) -> Result<(), SinkError> {
        let mut out = Vec::new();
        put_master(&mut out, id::EBML, |out| {
            put_uint(out, id::EBML_VERSION, 1);
            put_uint(out, id::EBML_READ_VERSION, 1);
            put_uint(out, id::EBML_MAX_ID_LENGTH, 4);
            put_uint(out, id::EBML_MAX_SIZE_LENGTH, 8);
            put(out, id::DOC_TYPE, b"webm");
            put_uint(out, id::DOC_TYPE_VERSION, 4);
            put_uint(out, id::DOC_TYPE_READ_VERSION, 2);
        });
        put_id(&mut out, id::SEGMENT);
        out.extend_from_slice(&ebml::UNKNOWN_SIZE);
        self.segment = out.len() as u64;
        self.seek_head = self.segment;
        // Room for the index of the index, which is written at the end.
        put(&mut out, id::VOID, &vec![0; seek_head(0, 0, 0).len() - 2]);
        self.info = out.len() as u64;
        let app = concat!("remotemedia-nodes ", env!("CARGO_PKG_VERSION"));
        put_master(&mut out, id::INFO, |out| {
            put_uint(out, id::TIMESTAMP_SCALE, 1_000_000);
            put(out, id::MUXING_APP, app.as_bytes());
            put(out, id::WRITING_APP, app.as_bytes());
            put_float(out, id::DURATION, 0.0);
        });
        self.duration = out.len() as u64 - 8;
        self.tracks = out.len() as u64;
        put_master(&mut out, id::TRACKS, |out| self.put_tracks(out));
        self.has_begun = true;
        self.append(&out)
    }

    fn put_tracks(&self, out: &mut Vec<u8>) {
        if let Some((width, height)) = self.size {
            put_master(out, id::TRACK_ENTRY, |out| {
                put_uint(out, id::TRACK_NUMBER, VIDEO_TRACK);
                put_uint(out, id::TRACK_UID, VIDEO_TRACK);
                put_uint(out, id::TRACK_TYPE, 1);
                put_uint(out, id::FLAG_LACING, 0);
                put(out, id::CODEC_ID, if self.codec == Codec::Vp9 { b"V_VP9" } else { b"V_VP8" });
                put_master(out, id::VIDEO, |out| {
                    put_uint(out, id::PIXEL_WIDTH, width.into());
                    put_uint(out, id::PIXEL_HEIGHT, height.into());
                });
            });
        }
        if let Some(head) = self.opus {
            put_master(out, id::TRACK_ENTRY, |out| {
                put_uint(out, id::TRACK_NUMBER, AUDIO_TRACK);
                put_uint(out, id::TRACK_UID, AUDIO_TRACK);
                put_uint(out, id::TRACK_TYPE, 2);
                put_uint(out, id::FLAG_LACING, 0);
                put(out, id::CODEC_ID, b"A_OPUS");
                put(out, id::CODEC_PRIVATE, &head.to_bytes());
                put_uint(out, id::CODEC_DELAY, u64::from(head.pre_skip) * 1_000_000_000 / 48_000);
                put_uint(out, id::SEEK_PRE_ROLL, 80_000_000);
                put_master(out, id::AUDIO, |out| {
                    put_float(out, id::SAMPLING_FREQUENCY, 48_000.0);
                    put_uint(out, id::CHANNELS, head.channels.into());
                });
            });
        }
    }

    /// Writes the blocks before `until`, in order.
    fn write_cluster(&mut self, until: u64) -> Result<(), SinkError> {
        if !self.has_begun {
            self.begin()?;
        }
        self.pending.sort_by_key(|block| (block.at, block.track));
        let rest = self.pending.split_off(self.pending.partition_point(|block| block.at < until));
        let blocks = std::mem::replace(&mut self.pending, rest);
        self.pending_bytes = self.pending.iter().map(|block| block.data.len() + 16).sum();
        let Some(begin) = blocks.first().map(|block| block.at) else { return Ok(()) };
        if let Some(keyframe) = blocks.iter().find(|block| block.track == VIDEO_TRACK && block.keyframe) {
            self.cues.push((keyframe.at, self.position - self.segment));
        }
        let mut out = Vec::new();
        put_master(&mut out, id::CLUSTER, |out| {
            put_uint(out, id::TIMESTAMP, begin);
            let mut body = Vec::new();
            for block in &blocks {
                body.clear();
                body.push(0x80 | block.track as u8);
                // A cluster is far shorter than 32 seconds.
                body.extend_from_slice(&((block.at - begin) as i16).to_be_bytes());
                body.push(if block.keyframe { 0x80 } else { 0 });
                body.extend_from_slice(&block.data);
                put(out, id::SIMPLE_BLOCK, &body);
            }
        });
        self.append(&out)?;
        let end = blocks.last().map_or(begin, |block| block.at);
        self.patch(self.duration, &(end.max(self.end.min(until)) as f64).to_be_bytes())
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        while let Some(first) = self.pending.iter().map(|block| block.at).min() {
            self.write_cluster(first + CLUSTER)?;
        }
        if !self.has_begun {
            return Ok(());
        }
        if !self.cues.is_empty() {
            let cues = self.position;
            let mut out = Vec::new();
            put_master(&mut out, id::CUES, |out| {
                for (time, position) in &self.cues {
                    put_master(out, id::CUE_POINT, |out| {
                        put_uint(out, id::CUE_TIME, *time);
                        put_master(out, id::CUE_TRACK_POSITIONS, |out| {
                            put_uint(out, id::CUE_TRACK, VIDEO_TRACK);
                            put_uint(out, id::CUE_CLUSTER_POSITION, *position);
                        });
                    });
                }
            });
            self.append(&out)?;
            let within = |position| position - self.segment;
            let seek_head = seek_head(within(self.info), within(self.tracks), within(cues));
            self.patch(self.seek_head, &seek_head)?;
        }
        self.patch(self.duration, &(self.end as f64).to_be_bytes())?;
        self.patch(self.segment - 8, &ebml::wide_size(self.position - self.segment))
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), SinkError> {
        self.file.write_all(bytes)?;
        self.position += bytes.len() as u64;
        Ok(())
    }

    fn patch(&mut self, at: u64, bytes: &[u8]) -> Result<(), SinkError> {
        self.file.seek(SeekFrom::Start(at))?;
        self.file.write_all(bytes)?;
        self.file.seek(SeekFrom::Start(self.position))?;
        Ok(())
    }
}

/// Where the other parts are; of the same length whatever the positions.
fn seek_head(info: u64, tracks: u64, cues: u64) -> Vec<u8> {
    let mut out = Vec::new();
    put_master(&mut out, id::SEEK_HEAD, |out| {
        for (part, position) in [(id::INFO, info), (id::TRACKS, tracks), (id::CUES, cues)] {
            put_master(out, id::SEEK, |out| {
                put(out, id::SEEK_ID, &part.to_be_bytes());
                put(out, id::SEEK_POSITION, &position.to_be_bytes());
            });
        }
    });
    out
}
