//! WebRTC multi-peer transport for real-time media pipelines: raw frames in, raw frames out.
//!
//! [`WebRtcTransport`] connects to other peers through a JSON-RPC signaling server, encodes what it is
//! given (Opus; VP9, VP8 or H.264), decodes what it receives, and runs media through pipelines of
//! `remotemedia-runtime-core`.
//!
//! Features: `opus`, `h264`, `vpx` (VP8 and VP9; needs the system's libvpx) and `nodes` (the native nodes of pipelines), all on
//! by default; `onnx` for a model of your own in `BackgroundBlur`.
#![forbid(unsafe_code)]

pub mod data_channel;
pub mod route;
pub mod transport;

mod codec_config;
mod config;
mod config_debug;
mod engine;
mod error;
mod events;
mod message;
mod signaling;

pub use crate::{
    codec_config::{AudioCodec, VideoCodec},
    config::{ConfigOptions, DataChannelMode, JitterMode, TurnServer, WebRtcTransportConfig},
    error::{Result, WebRtcError},
    events::{TransportEvent, TransportEvents},
    message::DataChannelMessage,
    route::{Attachment, FailurePolicy, Route, RouteMetrics, Target},
    transport::{
        BroadcastFailure, BroadcastStats, Environment, Heard, Interruption, PeerInfo, PeerMetrics, ReceiveMetrics,
        SharedSignaler, Speaker, WebRtcTransport,
    },
};
pub use remotemedia_media::{
    AudioFrame, Bitrate, Codec, MediaKind, NtpTime, PeerId, PixelFormat, Plane, StreamId, VideoFrame,
};
pub use remotemedia_mesh::{
    ConnectionReport, ConnectionStage, DatagramSocket, DisconnectReason, IceCandidate, IceServer, IceServerOutcome,
    IceServerReport, IceServerRole, Network, Signaler, SignalingError, SignalingEvent, SignalingMessage,
};

/// The native nodes that pipelines are made of, registered unless [`Environment::nodes`] says otherwise.
#[cfg(feature = "nodes")]
pub use remotemedia_nodes as nodes;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;

#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct GuideExamples;
