//! What comes out of a pipeline, on its way to peers.

use std::{sync::Arc, time::Duration};

use remotemedia_media::{AudioFrame, MediaKind, PeerId};
use remotemedia_mesh::{Mesh, Message};
use remotemedia_runtime_core::data::RuntimeData;
use tokio::{sync::mpsc, task::JoinSet, time::timeout};

use super::Destination;
use crate::{
    engine::{Audience, Sending},
    message::DataChannelMessage,
};

/// Audio frames and messages that wait for their peers. Beyond that the pipeline waits.
const QUEUE: usize = 64;

/// How long a message to several peers waits for one that does not read.
const MESSAGE_PATIENCE: Duration = Duration::from_secs(5);

/// Sends each kind of data on its own, so that audio that is ahead of real time holds up no picture. Dropping it ends it.
pub(super) struct Outputs {
    to: Receivers,
    audio: mpsc::Sender<Arc<AudioFrame>>,
    messages: mpsc::Sender<Message>,
    _tasks: JoinSet<()>,
}

#[derive(Clone)]
struct Receivers {
    sending: Sending,
    mesh: Mesh,
    to: Destination,
    sender: PeerId,
}

impl Outputs {
    pub(super) fn start(sending: Sending, mesh: Mesh, to: Destination, sender: PeerId) -> Self {
        let to = Receivers { sending, mesh, to, sender };
        let (audio, mut frames) = mpsc::channel(QUEUE);
        let (messages, mut texts) = mpsc::channel(QUEUE);
        let mut tasks = JoinSet::new();
        let receivers = to.clone();
        tasks.spawn(async move {
            while let Some(frame) = frames.recv().await {
                receivers.send_audio(frame).await;
            }
        });
        let receivers = to.clone();
        tasks.spawn(async move {
            while let Some(message) = texts.recv().await {
                receivers.send_message(message).await;
            }
        });
        Self { to, audio, messages, _tasks: tasks }
    }

    /// Sends `data`, or waits for room. What cannot be sent to anybody is left out.
    pub(super) async fn send(&self, data: RuntimeData) {
        let message = match data {
            RuntimeData::Audio { frame } => {
                // The task lives as long as this.
                let _ = self.audio.send(frame).await;
                return;
            }
            RuntimeData::Video { frame } => {
                for audience in self.to.audiences(MediaKind::Video) {
                    self.to.sending.send_video(audience, Arc::clone(&frame));
                }
                return;
            }
            RuntimeData::Text(payload) => DataChannelMessage::Text { payload },
            RuntimeData::Json(payload) => DataChannelMessage::Json { payload },
            RuntimeData::Binary(bytes) => {
                let _ = self.messages.send(Message::Binary(bytes)).await;
                return;
            }
            other => {
                tracing::debug!(peer = %self.to.sender, kind = %other.kind(), "a pipeline made something that no peer takes");
                return;
            }
        };
        let _ = self.messages.send(message.to_wire()).await;
    }

    /// Waits until everything that was taken is on its way, at most for `patience`.
    pub(super) async fn flush(&self, patience: Duration) {
        let all = async {
            let _ = self.audio.reserve_many(QUEUE).await;
            let _ = self.messages.reserve_many(QUEUE).await;
        };
        let _ = timeout(patience, all).await;
    }
}

impl Receivers {
    /// Who gets media of `kind` now.
    fn audiences(&self, kind: MediaKind) -> Vec<Audience> {
        let takes = |peer: &&PeerId| {
            self.sending.peer(peer).is_some_and(|media| match kind {
                MediaKind::Audio => media.audio,
                MediaKind::Video => !media.video.is_empty(),
            })
        };
        let one = |peer: &PeerId| Audience::Peer(peer.clone());
        match &self.to {
            Destination::All => vec![Audience::All],
            Destination::Sender => Some(&self.sender).filter(takes).map(one).into_iter().collect(),
            Destination::Peers(peers) => peers.iter().filter(takes).map(one).collect(),
        }
    }

    async fn send_audio(&self, frame: Arc<AudioFrame>) {
        let audiences = self.audiences(MediaKind::Audio);
        let sends = audiences.into_iter().map(|audience| self.sending.send_audio(audience, Arc::clone(&frame)));
        futures_util::future::join_all(sends).await;
    }

    async fn send_message(&self, message: Message) {
        let peers: Vec<PeerId> = match &self.to {
            // It is the one that waits for itself.
            Destination::Sender => {
                if let Err(error) = self.mesh.send_message(&self.sender, message).await {
                    tracing::debug!(peer = %self.sender, %error, "a message was not sent");
                }
                return;
            }
            Destination::All => self.mesh.peers().into_iter().map(|status| status.peer).collect(),
            Destination::Peers(peers) => peers.iter().cloned().collect(),
        };
        let message = &message;
        let sends = peers.iter().map(|peer| async move {
            match timeout(MESSAGE_PATIENCE, self.mesh.send_message(peer, message.clone())).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%peer, %error, "a message was not sent"),
                Err(_) => tracing::warn!(%peer, "a message was not sent: the peer does not read"),
            }
        });
        futures_util::future::join_all(sends).await;
    }
}
