//! Whose media it is that comes in.

use remotemedia_media::{AudioFrame, MediaKind, PeerId, StreamId, VideoFrame};
use tokio::sync::mpsc;

/// The stream that a sink plays out. When it is dropped, the end of a named stream is told.
#[derive(Debug)]
pub(super) struct Origin {
    pub(super) peer: PeerId,
    /// `None` for the main stream of its kind.
    pub(super) stream: Option<StreamId>,
    pub(super) kind: MediaKind,
    /// Where the end is told.
    pub(super) ended: mpsc::UnboundedSender<Ended>,
    /// Tells a stream from another of the same name.
    pub(super) number: u64,
}

/// A named stream that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) peer: PeerId,
    pub(super) stream: StreamId,
    pub(super) kind: MediaKind,
    pub(super) number: u64,
}

impl Origin {
    pub(super) fn mark_audio(&self, frame: &mut AudioFrame) {
        frame.source = Some(self.peer.clone());
        frame.stream_id.clone_from(&self.stream);
    }

    pub(super) fn mark_video(&self, frame: &mut VideoFrame) {
        frame.source = Some(self.peer.clone());
        frame.stream_id.clone_from(&self.stream);
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.clone() {
            let ended = Ended { peer: self.peer.clone(), stream, kind: self.kind, number: self.number };
            // Without an engine nobody is to be told.
            let _ = self.ended.send(ended);
        }
    }
}
