//! The media engine: encodes what is sent, decodes and plays out what is received.

mod audio_sink;
mod audio_source;
mod clock;
mod executor;
mod inbox;
mod media_time;
mod reframe;
mod roster;
mod sending;
mod sent_log;
mod video_sink;
mod video_source;

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Weak},
};

use parking_lot::Mutex;
use remotemedia_jitter::PlayoutConfig;
use remotemedia_media::{Codec, MediaKind, PeerId, RtpTimestamp};
use remotemedia_mesh::{Feedback, IncomingTrack, Mesh};
use tokio::{sync::watch, time::Instant};
use tokio_util::sync::CancellationToken;

pub(crate) use self::executor::Executor;
pub(crate) use self::inbox::{FrameQueue, Inbox};
pub(crate) use self::roster::Audience;
pub(crate) use self::sending::{Listened, Sending, Voice};
use self::{audio_sink::AudioSink, clock::MediaClock, roster::Roster};
use crate::config::Settings;

/// How many inboxes of peers that left are kept for readers that have not come to the end yet. A reader that never comes
/// back would keep its inbox for ever; the oldest goes first.
const MAX_LEFT: usize = 16;

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

/// The receiving side: an inbox and a playout for each connected peer.
#[derive(Debug)]
struct Receiving {
    shared: Arc<EngineShared>,
    peers: Mutex<HashMap<PeerId, PeerReceiver>>,
    /// Inboxes of peers that left while somebody pulled: readers take what is in them, and see the end once.
    left: Mutex<VecDeque<(PeerId, Arc<Inbox>)>>,
    playout: watch::Sender<PlayoutConfig>,
    audio_enabled: bool,
    mesh: Mesh,
}

#[derive(Debug)]
struct PeerReceiver {
    inbox: Arc<Inbox>,
    audio: Option<AudioSink>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.cancel();
        self.receiving.clear();
    }
}

impl Engine {
    /// Starts the engine of `mesh`. Must be called within a tokio runtime.
    pub(crate) fn start(mesh: Mesh, settings: &Settings, executor: Executor) -> Self {
        let clock = MediaClock::new(Instant::now());
        let shared = Arc::new(EngineShared { executor, clock, roster: Roster::default() });
        let sending = Sending::new(Arc::clone(&shared), mesh.clone(), settings);
        let (playout, _) = watch::channel(settings.playout);
        let receiving = Arc::new(Receiving {
            shared,
            peers: Mutex::new(HashMap::new()),
            left: Mutex::new(VecDeque::new()),
            playout,
            audio_enabled: settings.audio.is_some(),
            mesh: mesh.clone(),
        });
        let stop = CancellationToken::new();
        let feedback = follow_feedback(mesh.clone(), sending.clone(), Arc::downgrade(&receiving));
        tokio::spawn(stop.clone().run_until_cancelled_owned(feedback));
        let tracks = accept_tracks(mesh, Arc::downgrade(&receiving));
        tokio::spawn(stop.clone().run_until_cancelled_owned(tracks));
        Self { sending, receiving, stop }
    }

    /// The inbox of a connected peer, or of one that left while somebody pulled from it, until that reader has seen the
    /// end.
    pub(crate) fn inbox(&self, peer: &PeerId) -> Option<Arc<Inbox>> {
        let connected = self.receiving.peers.lock().get(peer).map(|p| Arc::clone(&p.inbox));
        connected.or_else(|| {
            let mut left = self.receiving.left.lock();
            left.retain(|(_, inbox)| !inbox.is_over());
            left.iter().find(|(id, _)| id == peer).map(|(_, inbox)| Arc::clone(inbox))
        })
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
        self.receiving.peers.lock().get(peer)?.audio.as_ref().map(AudioSink::stats)
    }

    /// Changes the playout of live connections and later ones.
    pub(crate) fn set_playout(&self, change: impl FnOnce(&mut PlayoutConfig)) {
        self.receiving.playout.send_modify(change);
    }
}

impl Receiving {
    fn add_peer(&self, peer: &PeerId) {
        self.peers.lock().entry(peer.clone()).or_insert_with(|| {
            let inbox = Arc::new(Inbox::new());
            let audio = self.audio_enabled.then(|| {
                AudioSink::start(
                    peer.clone(),
                    Arc::clone(&inbox),
                    self.shared.executor.clone(),
                    self.playout.subscribe(),
                    self.mesh.clone(),
                )
            });
            PeerReceiver { inbox, audio }
        });
    }

    fn remove_peer(&self, peer: &PeerId) {
        // Held to the end, so that a reader finds the inbox in one place or the other.
        let mut peers = self.peers.lock();
        if let Some(PeerReceiver { inbox, .. }) = peers.remove(peer) {
            inbox.close();
            let mut left = self.left.lock();
            left.retain(|(id, inbox)| id != peer && !inbox.is_over());
            if !inbox.is_over() {
                left.push_back((peer.clone(), inbox));
            }
            if left.len() > MAX_LEFT {
                left.pop_front();
            }
        }
    }

    fn clear(&self) {
        for (_, receiver) in self.peers.lock().drain() {
            receiver.inbox.close();
        }
        self.left.lock().clear();
        self.shared.roster.clear();
    }

    /// Tells `peer` when its audio was played out up to `timestamp`.
    fn tell_when_played(&self, peer: &PeerId, timestamp: RtpTimestamp) {
        if let Some(audio) = self.peers.lock().get(peer).and_then(|receiver| receiver.audio.as_ref()) {
            audio.tell_when_played(timestamp);
        }
    }

    /// A peer began to send: reads its track until it ends.
    fn accept(&self, track: IncomingTrack) {
        let peer = track.peer().clone();
        // A track may come in before its peer is announced as ready.
        self.add_peer(&peer);
        let peers = self.peers.lock();
        let Some(receiver) = peers.get(&peer) else { return };
        match track.kind() {
            MediaKind::Audio => {
                if let Some(audio) = &receiver.audio {
                    audio.attach(track);
                }
            }
            MediaKind::Video => {
                let inbox = Arc::clone(&receiver.inbox);
                tokio::spawn(video_sink::run(track, inbox, self.shared.executor.clone()));
            }
        }
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
            Feedback::KeyframeRequested { peer } => sending.keyframe_requested(&peer),
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
