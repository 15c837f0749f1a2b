use remotemedia_media::PeerId;
use remotemedia_mesh::MeshError;

use super::{WebRtcTransport, running::Running};
use crate::{
    error::{Result, WebRtcError},
    message::DataChannelMessage,
};

impl WebRtcTransport {
    /// Sends a message to `peer`, waiting while its data channel is full. Messages up to 16 MB go to peers that use this
    /// library; others say how much they take. Cancelled, it leaves no half message.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::PeerNotFound`] if the peer is not connected, [`WebRtcError::MediaNotNegotiated`] if it has no data
    /// channel, [`WebRtcError::Disabled`] if this transport's configuration switches it off,
    /// [`WebRtcError::MessageTooLarge`] beyond what the peer takes.
    pub async fn send_data_channel_message(&self, peer: &str, message: &DataChannelMessage) -> Result<()> {
        let running = self.running()?;
        running.send_message(&PeerId::new(peer)?, message).await
    }

    /// The next message of any peer, with its sender; `None` once the transport is shut down. No message is lost: while
    /// none is taken, the senders wait. Cancel-safe. Several readers share the messages.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Disabled`] if this transport's configuration switches the data channel off, [`WebRtcError::NotStarted`].
    pub async fn recv_data_channel_message(&self) -> Result<Option<(PeerId, DataChannelMessage)>> {
        let running = self.running()?;
        running.check_messages_enabled()?;
        let received = running.mesh.recv_message().await;
        Ok(received.map(|(peer, message)| (peer, DataChannelMessage::from_wire(message))))
    }
}

impl Running {
    /// Whether this side's own configuration has messages.
    pub(super) fn check_messages_enabled(&self) -> Result<()> {
        if self.has_messages { Ok(()) } else { Err(WebRtcError::Disabled { field: "enable_data_channel" }) }
    }

    pub(super) async fn send_message(&self, peer: &PeerId, message: &DataChannelMessage) -> Result<()> {
        self.check_messages_enabled()?;
        let peer_name = || peer.to_string();
        self.mesh.send_message(peer, message.to_wire()).await.map_err(|error| match error {
            MeshError::NotConnected(_) => WebRtcError::PeerNotFound(peer_name()),
            MeshError::NoDataChannel(_) => WebRtcError::MediaNotNegotiated { peer: peer_name(), media: "data" },
            MeshError::MessageTooLarge { size, limit, .. } => {
                WebRtcError::MessageTooLarge { peer: peer_name(), size, limit }
            }
            source => WebRtcError::ConnectionFailed { peer: peer_name(), source },
        })
    }
}
