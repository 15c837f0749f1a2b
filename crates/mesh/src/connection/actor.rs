use std::sync::{Arc, atomic::AtomicU64};
use std::time::Duration;

use remotemedia_media::Codec;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};

use super::{
    Note,
    build::PcEvent,
    candidates::EarlyCandidates,
    control::Control,
    link::Link,
    muted::Flow,
    outbox,
    peer::{Command, Inputs, Peer, Start},
    timers::RESTART_PATIENCE,
};
use crate::{
    ConnectionReport, DisconnectReason, SignalingError, SignalingMessage, mesh::Shared, stream_key::StreamKey,
};

/// Owns one connection: everything that happens to it happens here, one thing at a time.
pub(super) struct Actor {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Arc<Peer>,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Receiver<PcEvent>,
    pub(super) events_sender: mpsc::Sender<PcEvent>,
    pub(super) events_lost: Arc<AtomicU64>,
    pub(super) notes: mpsc::Receiver<Note>,
    pub(super) notes_sender: mpsc::Sender<Note>,
    pub(super) outbox: mpsc::Sender<SignalingMessage>,
    pub(super) link: Option<Link>,
    pub(super) epoch: u64,
    pub(super) channels_seen: u64,
    pub(super) early: EarlyCandidates,
    pub(super) report: ConnectionReport,
    pub(super) started: Instant,
    pub(super) connected_at: Option<Instant>,
    /// When the connection must stand.
    pub(super) deadline: Option<Instant>,
    /// When this try is given up for a fresh one.
    pub(super) attempt_due: Option<Instant>,
    /// When an offer of ours on a standing connection is made again.
    pub(super) answer_due: Option<Instant>,
    pub(super) negotiate_at: Option<Instant>,
    pub(super) restart_at: Option<Instant>,
    /// When an ICE restart that is under way has taken too long for a path that works.
    pub(super) down_at: Option<Instant>,
    pub(super) suspected: Option<Suspicion>,
    pub(super) heartbeat_at: Option<Instant>,
    pub(super) pings: u64,
    pub(super) last_ping: Option<(u64, Instant)>,
    pub(super) status_at: Option<Instant>,
    /// When the peer connection has done all that follows from connecting.
    pub(super) settle_at: Option<Instant>,
    pub(super) measured: Measured,
    /// Of audio and of video.
    pub(super) flows: [Flow; 2],
    /// The peer offered: it wants the connection even if nobody here does any more.
    pub(super) wanted_by_peer: bool,
    pub(super) published: Option<[Vec<Codec>; 2]>,
    /// The same of the named streams.
    pub(super) published_streams: Vec<(StreamKey, Vec<Codec>)>,
    /// Named streams that wait for the connection to stand.
    pub(super) streams_to_open: Vec<StreamKey>,
}

/// How a connection ends.
#[derive(Debug)]
pub(super) enum End {
    /// Here, on purpose.
    Local(DisconnectReason),
    /// Nobody waits for it any more.
    Unwanted,
    /// The peer ended it.
    Peer(DisconnectReason),
    /// It broke, or never stood.
    Failed,
    /// Signaling does not know the peer.
    NotReachable,
}

/// Signaling lost the peer: whether it is gone shows in what still comes from it.
pub(super) struct Suspicion {
    pub(super) since: Instant,
    /// How long it may be silent.
    pub(super) patience: Duration,
    pub(super) check_at: Instant,
}

#[derive(Default)]
pub(super) struct Measured {
    pub(super) bytes_sent: u64,
    pub(super) bytes_received: u64,
    pub(super) at: Option<Instant>,
}

/// Starts the actor of a new peer.
pub(crate) fn spawn(shared: &Arc<Shared>, peer: Arc<Peer>, inputs: Inputs) {
    let shared = shared.clone();
    let tasks = shared.tasks.clone();
    let (outbox, messages) = mpsc::channel(256);
    let results = peer.commands.downgrade();
    tasks.spawn(outbox::run(shared.signaler.clone(), peer.id.clone(), messages, results, shared.cancel.clone()));
    tasks.spawn(async move {
        let (events_sender, events) = mpsc::channel(512);
        let (notes_sender, notes) = mpsc::channel(256);
        let now = Instant::now();
        let actor = Actor {
            deadline: Some(now + shared.config.connect_timeout),
            shared,
            peer,
            commands: inputs.commands,
            events,
            events_sender,
            events_lost: Arc::default(),
            notes,
            notes_sender,
            outbox,
            link: None,
            epoch: 0,
            channels_seen: 0,
            early: inputs.early,
            report: ConnectionReport::default(),
            started: now,
            connected_at: None,
            attempt_due: None,
            answer_due: None,
            negotiate_at: None,
            restart_at: None,
            down_at: None,
            suspected: None,
            heartbeat_at: None,
            pings: 0,
            last_ping: None,
            status_at: None,
            settle_at: None,
            measured: Measured::default(),
            flows: Default::default(),
            wanted_by_peer: false,
            published: None,
            published_streams: Vec::new(),
            streams_to_open: Vec::new(),
        };
        Box::pin(actor.run(inputs.start)).await;
    });
}

impl Actor {
    async fn run(mut self, start: Start) {
        let end = match self.live(start).await {
            Err(end) => end,
            Ok(never) => match never {},
        };
        self.finish(end).await;
    }

    async fn live(&mut self, start: Start) -> Result<std::convert::Infallible, End> {
        match start {
            Start::Offer => self.offer_afresh().await?,
            Start::Answer { sdp, request_id } => self.on_offer(sdp, request_id).await?,
        }
        loop {
            let timer = self.next_timer();
            let cancel = self.shared.cancel.clone();
            tokio::select! {
                biased;
                () = cancel.cancelled() => return Err(End::Local(DisconnectReason::UserRequested)),
                command = self.commands.recv() => match command {
                    Some(command) => self.on_command(command).await?,
                    // The peer's handle lives as long as this actor, so that this does not happen.
                    None => return Err(End::Unwanted),
                },
                Some(event) = self.events.recv() => self.on_event(event).await?,
                Some(note) = self.notes.recv() => self.on_note(note).await?,
                () = sleep_until(timer) => self.on_timer().await?,
            }
        }
    }

    async fn on_command(&mut self, command: Command) -> Result<(), End> {
        match command {
            Command::Signal(message) => return self.on_signal(message).await,
            Command::DescriptionSent => self.report.description_sent = true,
            Command::NotSent(error) => return self.on_not_sent(error).await,
            Command::PeerLeft { on_purpose: true } => return Err(End::Peer(DisconnectReason::UserRequested)),
            Command::PeerLeft { on_purpose: false } => return self.on_hint().await,
            Command::PeerBack => self.suspected = None,
            Command::Disconnect(reason) => return Err(End::Local(reason)),
            Command::Unwanted => {
                if !self.peer.is_awaited() && !self.wanted_by_peer && self.connected_at.is_none() {
                    return Err(End::Unwanted);
                }
            }
            Command::UseCodec(key, codec) => self.use_codec(&key, codec).await,
            Command::OpenStream(key) => self.open_stream(key).await,
            Command::CloseStream(key) => self.close_stream(&key).await,
            Command::RestartIce => {
                // Asked for while the path is down it comes too early, and then again.
                self.restart_at = Some(Instant::now() + RESTART_PATIENCE * 2);
                return self.restart_ice().await;
            }
            Command::AskPlayed(timestamp) => {
                let timestamp = timestamp + self.audio_offset();
                self.tell(Control::WhenPlayed(timestamp)).await;
            }
            Command::TellPlayed(timestamp) => self.tell(Control::Played(timestamp)).await,
            Command::BoundsChanged => {
                let bounds = *self.shared.bitrate.lock();
                if let Some(link) = &self.link {
                    link.wire.set_bounds(bounds.min, None, bounds.max);
                }
            }
        }
        Ok(())
    }

    async fn on_signal(&mut self, message: SignalingMessage) -> Result<(), End> {
        match message {
            SignalingMessage::Offer { sdp, request_id } => self.on_offer(sdp, request_id).await,
            SignalingMessage::Answer { sdp, request_id } => self.on_answer(sdp, &request_id).await,
            SignalingMessage::Candidate(candidate) => {
                self.on_candidate(candidate).await;
                Ok(())
            }
            SignalingMessage::Disconnect { reason, request_id } => {
                // The farewell of a try that was replaced meanwhile ends nothing.
                let ours = |id: &String| {
                    self.link.as_ref().is_some_and(|l| l.request_id == *id || l.own_request_id.as_ref() == Some(id))
                };
                if request_id.as_ref().is_none_or(ours) { Err(End::Peer(reason)) } else { Ok(()) }
            }
        }
    }

    async fn on_not_sent(&mut self, error: SignalingError) -> Result<(), End> {
        self.report.note_error(&error);
        // A connection that stands needs no signaling.
        if self.connected_at.is_some() {
            return Ok(());
        }
        // Our offer got lost, but the peer's offer that gave way to it came through.
        if let Some((sdp, request_id)) = self.early.unignore() {
            if let Some(link) = &mut self.link {
                link.offer_pending = false;
            }
            return self.on_offer(sdp, request_id).await;
        }
        match error {
            SignalingError::PeerNotFound(_) => Err(End::NotReachable),
            _ => Ok(()),
        }
    }

    pub(super) fn signal(&self, message: SignalingMessage) {
        if self.outbox.try_send(message).is_err() {
            tracing::warn!(peer = %self.peer.id, "signaling is too slow: dropped a message");
        }
    }
}
