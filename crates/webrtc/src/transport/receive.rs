use std::sync::Arc;

use remotemedia_media::{AudioFrame, MediaKind, PeerId, StreamId, VideoFrame};
use remotemedia_runtime_core::data::RuntimeData;

use super::WebRtcTransport;
use crate::{
    engine::Inbox,
    error::{Result, WebRtcError},
};

impl WebRtcTransport {
    /// The next 20 ms of what `peer` says, 48 kHz: silence while it sends nothing, `None` once it has left.
    ///
    /// A peer that has left is known for some time: what waits of it can still be taken.
    ///
    /// A peer's audio is kept from the first call on: up to two seconds, then the oldest is dropped. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Disabled`] if this transport's configuration switches audio off, [`WebRtcError::PeerNotFound`] if the peer is
    /// not connected, [`WebRtcError::NotStarted`].
    pub async fn recv_audio(&self, peer: &str) -> Result<Option<Arc<AudioFrame>>> {
        self.running()?.check_enabled(MediaKind::Audio)?;
        Ok(self.inbox(peer).await?.audio.pull().await)
    }

    /// The next picture of `peer`; `None` once it has left.
    ///
    /// Pictures are decoded from the first call on, and up to eight are kept; then the oldest is dropped. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Disabled`] if this transport's configuration switches video off, [`WebRtcError::PeerNotFound`] if the peer is
    /// not connected, [`WebRtcError::NotStarted`].
    pub async fn recv_video(&self, peer: &str) -> Result<Option<Arc<VideoFrame>>> {
        self.running()?.check_enabled(MediaKind::Video)?;
        Ok(self.inbox(peer).await?.video.pull().await)
    }

    /// The next audio or video of `peer`, whichever comes first; `None` once it has left. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Disabled`] if this transport's configuration switches both off, [`WebRtcError::PeerNotFound`] if the peer is
    /// not connected, [`WebRtcError::NotStarted`].
    pub async fn recv_from_peer(&self, peer: &str) -> Result<Option<RuntimeData>> {
        let running = self.running()?;
        // One of the two is enough.
        running
            .check_enabled(MediaKind::Audio)
            .or_else(|off| running.check_enabled(MediaKind::Video).map_err(|_| off))?;
        let inbox = self.inbox(peer).await?;
        let media = tokio::select! {
            audio = inbox.audio.pull() => match audio {
                Some(frame) => Some(RuntimeData::Audio { frame }),
                None => inbox.video.pull().await.map(|frame| RuntimeData::Video { frame }),
            },
            video = inbox.video.pull() => match video {
                Some(frame) => Some(RuntimeData::Video { frame }),
                None => inbox.audio.pull().await.map(|frame| RuntimeData::Audio { frame }),
            },
        };
        Ok(media)
    }

    /// The named streams that `peer` sends now, beside its main ones. [`TransportEvent::StreamAdded`] and
    /// [`TransportEvent::StreamEnded`] tell of changes.
    ///
    /// Another peer of this library names what it sends by the `stream_id` of its frames. Of a browser, the first audio and
    /// the first video section is the main one, and any further one has the name of its `MediaStream`.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::PeerNotFound`] if the peer is not connected, [`WebRtcError::NotStarted`].
    ///
    /// [`TransportEvent::StreamAdded`]: crate::TransportEvent::StreamAdded
    /// [`TransportEvent::StreamEnded`]: crate::TransportEvent::StreamEnded
    pub fn streams(&self, peer: &str) -> Result<Vec<(MediaKind, StreamId)>> {
        let streams = self.running()?.engine.streams(&PeerId::new(peer)?);
        streams.ok_or_else(|| WebRtcError::PeerNotFound(peer.to_string()))
    }

    /// As [`WebRtcTransport::recv_audio`], of a named stream; `None` once it has ended.
    ///
    /// # Errors
    ///
    /// The same, and [`WebRtcError::StreamNotFound`] with the streams that the peer sends.
    pub async fn recv_audio_stream(&self, peer: &str, stream: &str) -> Result<Option<Arc<AudioFrame>>> {
        Ok(self.stream_inbox(peer, MediaKind::Audio, stream)?.audio.pull().await)
    }

    /// As [`WebRtcTransport::recv_video`], of a named stream; `None` once it has ended.
    ///
    /// # Errors
    ///
    /// The same, and [`WebRtcError::StreamNotFound`] with the streams that the peer sends.
    pub async fn recv_video_stream(&self, peer: &str, stream: &str) -> Result<Option<Arc<VideoFrame>>> {
        Ok(self.stream_inbox(peer, MediaKind::Video, stream)?.video.pull().await)
    }

    fn stream_inbox(&self, peer: &str, kind: MediaKind, stream: &str) -> Result<Arc<Inbox>> {
        let (id, stream) = (PeerId::new(peer)?, StreamId::new(stream)?);
        let running = self.running()?;
        running.check_enabled(kind)?;
        let found = running.engine.stream_inbox(&id, kind, &stream);
        let found = found.ok_or_else(|| WebRtcError::PeerNotFound(peer.to_string()))?;
        found.map_err(|known| WebRtcError::StreamNotFound { peer: peer.to_string(), kind, stream, known })
    }

    async fn inbox(&self, peer: &str) -> Result<Arc<Inbox>> {
        let running = self.running()?;
        let id = PeerId::new(peer)?;
        running.engine.inbox_soon(&id).await.ok_or_else(|| WebRtcError::PeerNotFound(peer.to_string()))
    }
}
