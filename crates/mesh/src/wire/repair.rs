use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use bytes::Buf;
use rtc::{
    interceptor::{Interceptor, Packet, StreamInfo, TaggedPacket},
    sansio::Protocol,
    shared::error::Error,
};

/// Turns a retransmission (RFC 4588) back into the packet that it repeats, ahead of what asks for lost packets.
///
/// The library does so only behind all interceptors, so its own generator of requests never learns that a packet came,
/// and goes on asking for it.
#[derive(Default)]
pub(super) struct Repair {
    /// By SSRC of the repairing stream: the stream it repairs, and that stream's payload type.
    streams: HashMap<u32, (u32, u8)>,
    reads: VecDeque<TaggedPacket>,
    writes: VecDeque<TaggedPacket>,
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Repair {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut message: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(packet) = &mut message.message.packet
            && let Some((ssrc, payload_type)) = self.streams.get(&packet.header.ssrc).copied()
        {
            if packet.payload.len() < 2 {
                // Padding without a packet in it.
                return Ok(());
            }
            packet.header.sequence_number = packet.payload.get_u16();
            packet.header.ssrc = ssrc;
            packet.header.payload_type = payload_type;
        }
        self.reads.push_back(message);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.reads.pop_front()
    }

    fn handle_write(&mut self, message: TaggedPacket) -> Result<(), Error> {
        self.writes.push_back(message);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.writes.pop_front()
    }
}

impl Interceptor for Repair {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if let Some(rtx) = info.ssrc_rtx {
            self.streams.insert(rtx, (info.ssrc, info.payload_type));
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        if let Some(rtx) = info.ssrc_rtx {
            self.streams.remove(&rtx);
        }
    }
}
