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
}
