use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::AcqRel},
    },
};

use parking_lot::Mutex;
use remotemedia_media::{Codec, MediaKind, PeerId, RtpTimestamp};
use tokio::sync::{mpsc, watch};

use super::{candidates::EarlyCandidates, channels::MessagePath};
use crate::{
    ConnectionReport, DisconnectReason, PeerMetrics, PeerStatus, SignalingError, SignalingMessage,
    outgoing::MediaQueue, stream_key::StreamKey,
};

/// What the handles of a mesh and the actor of one connection share.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: PeerId,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) state: watch::Sender<PeerState>,
    pub(crate) path: watch::Sender<PathState>,
    pub(crate) media: Arc<MediaQueue>,
    /// The named streams that were asked for, whether or not they can be sent yet.
    pub(crate) opened: Mutex<HashSet<StreamKey>>,
    pub(crate) counters: Counters,
    pub(crate) snapshot: Mutex<Snapshot>,
    waiters: AtomicUsize,
    /// Whether a control channel was ever open.
    pub(crate) has_control: AtomicBool,
}

/// What an actor is asked.
#[derive(Debug)]
pub(crate) enum Command {
    /// The peer sent something through signaling.
    Signal(SignalingMessage),
    /// Something of ours could not be sent through signaling.
    NotSent(SignalingError),
    /// Our offer or answer has been handed over.
    DescriptionSent,
    /// The peer left signaling.
    PeerLeft { on_purpose: bool },
    /// The peer is in signaling, again or still.
    PeerBack,
    /// End the connection.
    Disconnect(DisconnectReason),
    /// Nobody waits for the connection any more.
    Unwanted,
    /// Media is sent in another codec than before.
    UseCodec(StreamKey, Codec),
    /// Send one more stream.
    OpenStream(StreamKey),
    /// Send a stream no longer.
    CloseStream(StreamKey),
    /// Look for a new path.
    RestartIce,
    /// Ask the peer to say when its playout has come to this timestamp of our audio.
    AskPlayed(RtpTimestamp),
    /// Tell the peer how far its audio was played out.
    TellPlayed(RtpTimestamp),
    /// The bounds of the bandwidth estimate changed.
    BoundsChanged,
}

/// Where a connection stands.
#[derive(Clone, Debug)]
pub(crate) enum PeerState {
    Connecting,
    Connected,
    Closing,
    Gone(Gone),
}

/// How a connection ended.
#[derive(Clone, Debug)]
pub(crate) enum Gone {
    Ended,
    Failed(Arc<ConnectionReport>),
    NotReachable,
}

/// Where messages go.
#[derive(Clone, Debug)]
pub(crate) enum PathState {
    /// A channel is about to open.
    Opening,
    Open(MessagePath),
    /// There is no channel for messages on this connection.
    Missing,
}

/// Counted where things happen, read for the status.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    audio: ReceivedCounters,
    video: ReceivedCounters,
    pub(crate) bytes_received: AtomicU64,
    pub(crate) packets_unread: AtomicU64,
    pub(crate) duplicates: AtomicU64,
    pub(crate) keyframes_requested: AtomicU64,
    pub(crate) keyframes_requested_by_peer: AtomicU64,
    pub(crate) messages_sent: AtomicU64,
    pub(crate) messages_received: AtomicU64,
    /// Smoothed round-trip time in microseconds; 0 until measured.
    pub(crate) rtt_us: AtomicU64,
}

/// The same of one kind of media that comes in.
#[derive(Debug, Default)]
pub(crate) struct ReceivedCounters {
    pub(crate) packets: AtomicU64,
    pub(crate) missing: AtomicU64,
}

impl Counters {
    pub(crate) fn received(&self, kind: MediaKind) -> &ReceivedCounters {
        match kind {
            MediaKind::Audio => &self.audio,
            MediaKind::Video => &self.video,
        }
    }
}

/// What the actor last measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    pub(crate) reconnecting: bool,
    pub(crate) metrics: PeerMetrics,
}

/// How an actor begins.
pub(crate) enum Start {
    /// By an offer of ours.
    Offer,
    /// By the peer's offer.
    Answer { sdp: String, request_id: String },
}

/// What an actor is made with, besides its peer.
pub(crate) struct Inputs {
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) early: EarlyCandidates,
    pub(crate) start: Start,
}

impl Peer {
    const COMMANDS: usize = 512;

    pub(crate) fn new(id: PeerId, early: EarlyCandidates, start: Start) -> (Arc<Self>, Inputs) {
        let (commands, receiver) = mpsc::channel(Self::COMMANDS);
        let peer = Self {
            id,
            commands,
            state: watch::Sender::new(PeerState::Connecting),
            path: watch::Sender::new(PathState::Opening),
            media: Arc::default(),
            opened: Mutex::default(),
            counters: Counters::default(),
            snapshot: Mutex::default(),
            waiters: AtomicUsize::new(0),
            has_control: AtomicBool::new(false),
        };
        (Arc::new(peer), Inputs { commands: receiver, early, start })
    }

    /// Hands a command over. A flood of them beyond the queue is dropped, which is said here.
    pub(crate) fn command(&self, command: Command) {
        self.try_command(command);
    }

    /// The same; whether it was taken.
    pub(crate) fn try_command(&self, command: Command) -> bool {
        let taken = self.commands.try_send(command).is_ok();
        if !taken {
            tracing::debug!(peer = %self.id, "dropped a command: the connection is over or swamped");
        }
        taken
    }

    pub(crate) fn is_connected(&self) -> bool {
        matches!(*self.state.borrow(), PeerState::Connected)
    }

    pub(crate) fn status(&self) -> PeerStatus {
        let Snapshot { reconnecting, metrics } = self.snapshot.lock().clone();
        let audio = self.media.codecs(MediaKind::Audio);
        let video = self.media.codecs(MediaKind::Video);
        PeerStatus { peer: self.id.clone(), reconnecting, audio, video, metrics }
    }

    /// Someone waits for the connection to stand. When the last one gives up before that, so does the actor.
    pub(crate) fn wait(self: &Arc<Self>) -> Waiter {
        self.waiters.fetch_add(1, AcqRel);
        Waiter(self.clone())
    }

    /// Whether a call waits for this connection.
    pub(crate) fn is_awaited(&self) -> bool {
        self.waiters.load(std::sync::atomic::Ordering::Acquire) > 0
    }
}

/// A call that waits for a connection.
pub(crate) struct Waiter(Arc<Peer>);

impl Drop for Waiter {
    fn drop(&mut self) {
        if self.0.waiters.fetch_sub(1, AcqRel) == 1 && matches!(*self.0.state.borrow(), PeerState::Connecting) {
            self.0.command(Command::Unwanted);
        }
    }
}
