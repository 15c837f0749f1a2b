use std::time::Instant;

use bytes::Bytes;
use remotemedia_media::RtpTimestamp;

/// One packet's worth of an encoded frame, before a peer connection writes its own header around it.
///
/// The payload is shared by reference count: sending it to ten peers copies nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutgoingPacket {
    /// Media time on the codec's RTP clock.
    pub timestamp: RtpTimestamp,
    /// Last packet of a picture, or first of a talk spurt (RFC 3550, section 5.1).
    pub marker: bool,
    /// The payload behind the RTP header, with the codec's payload descriptor.
    pub payload: Bytes,
}

/// A media packet as it came in: decrypted, parsed, and each sequence number only once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedPacket {
    /// Sequence number, extended over its wraps so that it only grows.
    pub sequence: u64,
    /// Media time on the codec's RTP clock.
    pub timestamp: RtpTimestamp,
    /// The marker bit.
    pub marker: bool,
    /// The payload behind header, extensions and padding.
    pub payload: Bytes,
    /// When it arrived.
    pub arrival: Instant,
}
