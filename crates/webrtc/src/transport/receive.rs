use std::sync::Arc;

use remotemedia_media::{AudioFrame, PeerId, VideoFrame};
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
    /// [`WebRtcError::PeerNotFound`] if the peer is not connected, [`WebRtcError::NotStarted`].
    pub async fn recv_audio(&self, peer: &str) -> Result<Option<Arc<AudioFrame>>> {
        Ok(self.inbox(peer)?.audio.pull().await)
    }

    /// The next picture of `peer`; `None` once it has left.
    ///
    /// Pictures are decoded from the first call on, and up to eight are kept; then the oldest is dropped. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::PeerNotFound`] if the peer is not connected, [`WebRtcError::NotStarted`].
    pub async fn recv_video(&self, peer: &str) -> Result<Option<Arc<VideoFrame>>> {
        Ok(self.inbox(peer)?.video.pull().await)
    }

    /// The next audio or video of `peer`, whichever comes first; `None` once it has left. Cancel-safe.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::PeerNotFound`] if the peer is not connected, [`WebRtcError::NotStarted`].
    pub async fn recv_from_peer(&self, peer: &str) -> Result<Option<RuntimeData>> {
        let inbox = self.inbox(peer)?;
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

    fn inbox(&self, peer: &str) -> Result<Arc<Inbox>> {
        let running = self.running()?;
        let id = PeerId::new(peer)?;
        running.engine.inbox(&id).ok_or_else(|| WebRtcError::PeerNotFound(peer.to_string()))
    }
}
