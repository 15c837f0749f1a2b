use std::time::Duration;

use remotemedia_media::{Bitrate, Codec, PeerId};

/// A connected peer and how its connection does.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct PeerStatus {
    /// Who.
    pub peer: PeerId,
    /// Whether the path is being looked for anew.
    pub reconnecting: bool,
    /// Audio codecs that the peer takes, best first.
    pub audio: Vec<Codec>,
    /// Video codecs that the peer takes, best first.
    pub video: Vec<Codec>,
    /// The measurements; at most one second old.
    pub metrics: PeerMetrics,
}

/// The measurements of a connection.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PeerMetrics {
    /// Time since it was connected.
    pub connected_for: Duration,
    /// How long it took from the beginning of the attempt.
    pub connect_time: Duration,
    /// Round-trip time; `None` until measured.
    pub rtt: Option<Duration>,
    /// The fraction of our media packets that the peer lately missed, 0 to 1; `None` until it told.
    pub send_loss: Option<f64>,
    /// The fraction of the peer's media packets that lately were missing here, 0 to 1.
    pub receive_loss: Option<f64>,
    /// Media sent in the last second.
    pub send_bitrate: Bitrate,
    /// Media received in the last second.
    pub receive_bitrate: Bitrate,
    /// What the bandwidth estimate allows; `None` until there is one.
    pub target_bitrate: Option<Bitrate>,
    /// Media packets sent again because the peer missed them.
    pub retransmitted: u64,
    /// Media packets that the peer was asked for again.
    pub retransmissions_requested: u64,
    /// Media packets given up because they waited too long for their turn on a slow path.
    pub packets_dropped_by_pacer: u64,
    /// Media packets sent.
    pub packets_sent: u64,
    /// Media packets received.
    pub packets_received: u64,
    /// What came in of the peer's audio.
    pub audio_received: ReceiveMetrics,
    /// What came in of the peer's video.
    pub video_received: ReceiveMetrics,
    /// Media bytes sent, payload only.
    pub bytes_sent: u64,
    /// Media bytes received, payload only.
    pub bytes_received: u64,
    /// Video frames given up because they waited too long to be sent.
    pub video_frames_dropped: u64,
    /// Packets given up because nobody read an incoming track.
    pub packets_unread: u64,
    /// Duplicate packets thrown away.
    pub duplicates: u64,
    /// Keyframes that the peer asked for.
    pub keyframes_requested_by_peer: u64,
    /// Keyframes that were asked for here.
    pub keyframes_requested: u64,
    /// Messages sent.
    pub messages_sent: u64,
    /// Messages received.
    pub messages_received: u64,
}

/// What came in of one kind of media.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceiveMetrics {
    /// Packets that arrived, each counted once, whether at first or repeated.
    pub packets: u64,
    /// Packets that got lost on the way, before any was repeated (RFC 3550, section 6.4.1), of the streams that run.
    pub lost: u64,
    /// Packets that never came: not within a second after one that was sent later, not even repeated.
    pub missing: u64,
    /// How much the time on the way varies (RFC 3550, section 6.4.1).
    pub jitter: Duration,
}
