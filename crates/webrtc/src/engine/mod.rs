//! The media engine: encodes what is sent, decodes and plays out what is received.

mod audio_queue;
mod audio_sink;
mod audio_source;
mod clock;
mod executor;
mod frame_limit;
mod inbox;
mod keyframes;
mod media_time;
mod origin;
mod receiving;
mod reframe;
mod roster;
mod sending;
mod sent_log;
mod video_sink;
mod video_source;

use std::sync::{Arc, Weak};

use remotemedia_jitter::PlayoutConfig;
use remotemedia_media::{Codec, MediaKind, PeerId, StreamId};
use remotemedia_mesh::{Feedback, Mesh};
use tokio::{
    sync::{broadcast, mpsc},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

pub(crate) use self::executor::Executor;
pub(crate) use self::inbox::{FrameQueue, Inbox};
pub(crate) use self::roster::Audience;
pub(crate) use self::roster::StreamState;
pub(crate) use self::sending::{Listened, Sending, Voice};
use self::{clock::MediaClock, receiving::Receiving, roster::Roster};
use crate::{config::Settings, events::TransportEvent};

/// What every part of the engine shares.
#[derive(Debug)]
pub(crate) struct EngineShared {
    executor: Executor,
    clock: MediaClock,
    roster: Roster,
}

/// The media of one running transport. Dropping it ends every task and source of it.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) sending: Sending,
    receiving: Arc<Receiving>,
    stop: CancellationToken,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.cancel();
        self.receiving.clear();
    }
}

impl Engine {
    /// Starts the engine of `mesh`. Must be called within a tokio runtime.
    pub(crate) fn start(
        mesh: Mesh,
        settings: &Settings,
        executor: Executor,
        events: broadcast::Sender<TransportEvent>,
    ) -> Self {
        let clock = MediaClock::new(Instant::now());
        let shared = Arc::new(EngineShared { executor, clock, roster: Roster::default() });
        let sending = Sending::new(Arc::clone(&shared), mesh.clone(), settings);
        let (ended, ends) = mpsc::unbounded_channel();
        let receiving = Arc::new(Receiving::new(shared, mesh.clone(), settings, events, ended));
        let stop = CancellationToken::new();
        let ends = receiving::follow_ends(ends, Arc::downgrade(&receiving));
        tokio::spawn(stop.clone().run_until_cancelled_owned(ends));
        let feedback = follow_feedback(mesh.clone(), sending.clone(), Arc::downgrade(&receiving));
        tokio::spawn(stop.clone().run_until_cancelled_owned(feedback));
        let tracks = accept_tracks(mesh, Arc::downgrade(&receiving));
        tokio::spawn(stop.clone().run_until_cancelled_owned(tracks));
        Self { sending, receiving, stop }
    }

    /// The inbox of a connected peer, or of one that left while somebody pulled from it, until that reader has seen the
    /// end.
    pub(crate) fn inbox(&self, peer: &PeerId) -> Option<Arc<Inbox>> {
        self.receiving.inbox(peer)
    }

    /// The same, which waits for the inbox of a peer that the mesh lists already.
    pub(crate) async fn inbox_soon(&self, peer: &PeerId) -> Option<Arc<Inbox>> {
        self.receiving.inbox_soon(peer).await
    }

    /// The inbox of a connected peer.
    pub(crate) fn live_inbox(&self, peer: &PeerId) -> Option<Arc<Inbox>> {
        self.receiving.live_inbox(peer)
    }

    /// The inbox of a named stream that `peer` sends, of which there is media of `kind`; otherwise the names of those that it
    /// sends of that kind.
    pub(crate) fn stream_inbox(
        &self,
        peer: &PeerId,
        kind: MediaKind,
        stream: &StreamId,
    ) -> Option<Result<Arc<Inbox>, Vec<StreamId>>> {
        self.receiving.stream_inbox(peer, kind, stream)
    }

    /// The named streams that `peer` sends.
    pub(crate) fn streams(&self, peer: &PeerId) -> Option<Vec<(MediaKind, StreamId)>> {
        self.receiving.streams(peer)
    }

    /// Makes room for what `peer`, which is connected, will send.
    pub(crate) fn expect(&self, peer: &PeerId) {
        self.receiving.add_peer(peer);
    }

    /// Forgets `peer`, which is not connected any more.
    pub(crate) fn forget(&self, peer: &PeerId) {
        self.sending.peer_gone(peer);
        self.receiving.remove_peer(peer);
    }

    /// Audio and video frames of `peer` that were dropped because they were not pulled in time.
    pub(crate) fn dropped_frames(&self, peer: &PeerId) -> (u64, u64) {
        self.inbox(peer).map_or((0, 0), |inbox| (inbox.audio.dropped(), inbox.video.dropped()))
    }

    /// What the audio playout of `peer` counted.
    pub(crate) fn playout_stats(&self, peer: &PeerId) -> Option<remotemedia_jitter::PlayoutStats> {
        self.receiving.playout_stats(peer)
    }

    /// Changes the playout of live connections and later ones.
    pub(crate) fn set_playout(&self, change: impl FnOnce(&mut PlayoutConfig)) {
        self.receiving.change_playout(change);
    }
}

async fn follow_feedback(mesh: Mesh, sending: Sending, receiving: Weak<Receiving>) {
    while let Some(feedback) = mesh.next_feedback().await {
        match feedback {
            Feedback::MediaReady { peer, audio, video } => {
                if let Some(receiving) = receiving.upgrade() {
                    receiving.add_peer(&peer);
                }
                sending.peer_ready(peer, audio.contains(&Codec::Opus), video);
            }
            Feedback::MediaGone { peer } => {
                sending.peer_gone(&peer);
                if let Some(receiving) = receiving.upgrade() {
                    receiving.remove_peer(&peer);
                }
            }
            Feedback::StreamReady { peer, kind, stream, codecs } => sending.stream_ready(&peer, kind, stream, codecs),
            Feedback::KeyframeRequested { peer, stream } => sending.keyframe_requested(&peer, stream),
            Feedback::VideoGivenUp { peer, stream } => sending.video_given_up(&peer, stream),
            Feedback::TargetBitrate { peer, rate } => sending.target_changed(&peer, rate),
            Feedback::Played { peer, timestamp } => sending.played(peer, timestamp),
            Feedback::PlayoutAsked { peer, timestamp } => {
                if let Some(receiving) = receiving.upgrade() {
                    receiving.tell_when_played(&peer, timestamp);
                }
            }
            _ => {}
        }
    }
}

async fn accept_tracks(mesh: Mesh, receiving: Weak<Receiving>) {
    while let Some(track) = mesh.next_track().await {
        match receiving.upgrade() {
            Some(receiving) => receiving.accept(track),
            None => return,
        }
    }
}
