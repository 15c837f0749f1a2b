//! Sans-IO RTP payload formats: packetisation, depacketisation and frame assembly.
#![forbid(unsafe_code)]

mod packet;

pub use packet::{OutgoingPacket, ReceivedPacket};
