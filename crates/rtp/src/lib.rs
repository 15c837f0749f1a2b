//! Sans-IO RTP payload formats: packetisation, depacketisation and frame assembly.
//!
//! [`Packetizer`] cuts an encoded frame into [`OutgoingPacket`]s; [`FrameAssembler`] takes [`ReceivedPacket`]s in any
//! order and gives the frames back in order. Between the two stand [`SequenceUnwrapper`] and [`DuplicateFilter`], which
//! turn the 16-bit numbers of the wire into [`ReceivedPacket::sequence`], and the values of the header extensions that
//! calls use: [`AbsCaptureTime`] and [`AudioLevel`].
//!
//! Nothing here opens a socket, reads a clock or draws a random number. Whatever a packet holds, nothing panics and
//! memory stays within [`AssemblerLimits`].
#![forbid(unsafe_code)]

mod assembler;
mod duplicate;
mod extension;
mod packet;
mod packetizer;
mod payload;
mod sequence;

pub use assembler::{AssemblerLimits, AssemblerStats, FrameAssembler, Gap};
pub use duplicate::DuplicateFilter;
pub use extension::{AbsCaptureTime, AudioLevel, ExtensionError};
pub use packet::{OutgoingPacket, ReceivedPacket};
pub use packetizer::{DEFAULT_PAYLOAD_LIMIT, MAX_OPUS_PAYLOAD, MIN_PAYLOAD_LIMIT, PacketizeError, Packetizer};
pub use payload::{
    is_keyframe,
    opus::{carries_redundancy as opus_carries_redundancy, packet_duration as opus_packet_duration},
    starts_keyframe,
};
pub use sequence::SequenceUnwrapper;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
