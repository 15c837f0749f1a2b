use std::{sync::Arc, time::Duration};

use webrtc::data_channel::DataChannel;

use super::{
    Note,
    actor::{Actor, End},
    control::Control,
    peer::{Gone, PathState, PeerState},
};
use crate::{DisconnectReason, MeshEvent, SignalingMessage};

/// How long a farewell may take to be acknowledged.
const FAREWELL: Duration = Duration::from_millis(50);
/// How long messages that were taken may take to arrive before that.
const LAST_MESSAGES: Duration = Duration::from_millis(400);

/// How a connection ends.
impl Actor {
    pub(super) async fn finish(mut self, end: End) {
        tracing::debug!(peer = %self.peer.id, ?end, "connection ends");
        self.peer.state.send_replace(PeerState::Closing);
        let was_connected = self.connected_at.is_some();
        self.report.elapsed = self.started.elapsed();
        self.note_ice_servers();
        let reason = match &end {
            End::Local(reason) | End::Peer(reason) => *reason,
            End::Unwanted => DisconnectReason::UserRequested,
            End::Failed | End::NotReachable => DisconnectReason::NetworkError,
        };
        self.withdraw_media();
        self.peer.path.send_replace(PathState::Missing);
        if !matches!(end, End::Peer(_) | End::NotReachable) {
            let request_id = self.link.as_ref().map(|l| l.request_id.clone());
            self.signal(SignalingMessage::Disconnect { reason, request_id });
            self.say_farewell(reason).await;
        }
        if matches!(end, End::Peer(_)) {
            // What the peer sent before its farewell may still be on its way through the reader.
            let _ = tokio::time::timeout(LAST_MESSAGES, self.all_read()).await;
        }
        if let Some(link) = self.link.take() {
            link.close().await;
        }
        if let End::Peer(reason) = end {
            self.report.ended_by_peer = Some(reason);
        }
        let failed = !was_connected && matches!(end, End::Failed | End::NotReachable | End::Peer(_));
        self.shared.remove(&self.peer);
        let peer = self.peer.id.clone();
        let gone = match end {
            End::NotReachable if failed => Gone::NotReachable,
            _ if failed => Gone::Failed(Arc::new(self.report.clone())),
            _ => Gone::Ended,
        };
        if failed {
            self.shared.keep_report(peer.clone(), self.report.clone());
            self.shared.event(MeshEvent::PeerFailed { peer, report: Box::new(self.report.clone()) });
        } else if was_connected {
            self.shared.event(MeshEvent::PeerDisconnected { peer, reason });
        }
        self.peer.state.send_replace(PeerState::Gone(gone));
    }

    /// Waits until the channels of a peer of this library, which closes them before its farewell, are read to their end.
    async fn all_read(&mut self) {
        while self.link.as_ref().is_some_and(|l| l.is_remotemedia() && l.channels.iter().any(|c| c.read && c.open)) {
            match self.notes.recv().await {
                Some(Note::ChannelClosed(number)) => {
                    if let Some(link) = &mut self.link {
                        link.channels.retain(|c| c.number != number);
                    }
                }
                Some(_) => {}
                None => return,
            }
        }
    }

    /// Lets messages that were taken arrive, tells the peer over the control channel, and waits a moment for that to
    /// arrive too: closing would overtake both.
    async fn say_farewell(&mut self, reason: DisconnectReason) {
        let Some(link) = self.link.as_ref().filter(|l| l.connected) else { return };
        let sending_on = link.sending_on;
        let sending = link.channels.iter().find(|c| Some(c.number) == sending_on).map(|c| c.channel.clone());
        if let Some(channel) = sending {
            acknowledged(&*channel, LAST_MESSAGES).await;
            // The end of the channel comes behind its last message, which tells the peer that it has them all.
            if let Err(error) = channel.close().await {
                tracing::debug!(peer = %self.peer.id, error = %super::brief(&error), "closing the message channel");
            }
        }
        self.tell(Control::Bye(reason)).await;
        let Some(link) = self.link.as_ref().filter(|l| l.control_open) else { return };
        if let Some(channel) = link.control.clone() {
            acknowledged(&*channel, FAREWELL).await;
        }
    }
}

/// Waits until a channel holds nothing any more, `limit` at most.
async fn acknowledged(channel: &dyn DataChannel, limit: Duration) {
    let empty = async {
        while channel.outstanding_bytes().await.is_ok_and(|bytes| bytes > 0) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    // Past the limit the peer does not read, or is gone.
    let _ = tokio::time::timeout(limit, empty).await;
}
