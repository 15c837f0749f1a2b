use std::sync::Arc;

use remotemedia_codecs::CodecError;
use remotemedia_media::{AudioFrameError, Codec, MediaKind, StreamId, VideoFrameError};
use remotemedia_mesh::MeshError;

/// What the methods of this crate answer.
pub type Result<T, E = WebRtcError> = std::result::Result<T, E>;

/// Why something could not be done.
///
/// Every error says what it concerns; [`WebRtcError::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebRtcError {
    /// A field of the configuration is out of range.
    #[error("{field} is {value:?}, allowed is {allowed}")]
    InvalidConfig {
        /// The field, with dots into nested ones.
        field: &'static str,
        /// What it was.
        value: String,
        /// What it may be.
        allowed: &'static str,
    },
    /// The codec is not part of this build.
    #[error("{codec} is not part of this build: turn on the feature `{feature}` of remotemedia-webrtc")]
    CodecNotBuilt {
        /// The codec.
        codec: Codec,
        /// The cargo feature that builds it.
        feature: &'static str,
    },
    /// The transport has not been started, or has been shut down.
    #[error("the transport is not running: call start() first")]
    NotStarted,
    /// The signaling server could not be reached, or refused the registration.
    #[error("signaling with {url} failed")]
    SignalingFailed {
        /// The server's address.
        url: String,
        /// What went wrong.
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// No peer of that name is in the room or connected.
    #[error("peer {0:?} was not found")]
    PeerNotFound(String),
    /// The name is this peer's own.
    #[error("{0:?} is this peer's own name")]
    OwnPeerId(String),
    /// The name is no valid peer id.
    #[error(transparent)]
    InvalidPeerId(#[from] remotemedia_media::InvalidPeerId),
    /// Every address pair was tried, none works.
    #[error("no network path to the peer was found")]
    NatTraversalFailed,
    /// A connection could not be made, or ended while it was needed.
    #[error("the connection to peer {peer:?} failed")]
    ConnectionFailed {
        /// The peer.
        peer: String,
        /// What went wrong.
        #[source]
        source: MeshError,
    },
    /// There are as many peers as `max_peers` allows.
    #[error("{limit} peers are connected, which is what max_peers allows")]
    TooManyPeers {
        /// The configured limit.
        limit: usize,
    },
    /// The peer takes none of the media that was sent to it.
    #[error("peer {peer:?} takes no {media}")]
    MediaNotNegotiated {
        /// The peer.
        peer: String,
        /// `audio`, `video` or `data`.
        media: &'static str,
    },
    /// The transport's configuration switches this off.
    #[error("{field} is off in the configuration of this transport")]
    Disabled {
        /// The field that switches it on.
        field: &'static str,
    },
    /// The frame names a stream that the peer does not take, though it takes such media.
    #[error("peer {peer:?} does not take the {kind} stream {stream:?} beside its main one")]
    StreamRefused {
        /// The peer.
        peer: String,
        /// Of what.
        kind: MediaKind,
        /// The stream that the frame names.
        stream: StreamId,
    },
    /// A peer is sent as many named streams of that kind as one can be.
    #[error("peer {peer:?} is sent {limit} named {kind} streams already, which is the most")]
    TooManyStreams {
        /// The peer.
        peer: String,
        /// Of what.
        kind: MediaKind,
        /// The limit.
        limit: usize,
    },
    /// The peer sends no stream of that name.
    #[error("peer {peer:?} sends no {kind} stream {stream:?}; the named ones that it sends are {known:?}")]
    StreamNotFound {
        /// The peer.
        peer: String,
        /// Of what.
        kind: MediaKind,
        /// The stream that was asked for.
        stream: StreamId,
        /// Those that it sends of that kind, beside the main one.
        known: Vec<StreamId>,
    },
    /// This kind of data cannot be sent to a peer.
    #[error("{kind} data cannot be sent to a peer: send audio, video, text, JSON or binary data")]
    UnsupportedData {
        /// The kind of data.
        kind: &'static str,
    },
    /// A codec failed.
    #[error("the codec failed")]
    Codec(#[from] CodecError),
    /// Samples that are no audio frame.
    #[error(transparent)]
    AudioFrame(#[from] AudioFrameError),
    /// Bytes that are no picture.
    #[error(transparent)]
    VideoFrame(#[from] VideoFrameError),
    /// A message is larger than the peer takes.
    #[error("a message of {size} bytes is larger than the {limit} bytes that peer {peer:?} takes")]
    MessageTooLarge {
        /// The peer.
        peer: String,
        /// The size of the message in bytes.
        size: usize,
        /// The most the peer takes in bytes.
        limit: usize,
    },
    /// A peer does not read its messages, and its channel is full. If it reads again, the message may still arrive.
    #[error("peer {peer:?} does not read its messages")]
    PeerTooSlow {
        /// The peer.
        peer: String,
    },
    /// A pipeline failed.
    #[error("the pipeline failed")]
    Pipeline(#[from] remotemedia_runtime_core::RuntimeError),
    /// The pipeline has ended, by its [`FailurePolicy`](crate::route::FailurePolicy) or with its transport.
    #[error("the attached pipeline has ended")]
    PipelineEnded,
    /// A route names an output that the pipeline does not have.
    #[error("the pipeline has no output {output:?}; it has {}", known.join(", "))]
    UnknownOutput {
        /// The output that the route names.
        output: String,
        /// Those of the manifest.
        known: Vec<String>,
    },
    /// The peers of the route share one session.
    #[error("the peers of this route share one session, which cannot be replaced for one of them")]
    SharedSession,
}

impl WebRtcError {
    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::SignalingFailed { .. } | Self::NatTraversalFailed | Self::ConnectionFailed { .. } => true,
            // A peer that is not there yet may come.
            Self::PeerNotFound(_) | Self::TooManyPeers { .. } | Self::PeerTooSlow { .. } => true,
            // Nor need its streams be.
            Self::StreamNotFound { .. } => true,
            _ => false,
        }
    }

    /// What to do about it, in one sentence.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::InvalidConfig { .. } => "set the named field to one of the allowed values",
            Self::CodecNotBuilt { .. } => "turn on the named cargo feature, or choose a codec that is built",
            Self::NotStarted => "call start() and await it before connecting or sending",
            Self::SignalingFailed { .. } => {
                "check that the signaling server runs at signaling_url and that the peer id is free"
            }
            Self::PeerNotFound(_) => {
                "check the spelling and the room, and wait until list_available_peers() names the peer"
            }
            Self::OwnPeerId(_) => "connect to another peer",
            Self::InvalidPeerId(_) => "use 1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'",
            Self::NatTraversalFailed => {
                "add a TURN server to turn_servers; if there is one, diagnosis() of that peer tells what came of asking it"
            }
            Self::ConnectionFailed { .. } => "diagnosis() of that peer says how far it came; try again",
            Self::TooManyPeers { .. } => "raise max_peers, or disconnect a peer first",
            Self::MediaNotNegotiated { .. } => "enable that kind of media on both sides",
            Self::Disabled { .. } => "switch the named field on",
            Self::StreamRefused { .. } => "leave stream_id of the frame empty: the peer takes one stream of that kind",
            Self::TooManyStreams { .. } => "end one with close_stream() first",
            Self::StreamNotFound { .. } => "wait for the event StreamAdded, and read the main stream without a name",
            Self::UnsupportedData { .. } => "convert the data before sending it",
            Self::Codec(_) => "check the size and format of the frames",
            Self::AudioFrame(_) | Self::VideoFrame(_) => "check the length of the buffer against size and format",
            Self::MessageTooLarge { .. } => "split the message",
            Self::UnknownOutput { .. } => {
                "name one of the manifest's nodes of the type Output, or `output` if it has none"
            }
            Self::PipelineEnded => "attach a pipeline anew",
            Self::SharedSession => "call replace() for all of them, or attach a route without shared()",
            Self::PeerTooSlow { .. } => "send less, or disconnect that peer",
            Self::Pipeline(_) => "check the node that the error names",
        }
    }
}
