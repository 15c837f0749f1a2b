use remotemedia_media::{Bitrate, Codec, MediaKind, PeerId, RtpTimestamp, StreamId};
use tokio::sync::broadcast;

use crate::{ConnectionReport, DisconnectReason, IceServerReport};

/// What happens in a mesh.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum MeshEvent {
    /// Signaling announced a peer that can be connected to.
    PeerAvailable {
        /// Who.
        peer: PeerId,
    },
    /// A peer left signaling. Its connection may live on.
    PeerLeft {
        /// Who.
        peer: PeerId,
    },
    /// A connection stands: media and messages flow.
    PeerConnected {
        /// To whom.
        peer: PeerId,
    },
    /// A connection carries no video: the two sides have no video codec in common, or the peer takes no video at all. Audio
    /// and messages flow. Comes after [`MeshEvent::PeerConnected`], and again only after video could be sent meanwhile.
    VideoUnavailable {
        /// To whom.
        peer: PeerId,
        /// The video codecs of this mesh.
        ours: Vec<Codec>,
        /// Those that the peer offered, as far as they are known here; empty if it turned down an offer, which does not
        /// tell what it has.
        theirs: Vec<Codec>,
    },
    /// A connection lost its path and looks for another; nothing needs to be done.
    PeerReconnecting {
        /// To whom.
        peer: PeerId,
    },
    /// A connection that looked for a new path has one.
    PeerReconnected {
        /// To whom.
        peer: PeerId,
    },
    /// Nothing of a kind of media that a peer sent has come for two seconds, while the connection stands: the peer muted it,
    /// its source stalled, or the path broke, which is told as such a few seconds later.
    TrackMuted {
        /// Whose.
        peer: PeerId,
        /// Audio or video; all of the peer's streams of that kind together.
        kind: MediaKind,
    },
    /// Media of a kind comes again, after [`MeshEvent::TrackMuted`]. Told up to a second later.
    TrackUnmuted {
        /// Whose.
        peer: PeerId,
        /// Audio or video.
        kind: MediaKind,
    },
    /// A connection that stood is over.
    PeerDisconnected {
        /// To whom.
        peer: PeerId,
        /// Why.
        reason: DisconnectReason,
    },
    /// A connection could not be made.
    PeerFailed {
        /// To whom.
        peer: PeerId,
        /// How far it came.
        report: Box<ConnectionReport>,
    },
    /// A STUN or TURN server refused, or has no address. The connection may come about without it. Each failure is told once
    /// per attempt; a server that does not answer is told in the report of an attempt that failed.
    IceServerFailed {
        /// To whom the connection is.
        peer: PeerId,
        /// The server, and what came of asking it.
        server: IceServerReport,
    },
    /// The connection to the signaling server came or went.
    Signaling {
        /// Whether it stands now.
        connected: bool,
    },
    /// This stream fell behind, and events are missing here.
    Lagged {
        /// How many.
        missed: u64,
    },
}

/// An independent stream of the events of a mesh, 1,024 deep.
#[derive(Debug)]
pub struct MeshEvents(broadcast::Receiver<MeshEvent>);

impl MeshEvents {
    pub(crate) const DEPTH: usize = 1_024;

    pub(crate) fn new(receiver: broadcast::Receiver<MeshEvent>) -> Self {
        Self(receiver)
    }

    /// The next event; `None` once the mesh is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<MeshEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(missed)) => Some(MeshEvent::Lagged { missed }),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// What an engine that encodes media must know of the connections.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Feedback {
    /// Media can be sent to a peer from now on. Comes again when the codecs change.
    MediaReady {
        /// To whom.
        peer: PeerId,
        /// Audio codecs that it takes, best first; empty if it takes no audio.
        audio: Vec<Codec>,
        /// Video codecs that it takes, best first; empty if it takes no video.
        video: Vec<Codec>,
    },
    /// A named stream was negotiated. Comes again when its codecs change. With [`Feedback::MediaGone`] it is gone too, and has
    /// to be opened anew.
    StreamReady {
        /// To whom.
        peer: PeerId,
        /// Of what.
        kind: MediaKind,
        /// Its name.
        stream: StreamId,
        /// The codecs that the peer takes, best first; empty if it does not take the stream, or no longer.
        codecs: Vec<Codec>,
    },
    /// A peer asks for a keyframe. It may have asked before it got one that is under way.
    KeyframeRequested {
        /// Who.
        peer: PeerId,
        /// Of which stream; `None` for the main one.
        stream: Option<StreamId>,
    },
    /// Video to a peer was given up on this side, since it would have come too late. The peer cannot go on without a keyframe that
    /// is made from now on: what is under way, another keyframe included, comes before the gap.
    VideoGivenUp {
        /// To whom.
        peer: PeerId,
        /// Of which stream; `None` for the main one.
        stream: Option<StreamId>,
    },
    /// The bandwidth estimate of a connection changed.
    TargetBitrate {
        /// Whose.
        peer: PeerId,
        /// All media together.
        rate: Bitrate,
    },
    /// A peer wants to be told when its audio was played out up to a timestamp, with [`Mesh::tell_played`](crate::Mesh::tell_played).
    PlayoutAsked {
        /// Who.
        peer: PeerId,
        /// The timestamp behind the last sample, as in the peer's packets.
        timestamp: RtpTimestamp,
    },
    /// A peer says how far our audio was played out.
    Played {
        /// Who.
        peer: PeerId,
        /// The timestamp behind the last sample, as it was given to [`Mesh::send_media`](crate::Mesh::send_media).
        timestamp: RtpTimestamp,
    },
    /// No media can be sent to a peer any more.
    MediaGone {
        /// To whom.
        peer: PeerId,
    },
}
