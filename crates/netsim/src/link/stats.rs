use std::time::Duration;

/// What a link did so far. Bytes are payload.
///
/// Every packet sent ends in exactly one of `arrived`, `lost`, `outage`, `queue_full`, `too_large` and `pipe_full`, or is
/// still under way; copies count in `duplicated` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Packets sent into the link.
    pub sent: u64,
    /// Their bytes.
    pub sent_bytes: u64,
    /// Packets that arrived, copies apart.
    pub arrived: u64,
    /// Their bytes.
    pub arrived_bytes: u64,
    /// Copies that arrived.
    pub duplicated: u64,
    /// Packets lost on the wire by [`Loss`](super::Loss).
    pub lost: u64,
    /// Packets lost in an outage.
    pub outage: u64,
    /// Packets dropped because the queue before the bottleneck was full.
    pub queue_full: u64,
    /// Packets larger than the link carries.
    pub too_large: u64,
    /// Packets dropped because [`MAX_PACKETS_ON_WIRE`](super::MAX_PACKETS_ON_WIRE) were on the wire.
    pub pipe_full: u64,
    /// Packets that arrived after one sent later.
    pub overtaken: u64,
    /// The most bytes that waited for the bottleneck, overhead included.
    pub peak_queue_bytes: usize,
    /// The longest that a packet waited for the bottleneck.
    pub peak_queue_delay: Duration,
}
