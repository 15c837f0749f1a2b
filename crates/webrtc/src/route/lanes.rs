//! What a peer sends, on its way into a pipeline.

use std::{future::Future, sync::Arc, time::Duration};

use remotemedia_media::{AudioFrame, VideoFrame};
use remotemedia_mesh::{Message, PeerMessages};
use remotemedia_runtime_core::data::RuntimeData;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::{
    engine::{FrameQueue, Inbox},
    message::DataChannelMessage,
};

/// How long a peer that is to leave waits for its messages to go through.
const PATIENCE: Duration = Duration::from_secs(5);

/// One lane for each kind of data, so that none waits for another. What was taken and not handed over yet is kept: whoever
/// stops in between loses nothing.
pub(super) struct Lanes {
    audio: Lane<Arc<FrameQueue<AudioFrame>>>,
    video: Lane<Arc<FrameQueue<VideoFrame>>>,
    messages: Option<Lane<PeerMessages>>,
    leave: CancellationToken,
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
    /// Until the peer leaves, or `leave` is cancelled.
    pub(super) fn new(inbox: &Inbox, messages: Option<PeerMessages>, leave: CancellationToken) -> Self {
        Self {
            leave,
            audio: Lane::new(inbox.audio.tap()),
            video: Lane::new(inbox.video.tap()),
            messages: messages.map(Lane::new),
        }
    }

    /// Hands everything to `sink` until the peer has left or is to leave; then messages that wait go first, for up to five
    /// seconds. May be dropped and called again.
    pub(super) async fn feed<F: Future<Output = ()>>(&mut self, sink: impl Fn(RuntimeData) -> F) {
        let media = async { tokio::join!(self.audio.feed(&sink), self.video.feed(&sink)) };
        let messages = async {
            if let Some(messages) = &mut self.messages {
                messages.feed(&sink).await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            _ = media => return,
            () = messages => {}
            () = self.leave.cancelled() => {}
        }
        if let Some(messages) = &mut self.messages {
            // A pipeline that stands still holds nobody back for ever.
            let _ = timeout(PATIENCE, messages.rest(&sink)).await;
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

impl Lane<PeerMessages> {
    /// Hands over what waits. Nothing more comes by now: nobody claims messages of that peer for this lane.
    async fn rest<F: Future<Output = ()>>(&mut self, sink: &impl Fn(RuntimeData) -> F) {
        loop {
            self.pending = self.pending.take().or_else(|| self.source.try_recv().map(from_wire));
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
        Some(from_wire(self.recv().await?))
    }
}

fn from_wire(message: Message) -> RuntimeData {
    match DataChannelMessage::from_wire(message) {
        DataChannelMessage::Json { payload } => RuntimeData::Json(payload),
        DataChannelMessage::Text { payload } => RuntimeData::Text(payload),
        DataChannelMessage::Binary { payload } => RuntimeData::Binary(payload.into()),
    }
}
