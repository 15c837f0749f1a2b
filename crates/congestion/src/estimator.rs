use std::time::{Duration, Instant};

use remotemedia_media::Bitrate;

/// A packet that went onto the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentPacket {
    /// Transport-wide sequence number, extended over its wraps.
    pub sequence: u64,
    /// Bytes on the wire: headers, extensions and payload; not IP and UDP.
    pub size: usize,
    /// When it was handed to the socket.
    pub sent_at: Instant,
    /// The probe that it is part of.
    pub probe: Option<ProbeId>,
}

/// Names a [`ProbeCluster`] of one estimator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ProbeId(pub u32);

/// A short run of packets that an estimator wants sent faster than its target, to learn whether the path carries more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeCluster {
    /// Goes into [`SentPacket::probe`] of every packet of the run.
    pub id: ProbeId,
    /// How fast to send.
    pub rate: Bitrate,
    /// The least number of packets in it.
    pub min_packets: u32,
    /// The least number of bytes in it, as [`SentPacket::size`] counts.
    pub min_bytes: usize,
}

/// What the receiver said of one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PacketResult {
    /// The packet as it was sent.
    pub sent: SentPacket,
    /// When it arrived, on the receiver's clock, counted from an arbitrary origin that stays the same for the whole
    /// connection; `None` if it was lost.
    pub arrived_at: Option<Duration>,
}

/// Estimates what a path carries, from transport-wide feedback.
///
/// A state machine without a clock: every call is told the time, and times never go backwards.
pub trait Estimator: Send {
    /// A packet went out.
    fn on_sent(&mut self, now: Instant, packet: SentPacket);

    /// A feedback message arrived; `results` are in the order of sending.
    fn on_feedback(&mut self, now: Instant, results: &[PacketResult]);

    /// A new round-trip time was measured.
    fn on_round_trip_time(&mut self, now: Instant, rtt: Duration);

    /// Time passed: call about every 25 ms.
    fn on_tick(&mut self, now: Instant);

    /// Keeps the estimate within `min..=max` from now on; `start` (if given) is taken over as the estimate.
    fn set_bounds(&mut self, now: Instant, min: Bitrate, start: Option<Bitrate>, max: Bitrate);

    /// What may be sent now, all media and data together.
    fn target(&self) -> Bitrate;

    /// How fast a pacer should send what is queued: above the target, so that a large frame does not wait for its turn.
    fn pacing_rate(&self) -> Bitrate {
        self.target().scale(2.5)
    }

    /// The next probe to send, if one is wanted. Asking takes it; a probe that is not sent does no harm.
    fn next_probe(&mut self) -> Option<ProbeCluster> {
        None
    }
}
