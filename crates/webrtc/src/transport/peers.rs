use std::time::Duration;

use remotemedia_media::{Bitrate, Codec, PeerId};
use remotemedia_mesh::{ConnectionReport, ConnectionStage, MeshError, PeerStatus, SignalingError};

use super::WebRtcTransport;
use crate::{
    codec_config::{check_audio_bitrate, check_framerate, check_video_bitrate, invalid},
    config::{ConfigOptions, check_jitter_size},
    error::{Result, WebRtcError},
};

/// A connected peer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct PeerInfo {
    /// Its name.
    pub peer_id: PeerId,
    /// Whether the path to it broke and another one is being looked for.
    pub reconnecting: bool,
    /// The codec in which video is sent to it; `None` if it takes none.
    pub video_codec: Option<Codec>,
    /// How the connection does.
    pub metrics: PeerMetrics,
}

/// How a connection does.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct PeerMetrics {
    /// Time on the way in one direction, in milliseconds: the round-trip time halved. 0 until it was measured.
    pub latency_ms: f64,
    /// Fraction of the packets sent that did not arrive lately, 0.0 to 1.0.
    pub packet_loss_rate: f64,
    /// Fraction of the peer's packets that did not arrive here lately, 0.0 to 1.0.
    pub receive_loss_rate: f64,
    /// What is sent to it, in kbit/s.
    pub send_bitrate_kbps: u32,
    /// What it sends, in kbit/s.
    pub receive_bitrate_kbps: u32,
    /// What the network to it is estimated to carry, in kbit/s; `None` before there is an estimate.
    pub available_bitrate_kbps: Option<u32>,
    /// From the beginning of the attempt until media could flow.
    pub connect_time: Duration,
    /// Media packets sent.
    pub packets_sent: u64,
    /// Media packets received.
    pub packets_received: u64,
    /// What came in of its audio.
    pub audio_received: ReceiveMetrics,
    /// What came in of its video.
    pub video_received: ReceiveMetrics,
    /// Bytes of media sent, without headers.
    pub bytes_sent: u64,
    /// Bytes of media received, without headers.
    pub bytes_received: u64,
    /// Fraction of the received audio that had to be made up, 0.0 to 1.0, since the connection began.
    pub concealed_rate: f64,
    /// Fraction of the received audio that was cut out or repeated to move the playout delay, 0.0 to 1.0, since the
    /// connection began.
    pub stretched_rate: f64,
    /// Mean time that received audio waited in the jitter buffer, in milliseconds, since the connection began.
    pub jitter_buffer_delay_ms: f64,
    /// Decoded audio frames that nobody pulled in time.
    pub audio_frames_dropped: u64,
    /// Decoded pictures that nobody pulled in time.
    pub video_frames_dropped: u64,
    /// Encoded pictures to this peer that were given up since the network was too slow for them.
    pub video_frames_discarded: u64,
    /// How often this side asked the peer for a keyframe (RFC 4585, section 6.3.1), since a picture could not be decoded.
    pub keyframes_requested: u64,
    /// How often the peer asked this side for one.
    pub keyframes_requested_by_peer: u64,
}

/// What came in of one kind of media.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct ReceiveMetrics {
    /// Packets that arrived, each counted once, whether at first or repeated.
    pub packets: u64,
    /// Packets that got lost on the way, before any was repeated (RFC 3550, section 6.4.1). Video is repeated, audio is
    /// not.
    pub lost: u64,
    /// Packets that never came: not within a second after one that was sent later, not even repeated.
    pub missing: u64,
    /// How much the time on the way varies, in milliseconds (RFC 3550, section 6.4.1).
    pub jitter_ms: f64,
}

impl From<remotemedia_mesh::ReceiveMetrics> for ReceiveMetrics {
    fn from(m: remotemedia_mesh::ReceiveMetrics) -> Self {
        let jitter_ms = m.jitter.as_secs_f64() * 1_000.0;
        Self { packets: m.packets, lost: m.lost, missing: m.missing, jitter_ms }
    }
}

impl WebRtcTransport {
    /// Connects to the peer named `peer` in this room and answers its name. A second call while one runs, or while the
    /// connection stands, answers for the same connection; if every caller drops its call, the attempt ends.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::PeerNotFound`] if it is not registered, [`WebRtcError::NatTraversalFailed`] if no network path
    /// works, [`WebRtcError::TooManyPeers`] at the limit, [`WebRtcError::ConnectionFailed`] otherwise;
    /// [`WebRtcTransport::diagnosis`] then tells how far it came.
    pub async fn connect_peer(&self, peer: &str) -> Result<PeerId> {
        let running = self.running()?;
        let peer = PeerId::new(peer)?;
        match running.mesh.connect(&peer).await {
            Ok(()) => {
                running.engine.sending.wait_ready(&peer, Duration::from_secs(1)).await;
                Ok(peer)
            }
            Err(error) => Err(connect_error(&peer, error)),
        }
    }

    /// Ends the connection to `peer` and tells it. No connection to it is as well.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`] or [`WebRtcError::InvalidPeerId`].
    pub async fn disconnect_peer(&self, peer: &str) -> Result<()> {
        let running = self.running()?;
        let peer = PeerId::new(peer)?;
        match running.mesh.disconnect(&peer).await {
            Ok(()) | Err(MeshError::NotConnected(_)) => Ok(()),
            Err(source) => Err(WebRtcError::ConnectionFailed { peer: peer.to_string(), source }),
        }
    }

    /// The connected peers, by name.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`].
    pub async fn list_peers(&self) -> Result<Vec<PeerInfo>> {
        let running = self.running()?;
        let mut peers: Vec<_> = running
            .mesh
            .peers()
            .into_iter()
            .map(|status| {
                let playout = running.engine.playout_stats(&status.peer);
                let dropped = running.engine.dropped_frames(&status.peer);
                PeerInfo::new(status, playout, dropped)
            })
            .collect();
        peers.sort_by(|a, b| a.peer_id.cmp(&b.peer_id));
        Ok(peers)
    }

    /// The peers in the room that could be connected to, by name.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`].
    pub async fn list_available_peers(&self) -> Result<Vec<PeerId>> {
        let mut peers = self.running()?.mesh.available_peers();
        peers.sort();
        Ok(peers)
    }

    /// How far the last connection attempt to `peer` that failed came; `None` if none failed.
    pub fn diagnosis(&self, peer: &str) -> Option<ConnectionReport> {
        self.running().ok()?.mesh.report(&PeerId::new(peer).ok()?)
    }

    /// Looks for a new network path to `peer` while the old one is in use, as after a change of network.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::PeerNotFound`] if it is not connected.
    pub async fn restart_ice(&self, peer: &str) -> Result<()> {
        let running = self.running()?;
        let peer = PeerId::new(peer)?;
        running.mesh.restart_ice(&peer).await.map_err(|error| connect_error(&peer, error))
    }

    /// The bytes that the system granted the receive buffer of the last socket; `None` before the first connection, or
    /// on an emulated network. 4 MB are asked for; with less, fast messages and bursts of video lose packets. Linux caps
    /// it at `net.core.rmem_max`, and counts double.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`].
    pub fn receive_buffer(&self) -> Result<Option<usize>> {
        Ok(self.running()?.mesh.receive_buffer())
    }

    /// Changes settings, on live connections too. They hold after a shutdown and another start as well.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidConfig`] for a value out of range, in which case nothing is changed;
    /// [`WebRtcError::NotStarted`].
    pub async fn configure(&self, options: ConfigOptions) -> Result<()> {
        self.running()?;
        if let Some(kbps) = options.target_bitrate_kbps {
            check_video_bitrate("target_bitrate_kbps", kbps)?;
        }
        if let Some(kbps) = options.audio_bitrate_kbps {
            check_audio_bitrate("audio_bitrate_kbps", kbps)?;
        }
        if let Some(fps) = options.video_framerate {
            check_framerate("video_framerate", fps)?;
        }
        let start = options.jitter_buffer_size_ms.map(check_jitter_size).transpose()?;
        let playout = self.inner.settings.playout;
        if let Some(start) = start.filter(|start| !(playout.min..=playout.max).contains(start)) {
            return Err(invalid(
                "jitter_buffer_size_ms",
                start.as_millis(),
                "between jitter_buffer_min_ms and jitter_buffer_max_ms",
            ));
        }
        // Locked first: a transport that is started anew meanwhile takes over what is kept here.
        let mut live = self.inner.live.lock();
        self.running()?.apply(&options)?;
        live.keep(options);
        Ok(())
    }
}

fn connect_error(peer: &PeerId, error: MeshError) -> WebRtcError {
    match error {
        MeshError::Signaling { source: SignalingError::PeerNotFound(_), .. } | MeshError::NotConnected(_) => {
            WebRtcError::PeerNotFound(peer.to_string())
        }
        MeshError::TooManyPeers { limit } => WebRtcError::TooManyPeers { limit },
        MeshError::OwnId(_) => WebRtcError::OwnPeerId(peer.to_string()),
        MeshError::NotStarted | MeshError::ShutDown => WebRtcError::NotStarted,
        MeshError::ConnectFailed { report, .. } if report.stage == ConnectionStage::Checking => {
            WebRtcError::NatTraversalFailed
        }
        source => WebRtcError::ConnectionFailed { peer: peer.to_string(), source },
    }
}

impl PeerInfo {
    fn new(
        status: PeerStatus,
        playout: Option<remotemedia_jitter::PlayoutStats>,
        (audio_frames_dropped, video_frames_dropped): (u64, u64),
    ) -> Self {
        let m = status.metrics;
        let playout = playout.unwrap_or_default();
        let stretched = playout.inserted_samples_for_deceleration + playout.removed_samples_for_acceleration;
        Self {
            peer_id: status.peer,
            reconnecting: status.reconnecting,
            video_codec: status.video.first().copied(),
            metrics: PeerMetrics {
                latency_ms: m.rtt.map_or(0.0, |rtt| rtt.as_secs_f64() * 500.0),
                packet_loss_rate: m.send_loss.unwrap_or(0.0),
                receive_loss_rate: m.receive_loss.unwrap_or(0.0),
                send_bitrate_kbps: m.send_bitrate.as_kbps(),
                receive_bitrate_kbps: m.receive_bitrate.as_kbps(),
                available_bitrate_kbps: m.target_bitrate.map(Bitrate::as_kbps),
                connect_time: m.connect_time,
                packets_sent: m.packets_sent,
                packets_received: m.packets_received,
                audio_received: m.audio_received.into(),
                video_received: m.video_received.into(),
                bytes_sent: m.bytes_sent,
                bytes_received: m.bytes_received,
                concealed_rate: playout.concealed_ratio(),
                stretched_rate: stretched as f64 / playout.total_samples_received.max(1) as f64,
                jitter_buffer_delay_ms: playout.mean_delay().as_secs_f64() * 1_000.0,
                audio_frames_dropped,
                video_frames_dropped,
                video_frames_discarded: m.video_frames_dropped,
                keyframes_requested: m.keyframes_requested,
                keyframes_requested_by_peer: m.keyframes_requested_by_peer,
            },
        }
    }
}
