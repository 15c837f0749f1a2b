use std::sync::Arc;

use remotemedia_media::{Codec, MediaKind, PeerId, StreamId};
use remotemedia_mesh::{ConnectionReport, DisconnectReason, IceServerReport, MeshEvent};
use remotemedia_runtime_core::{RuntimeError, data::ControlMessage};
use tokio::sync::broadcast;

/// Something that happened to a transport.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TransportEvent {
    /// The signaling server announced a peer, which can be connected to.
    PeerDiscovered {
        /// Who.
        peer: PeerId,
    },
    /// A peer left the signaling server; a running connection to it may live on.
    PeerLeft {
        /// Who.
        peer: PeerId,
    },
    /// Media and messages can be exchanged with a peer.
    PeerConnected {
        /// Who.
        peer: PeerId,
    },
    /// The call with a peer has no video: the two sides have no video codec in common, or the peer takes no video at all.
    /// Audio and messages flow. Comes after [`TransportEvent::PeerConnected`], and again only after video could be sent
    /// meanwhile.
    ///
    /// [`video_fallback`](crate::WebRtcTransportConfig::video_fallback) and the codecs that a build has decide what there
    /// is on this side.
    VideoUnavailable {
        /// Who.
        peer: PeerId,
        /// The video codecs of this side.
        ours: Vec<Codec>,
        /// Those that the peer offered, as far as they are known here; empty if it turned down an offer, which does not
        /// tell what it has.
        theirs: Vec<Codec>,
    },
    /// The path to a peer broke, another one is being looked for.
    PeerReconnecting {
        /// Who.
        peer: PeerId,
    },
    /// The connection to a peer has a path again.
    PeerReconnected {
        /// Who.
        peer: PeerId,
    },
    /// Nothing of a kind of media that a peer sent has come for two seconds, while the connection stands: the peer muted it,
    /// its source stalled, or the path broke, which is told as such a few seconds later. Meanwhile `recv_audio` gives silence, `recv_video` waits.
    TrackMuted {
        /// Whose.
        peer: PeerId,
        /// Audio or video; all of the peer's streams of that kind together.
        kind: MediaKind,
    },
    /// Media of a kind comes again, after [`TransportEvent::TrackMuted`]. Told up to a second later.
    TrackUnmuted {
        /// Whose.
        peer: PeerId,
        /// Audio or video.
        kind: MediaKind,
    },
    /// The connection to a peer is over.
    PeerDisconnected {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: DisconnectReason,
    },
    /// A connection attempt failed.
    PeerFailed {
        /// To whom.
        peer: PeerId,
        /// How far it came.
        report: Box<ConnectionReport>,
    },
    /// A STUN or TURN server refused, for example since user name or password are wrong, or has no address. The connection
    /// may come about without it. Each failure is told once per attempt; a server that does not answer at all is told in
    /// the report of an attempt that failed.
    IceServerFailed {
        /// To whom the connection is.
        peer: PeerId,
        /// The server, and what came of asking it.
        server: IceServerReport,
    },
    /// The connection to the signaling server came or went. It comes back by itself.
    SignalingState {
        /// Whether it is there now.
        connected: bool,
    },
    /// A peer sends one more stream, beside the main one of its kind: it can be read with
    /// [`recv_audio_stream`](crate::WebRtcTransport::recv_audio_stream) or
    /// [`recv_video_stream`](crate::WebRtcTransport::recv_video_stream).
    StreamAdded {
        /// Who.
        peer: PeerId,
        /// Of what.
        kind: MediaKind,
        /// Its name.
        stream: StreamId,
    },
    /// A stream of [`TransportEvent::StreamAdded`] is over, while its peer stays.
    StreamEnded {
        /// Whose.
        peer: PeerId,
        /// Of what.
        kind: MediaKind,
        /// Its name.
        stream: StreamId,
    },
    /// An attached pipeline failed on what a peer sent, or does not take it, because its manifest declares other `inputs`: that is
    /// told once for each kind of data in a session, and counted in
    /// [`RouteMetrics::inputs_refused`](crate::route::RouteMetrics::inputs_refused).
    PipelineFailed {
        /// Whose session it was; `None` if it is shared.
        peer: Option<PeerId>,
        /// What happened. It names the node, or what the pipeline takes.
        error: Arc<RuntimeError>,
        /// Whether the session has ended, so that the route's
        /// [`FailurePolicy`](crate::route::FailurePolicy) applies; otherwise it goes on.
        ended: bool,
    },
    /// An attached pipeline says something, for example that a peer began to speak.
    PipelineControl {
        /// About whom: the peer whose session it is or, in a shared one, that the metadata entry `peer` names.
        peer: Option<PeerId>,
        /// What.
        message: ControlMessage,
    },
    /// This stream fell behind; that many events are missing before the next one.
    Lagged {
        /// How many.
        missed: u64,
    },
}

impl TransportEvent {
    pub(crate) fn from_mesh(event: MeshEvent) -> Option<Self> {
        Some(match event {
            MeshEvent::PeerAvailable { peer } => Self::PeerDiscovered { peer },
            MeshEvent::PeerLeft { peer } => Self::PeerLeft { peer },
            MeshEvent::PeerConnected { peer } => Self::PeerConnected { peer },
            MeshEvent::VideoUnavailable { peer, ours, theirs } => Self::VideoUnavailable { peer, ours, theirs },
            MeshEvent::PeerReconnecting { peer } => Self::PeerReconnecting { peer },
            MeshEvent::PeerReconnected { peer } => Self::PeerReconnected { peer },
            MeshEvent::TrackMuted { peer, kind } => Self::TrackMuted { peer, kind },
            MeshEvent::TrackUnmuted { peer, kind } => Self::TrackUnmuted { peer, kind },
            MeshEvent::PeerDisconnected { peer, reason } => Self::PeerDisconnected { peer, reason },
            MeshEvent::PeerFailed { peer, report } => Self::PeerFailed { peer, report },
            MeshEvent::IceServerFailed { peer, server } => Self::IceServerFailed { peer, server },
            MeshEvent::Signaling { connected } => Self::SignalingState { connected },
            MeshEvent::Lagged { missed } => Self::Lagged { missed },
            _ => return None,
        })
    }
}

/// A stream of [`TransportEvent`]s.
#[derive(Debug)]
pub struct TransportEvents {
    receiver: broadcast::Receiver<TransportEvent>,
}

impl TransportEvents {
    pub(crate) const DEPTH: usize = 1_024;

    pub(crate) fn new(receiver: broadcast::Receiver<TransportEvent>) -> Self {
        Self { receiver }
    }

    /// The next event; `None` once the transport is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<TransportEvent> {
        match self.receiver.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(TransportEvent::Lagged { missed }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}
