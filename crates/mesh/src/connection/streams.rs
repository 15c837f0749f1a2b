use remotemedia_media::Codec;

use super::actor::Actor;
use crate::{Feedback, stream_key::StreamKey};

/// The named streams that are sent to the peer, beside the main ones.
impl Actor {
    /// Offers one more stream.
    pub(super) async fn open_stream(&mut self, key: StreamKey) {
        let best = self.peer.media.codecs(key.kind).first().copied();
        let Some(link) = self.link.as_mut().filter(|link| link.connected) else {
            // The peer began a new connection before it could be opened on the old one.
            self.peer.opened.lock().insert(key.clone());
            self.streams_to_open.push(key);
            return;
        };
        let Some(codec) = best else {
            // What the peer does not take as its main stream, it does not take as another.
            self.refuse_stream(key);
            return;
        };
        if link.out_track(&key).is_some() {
            return;
        }
        if let Err(error) = link.add_track(key.clone(), codec).await {
            tracing::debug!(peer = %self.peer.id, error = %super::brief(&error), "opening a stream");
            self.refuse_stream(key);
            return;
        }
        self.negotiate_soon();
    }

    /// Opens the streams that were asked for before the connection stood.
    pub(super) async fn open_streams(&mut self) {
        for key in std::mem::take(&mut self.streams_to_open) {
            self.open_stream(key).await;
        }
    }

    /// Sends a stream no longer.
    pub(super) async fn close_stream(&mut self, key: &StreamKey) {
        self.streams_to_open.retain(|other| other != key);
        self.peer.media.remove_stream(key);
        // Whoever closes it need not be told.
        self.published_streams.retain(|(published, _)| published != key);
        if let Some(link) = &mut self.link
            && let Err(error) = link.remove_track(key).await
        {
            tracing::debug!(peer = %self.peer.id, error = %super::brief(&error), "closing a stream");
        }
        self.negotiate_soon();
        self.publish_media();
    }

    /// Tells the engine what has changed of the named streams.
    pub(super) fn publish_streams(&mut self) {
        let now = self.peer.media.named_streams();
        let before = std::mem::replace(&mut self.published_streams, now.clone());
        let is_new = |entry: &&(StreamKey, Vec<Codec>)| !before.contains(entry);
        for (key, codecs) in now.iter().filter(is_new) {
            self.tell_stream(key, codecs.clone());
        }
        for (key, _) in before.iter().filter(|(key, _)| !now.iter().any(|(other, _)| other == key)) {
            self.tell_stream(key, Vec::new());
        }
    }

    /// The peer does not take a stream, or no longer.
    pub(super) fn refuse_stream(&mut self, key: StreamKey) {
        self.peer.opened.lock().remove(&key);
        self.tell_stream(&key, Vec::new());
    }

    fn tell_stream(&self, key: &StreamKey, codecs: Vec<Codec>) {
        let Some(stream) = key.stream.clone() else { return };
        self.shared.feedback(Feedback::StreamReady { peer: self.peer.id.clone(), kind: key.kind, stream, codecs });
    }
}
