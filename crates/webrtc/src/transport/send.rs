use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use remotemedia_media::{AudioFrame, MediaKind, PeerId, StreamId, VideoFrame};
use remotemedia_mesh::MeshError;
use remotemedia_runtime_core::data::RuntimeData;
use tokio::time::timeout;

use super::{WebRtcTransport, running::Running};
use crate::{
    engine::{Audience, StreamState},
    error::{Result, WebRtcError},
    message::DataChannelMessage,
};

/// How long a broadcast message waits for a peer that does not read.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(5);

/// Far above what a connected peer takes to say which media it takes, or that it takes one more stream.
const READY_PATIENCE: Duration = Duration::from_secs(1);

/// What became of a broadcast.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct BroadcastStats {
    /// Peers it was sent to.
    pub sent_count: usize,
    /// Peers it could not be sent to.
    pub failed_count: usize,
    /// Those peers, each with the reason.
    pub failed_peers: Vec<BroadcastFailure>,
}

/// A peer that a broadcast did not reach.
#[derive(Debug)]
#[non_exhaustive]
pub struct BroadcastFailure {
    /// Who.
    pub peer_id: PeerId,
    /// Why.
    pub error: WebRtcError,
}

impl WebRtcTransport {
    /// Sends `data` to `peer`.
    ///
    /// Audio may have any rate, channel count and length. It may be pushed ahead of real time: the call waits while more
    /// than `audio_queue_ms` is queued, and nothing of it is dropped. Video returns at once; if the encoder is busy, the
    /// newest picture replaces one that waits. For 500 ms after it, media sent to one peer takes precedence over
    /// [`WebRtcTransport::broadcast`] media of the same kind. Text, JSON and binary data go over the data channel.
    /// Cancelled, it has sent nothing, or all of a message.
    ///
    /// A frame with a `stream_id` goes out as a stream of its own beside the main one, up to four of each kind, which the
    /// receiver reads by that name. The first frame of a stream waits, up to a second, until the peer has taken it; it ends
    /// with [`WebRtcTransport::close_stream`] or with the connection. What the network carries is shared evenly among the
    /// video streams of a peer.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::PeerNotFound`] if the peer is not connected or goes before the frame is taken, [`WebRtcError::MediaNotNegotiated`] if it does not
    /// take such media, [`WebRtcError::StreamRefused`] and [`WebRtcError::TooManyStreams`] for a frame that names a stream, [`WebRtcError::Disabled`] if this transport's configuration switches them off,
    /// [`WebRtcError::UnsupportedData`] for kinds that cannot be sent.
    pub async fn send_to_peer(&self, peer: &str, data: &RuntimeData) -> Result<()> {
        let running = self.running()?;
        let peer = PeerId::new(peer)?;
        match Payload::of(data)? {
            Payload::Audio(frame) => {
                running.check_enabled(MediaKind::Audio)?;
                running.wait_until_ready(&peer).await;
                running.check_takes(&peer, MediaKind::Audio)?;
                running.open_stream(&peer, MediaKind::Audio, frame.stream_id.as_ref()).await?;
                running.send_audio(Audience::Peer(peer), frame).await
            }
            Payload::Video(frame) => {
                running.check_enabled(MediaKind::Video)?;
                running.wait_until_ready(&peer).await;
                running.check_takes(&peer, MediaKind::Video)?;
                running.open_stream(&peer, MediaKind::Video, frame.stream_id.as_ref()).await?;
                running.send_video(Audience::Peer(peer), frame)
            }
            Payload::Message(message) => running.send_message(&peer, &message).await,
        }
    }

    /// Sends `data` to every connected peer, as [`WebRtcTransport::send_to_peer`] does to one. Video and audio are
    /// encoded once, however many peers there are. A message waits up to 5 s for a peer that does not read. One peer's failure does not keep it from the others, and with no
    /// peer at all it is sent to nobody. The first frames of a named stream do not reach a peer that has not taken it yet.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Disabled`] and [`WebRtcError::UnsupportedData`], as they concern every peer.
    pub async fn broadcast(&self, data: &RuntimeData) -> Result<BroadcastStats> {
        let running = self.running()?;
        let peers = running.engine.sending.peers();
        let results: Vec<(PeerId, Result<()>)> = match Payload::of(data)? {
            Payload::Audio(frame) => {
                let results = running.check_each(peers, MediaKind::Audio, frame.stream_id.as_ref());
                running.send_audio(Audience::All, frame).await?;
                results
            }
            Payload::Video(frame) => {
                let results = running.check_each(peers, MediaKind::Video, frame.stream_id.as_ref());
                running.send_video(Audience::All, frame)?;
                results
            }
            Payload::Message(message) => {
                running.check_messages_enabled()?;
                let send = |peer: PeerId| {
                    let (running, message) = (&running, &message);
                    async move {
                        let sending = running.send_message(&peer, message);
                        let result = timeout(MESSAGE_PATIENCE, sending).await;
                        let slow = WebRtcError::PeerTooSlow { peer: peer.to_string() };
                        (peer, result.unwrap_or(Err(slow)))
                    }
                };
                join_all(peers.into_iter().map(send)).await
            }
        };
        let mut stats = BroadcastStats::default();
        for (peer_id, result) in results {
            match result {
                Ok(()) => stats.sent_count += 1,
                Err(error) => stats.failed_peers.push(BroadcastFailure { peer_id, error }),
            }
        }
        stats.failed_count = stats.failed_peers.len();
        Ok(stats)
    }

    /// Ends the streams of that name, of both kinds, to every peer. Whoever reads them sees the end. A frame that names it later
    /// opens it anew; a stream that does not exist is no error.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`] if it is no stream id, [`WebRtcError::NotStarted`].
    pub fn close_stream(&self, stream: &str) -> Result<()> {
        self.running()?.engine.sending.close_stream(&StreamId::new(stream)?);
        Ok(())
    }

    /// Pictures given to `send_to_peer` and `broadcast` that were dropped because newer ones came before they were
    /// encoded, over the sources that run now: the encoder was busy, or the codec's frame rate allows no more.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::NotStarted`].
    pub fn pictures_replaced(&self) -> Result<u64> {
        Ok(self.running()?.engine.sending.replaced_pictures())
    }
}

/// What can be sent.
enum Payload {
    Audio(Arc<AudioFrame>),
    Video(Arc<VideoFrame>),
    Message(DataChannelMessage),
}

impl Payload {
    fn of(data: &RuntimeData) -> Result<Self> {
        match data {
            RuntimeData::Audio { frame } => Ok(Self::Audio(Arc::clone(frame))),
            RuntimeData::Video { frame } => Ok(Self::Video(Arc::clone(frame))),
            RuntimeData::Json(value) => Ok(Self::Message(DataChannelMessage::Json { payload: value.clone() })),
            RuntimeData::Text(text) => Ok(Self::Message(DataChannelMessage::Text { payload: text.clone() })),
            RuntimeData::Binary(bytes) => Ok(Self::Message(DataChannelMessage::Binary { payload: bytes.to_vec() })),
            other => Err(WebRtcError::UnsupportedData { kind: other.kind().name() }),
        }
    }
}

impl Running {
    async fn send_audio(&self, audience: Audience, frame: Arc<AudioFrame>) -> Result<()> {
        let sent = self.engine.sending.send_audio(audience.clone(), frame).await;
        sent.ok_or_else(|| not_sent(audience, "enable_audio"))
    }

    fn send_video(&self, audience: Audience, frame: Arc<VideoFrame>) -> Result<()> {
        let sent = self.engine.sending.send_video(audience.clone(), frame);
        sent.ok_or_else(|| not_sent(audience, "enable_video"))
    }

    /// Whether this side's own configuration has media of `kind`.
    pub(super) fn check_enabled(&self, kind: MediaKind) -> Result<()> {
        let (audio, video) = self.engine.sending.current_settings();
        let (enabled, field) = match kind {
            MediaKind::Audio => (audio.is_some(), "enable_audio"),
            MediaKind::Video => (video.is_some(), "enable_video"),
        };
        if enabled { Ok(()) } else { Err(WebRtcError::Disabled { field }) }
    }

    /// A peer that was connected a moment ago may not have said yet what it takes.
    async fn wait_until_ready(&self, peer: &PeerId) {
        if self.engine.sending.peer(peer).is_none() && self.mesh.peers().iter().any(|p| p.peer == *peer) {
            self.engine.sending.wait_ready(peer, READY_PATIENCE).await;
        }
    }

    /// Whether `peer` is connected and takes media of `kind`.
    fn check_takes(&self, peer: &PeerId, kind: MediaKind) -> Result<()> {
        let media = self.engine.sending.peer(peer).ok_or_else(|| WebRtcError::PeerNotFound(peer.to_string()))?;
        let (takes, name) = match kind {
            MediaKind::Audio => (media.audio, "audio"),
            MediaKind::Video => (!media.video.is_empty(), "video"),
        };
        if takes { Ok(()) } else { Err(WebRtcError::MediaNotNegotiated { peer: peer.to_string(), media: name }) }
    }

    /// Opens the stream that a frame names to `peer`, which takes media of `kind`.
    async fn open_stream(&self, peer: &PeerId, kind: MediaKind, stream: Option<&StreamId>) -> Result<()> {
        let Some(stream) = stream else { return Ok(()) };
        let opened = self.engine.sending.open_stream(peer, kind, stream, READY_PATIENCE).await;
        stream_result(peer, kind, stream, opened)
    }

    fn check_each(&self, peers: Vec<PeerId>, kind: MediaKind, stream: Option<&StreamId>) -> Vec<(PeerId, Result<()>)> {
        let check = |peer: PeerId| {
            let result = self.check_takes(&peer, kind).and_then(|()| match stream {
                Some(stream) => {
                    let begun = self.engine.sending.begin_stream(&peer, kind, stream);
                    stream_result(&peer, kind, stream, begun)
                }
                None => Ok(()),
            });
            (peer, result)
        };
        peers.into_iter().map(check).collect()
    }
}

/// Why the engine has no source for `audience`, which it has for everybody if the configuration switches `field` on. What goes to
/// one peer was checked for that before.
fn not_sent(audience: Audience, field: &'static str) -> WebRtcError {
    match audience {
        Audience::All => WebRtcError::Disabled { field },
        Audience::Peer(peer) => WebRtcError::PeerNotFound(peer.to_string()),
    }
}

/// What became of opening a stream, in the words of this crate. One that is not ready yet is no error.
fn stream_result(
    peer: &PeerId,
    kind: MediaKind,
    stream: &StreamId,
    opened: std::result::Result<StreamState, MeshError>,
) -> Result<()> {
    let peer = peer.to_string();
    match opened {
        Ok(StreamState::Ready | StreamState::Unknown) => Ok(()),
        Ok(StreamState::Refused) => Err(WebRtcError::StreamRefused { peer, kind, stream: stream.clone() }),
        Err(MeshError::TooManyStreams { limit, .. }) => Err(WebRtcError::TooManyStreams { peer, kind, limit }),
        Err(MeshError::NotConnected(_)) => Err(WebRtcError::PeerNotFound(peer)),
        Err(source) => Err(WebRtcError::ConnectionFailed { peer, source }),
    }
}
