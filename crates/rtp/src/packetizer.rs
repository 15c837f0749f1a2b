use bytes::{Bytes, BytesMut};
use remotemedia_media::{Codec, RtpTimestamp};

use crate::{
    OutgoingPacket,
    payload::{h264, opus, vp8, vp9},
};

/// Payload bytes of a video packet unless [`Packetizer::with_payload_limit`] says otherwise.
///
/// The smallest MTU of IPv6, 1,280 bytes, less 40 for IPv6, 8 for UDP, 4 for a TURN channel, 12 for the RTP header, 48 for
/// header extensions, 2 for the original sequence number of a retransmission and 16 for the longest SRTP tag.
pub const DEFAULT_PAYLOAD_LIMIT: usize = 1_150;

/// The smallest payload limit: less than this is mostly headers.
pub const MIN_PAYLOAD_LIMIT: usize = 64;

/// The longest Opus packet: it cannot be split, and with all headers this much still fits the 1,500 bytes of Ethernet.
pub const MAX_OPUS_PAYLOAD: usize = 1_370;

/// Cuts encoded frames of one stream into packets.
///
/// - Opus: one packet a frame, not copied; the marker opens a talk spurt, which is seen from the timestamps.
/// - VP8: the descriptor of RFC 7741 with a 15-bit picture id.
/// - VP9: the descriptor of RFC 9628 in flexible mode with a 15-bit picture id; a keyframe carries the scalability structure
///   with its size, any other picture names its predecessor as reference.
/// - H.264: single NAL units, STAP-A for neighbours that fit together (parameter sets), FU-A for what is too long (RFC
///   6184, packetization mode 1). Access unit delimiters and filler are left out.
///
/// The packets of a frame are of nearly equal size, and the last one has the marker.
#[derive(Clone, Debug)]
pub struct Packetizer {
    codec: Codec,
    limit: usize,
    picture_id: u16,
    /// The timestamp at which the next Opus packet continues the talk spurt.
    spurt_continues_at: Option<RtpTimestamp>,
}

impl Packetizer {
    /// A packetizer for `codec`. The first picture of VP8 and VP9 has the number `picture_id` modulo 2^15, which should
    /// be random (RFC 7741, section 4.2).
    pub fn new(codec: Codec, picture_id: u16) -> Self {
        Self { codec, limit: DEFAULT_PAYLOAD_LIMIT, picture_id: picture_id & 0x7fff, spurt_continues_at: None }
    }

    /// The same packetizer with at most `bytes` of payload, descriptor included, in each video packet.
    ///
    /// # Errors
    ///
    /// [`PacketizeError::PayloadLimit`] outside [`MIN_PAYLOAD_LIMIT`] to 65,000.
    pub fn with_payload_limit(mut self, bytes: usize) -> Result<Self, PacketizeError> {
        if !(MIN_PAYLOAD_LIMIT..=65_000).contains(&bytes) {
            return Err(PacketizeError::PayloadLimit { bytes });
        }
        self.limit = bytes;
        Ok(self)
    }

    /// The codec of the stream.
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// Number of the next picture (VP8, VP9), below 2^15.
    pub fn picture_id(&self) -> u16 {
        self.picture_id
    }

    /// Moves the numbering on to `picture_id` modulo 2^15. To be called before a keyframe only: a receiver that changes from
    /// one encoding of a source to another expects numbers that grow.
    pub fn set_picture_id(&mut self, picture_id: u16) {
        self.picture_id = picture_id & 0x7fff;
    }

    /// The packets of one encoded frame: an Opus packet, a VP8 or VP9 frame, or an H.264 access unit in Annex B form.
    ///
    /// # Errors
    ///
    /// [`PacketizeError`] if there is nothing in the frame, an Opus packet is too long, or an H.264 access unit has no start
    /// code. The stream can go on with the next frame.
    pub fn packetize(&mut self, frame: &Bytes, timestamp: RtpTimestamp) -> Result<Vec<OutgoingPacket>, PacketizeError> {
        if frame.is_empty() {
            return Err(PacketizeError::Empty { codec: self.codec });
        }
        match self.codec {
            Codec::Opus => self.packetize_opus(frame, timestamp),
            Codec::Vp8 => Ok(self.packetize_picture(timestamp, |limit, id| vp8::packetize(frame, limit, id))),
            Codec::Vp9 => Ok(self.packetize_picture(timestamp, |limit, id| vp9::packetize(frame, limit, id))),
            Codec::H264 => {
                let payloads = h264::packetize(frame, self.limit).ok_or(PacketizeError::NoStartCode)?;
                if payloads.is_empty() {
                    return Err(PacketizeError::Empty { codec: self.codec });
                }
                Ok(with_marker_on_last(payloads, timestamp))
            }
            codec => Err(PacketizeError::UnsupportedCodec { codec }),
        }
    }

    fn packetize_opus(
        &mut self,
        frame: &Bytes,
        timestamp: RtpTimestamp,
    ) -> Result<Vec<OutgoingPacket>, PacketizeError> {
        if frame.len() > MAX_OPUS_PAYLOAD {
            return Err(PacketizeError::OpusTooLong { bytes: frame.len() });
        }
        let marker = self.spurt_continues_at != Some(timestamp);
        self.spurt_continues_at =
            opus::packet_duration(frame).map(|time| timestamp.advance(time, Codec::Opus.clock_rate()));
        Ok(vec![OutgoingPacket { timestamp, marker, payload: frame.clone() }])
    }

    fn packetize_picture(
        &mut self,
        timestamp: RtpTimestamp,
        cut: impl FnOnce(usize, u16) -> Vec<Bytes>,
    ) -> Vec<OutgoingPacket> {
        let payloads = cut(self.limit, self.picture_id);
        self.picture_id = (self.picture_id + 1) & 0x7fff;
        with_marker_on_last(payloads, timestamp)
    }
}

fn with_marker_on_last(payloads: Vec<Bytes>, timestamp: RtpTimestamp) -> Vec<OutgoingPacket> {
    let last = payloads.len().saturating_sub(1);
    let packet = |(i, payload)| OutgoingPacket { timestamp, marker: i == last, payload };
    payloads.into_iter().enumerate().map(packet).collect()
}

/// Cuts `data` into the fewest pieces, none longer than `limit` less what `header_len` says of the piece (it is told
/// whether that is the first), evens their lengths out and puts a header before each. All pieces share one allocation.
pub(crate) fn cut_evenly(
    data: &[u8],
    limit: usize,
    header_len: impl Fn(bool) -> usize,
    mut write_header: impl FnMut(&mut BytesMut, Piece),
) -> Vec<Bytes> {
    let room = limit.saturating_sub(header_len(false)).max(1);
    // The first header may be longer than the others; its excess is evened out with the data.
    let excess = header_len(true).saturating_sub(header_len(false)).min(room - 1);
    let count = (data.len() + excess).div_ceil(room).max(1);
    let mut buffer = BytesMut::with_capacity(data.len() + header_len(true) + header_len(false) * count);
    let mut pieces = Vec::with_capacity(count);
    let mut rest = data;
    for i in 0..count {
        let owed = if i == 0 { excess } else { 0 };
        let share = (rest.len() + owed).div_ceil(count - i).saturating_sub(owed);
        let (now, later) = rest.split_at(share.min(rest.len()));
        write_header(&mut buffer, Piece { first: i == 0, last: i + 1 == count });
        buffer.extend_from_slice(now);
        pieces.push(buffer.split().freeze());
        rest = later;
    }
    pieces
}

/// Where in its frame a piece stands.
#[derive(Clone, Copy)]
pub(crate) struct Piece {
    pub(crate) first: bool,
    pub(crate) last: bool,
}

/// Why a frame cannot be cut into packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PacketizeError {
    /// There is nothing to send in the frame.
    #[error("the {codec} frame holds nothing to send: skip the frames that the encoder dropped")]
    Empty {
        /// The codec of the stream.
        codec: Codec,
    },
    /// An Opus packet does not fit one datagram.
    #[error(
        "an Opus packet of {bytes} bytes does not fit a datagram: encode at most {MAX_OPUS_PAYLOAD} bytes a packet"
    )]
    OpusTooLong {
        /// Its length.
        bytes: usize,
    },
    /// An H.264 access unit is not in Annex B form.
    #[error("the H.264 access unit has no start code: give it in Annex B form, not length-prefixed")]
    NoStartCode,
    /// The payload limit is out of range.
    #[error("a payload limit of {bytes} bytes is out of range: use {MIN_PAYLOAD_LIMIT} to 65,000")]
    PayloadLimit {
        /// The limit that was asked for.
        bytes: usize,
    },
    /// There is no payload format for the codec here.
    #[error("there is no RTP payload format for {codec} here: use Opus, VP8, VP9 or H.264")]
    UnsupportedCodec {
        /// The codec that was asked for.
        codec: Codec,
    },
}
