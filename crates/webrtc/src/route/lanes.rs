//! What a peer sends, on its way into a pipeline.

use std::{future::Future, sync::Arc};

use remotemedia_media::{AudioFrame, VideoFrame};
use remotemedia_mesh::PeerMessages;
use remotemedia_runtime_core::data::RuntimeData;

use crate::{
    engine::{FrameQueue, Inbox},
    message::DataChannelMessage,
};

/// One lane for each kind of data, so that none waits for another. What was taken and not handed over yet is kept: whoever
/// stops in between loses nothing.
pub(super) struct Lanes {
    audio: Lane<Arc<FrameQueue<AudioFrame>>>,
    video: Lane<Arc<FrameQueue<VideoFrame>>>,
    messages: Option<Lane<PeerMessages>>,
}

struct Lane<S> {
    source: S,
    pending: Option<RuntimeData>,
}

/// Where a lane begins.
trait Source {
    /// The next piece; `None` once the peer has left.
    async fn next(&mut self) -> Option<RuntimeData>;
}

impl Lanes {
    pub(super) fn new(inbox: &Inbox, messages: Option<PeerMessages>) -> Self {
        Self {
            audio: Lane::new(inbox.audio.tap()),
            video: Lane::new(inbox.video.tap()),
            messages: messages.map(Lane::new),
        }
    }

    /// Hands everything to `sink` until the peer has left. May be dropped and called again.
    pub(super) async fn feed<F: Future<Output = ()>>(&mut self, sink: impl Fn(RuntimeData) -> F) {
        let media = async { tokio::join!(self.audio.feed(&sink), self.video.feed(&sink)) };
        let messages = async {
            if let Some(messages) = &mut self.messages {
                messages.feed(&sink).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = media => {}
            () = messages => {}
        }
    }

    /// Where audio and video wait; they count what they drop.
    pub(super) fn queues(&self) -> (Arc<FrameQueue<AudioFrame>>, Arc<FrameQueue<VideoFrame>>) {
        (Arc::clone(&self.audio.source), Arc::clone(&self.video.source))
    }
}

impl<S: Source> Lane<S> {
    fn new(source: S) -> Self {
        Self { source, pending: None }
    }

    async fn feed<F: Future<Output = ()>>(&mut self, sink: &impl Fn(RuntimeData) -> F) {
        loop {
            if self.pending.is_none() {
                self.pending = self.source.next().await;
            }
            let Some(data) = self.pending.clone() else { return };
            sink(data).await;
            self.pending = None;
        }
    }
}

impl Source for Arc<FrameQueue<AudioFrame>> {
    async fn next(&mut self) -> Option<RuntimeData> {
        self.pull().await.map(|frame| RuntimeData::Audio { frame })
    }
}

impl Source for Arc<FrameQueue<VideoFrame>> {
    async fn next(&mut self) -> Option<RuntimeData> {
        self.pull().await.map(|frame| RuntimeData::Video { frame })
    }
}

impl Source for PeerMessages {
    async fn next(&mut self) -> Option<RuntimeData> {
        Some(match DataChannelMessage::from_wire(self.recv().await?) {
            DataChannelMessage::Json { payload } => RuntimeData::Json(payload),
            DataChannelMessage::Text { payload } => RuntimeData::Text(payload),
            DataChannelMessage::Binary { payload } => RuntimeData::Binary(payload.into()),
        })
    }
}
