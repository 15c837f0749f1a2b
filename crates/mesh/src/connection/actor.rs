use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use remotemedia_media::{Codec, MediaKind};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use webrtc::{
    data_channel::DataChannel,
    media_stream::track_remote::TrackRemote,
    peer_connection::{RTCIceConnectionState, RTCPeerConnectionState},
};

use super::{
    Note,
    build::{MAX_PLAIN_MESSAGE, PcEvent, What},
    candidates::EarlyCandidates,
    channels::{self, Dialect, MessagePath},
    control::{CONTROL_LABEL, Control},
    framing, is_polite,
    link::{Channel, Link},
    outbox,
    peer::{Command, Gone, Inputs, PathState, Peer, PeerState, Start},
    reader,
};
use crate::{
    ConnectionReport, ConnectionStage, DataChannelMode, DisconnectReason, Feedback, IncomingTrack, MAX_MESSAGE_SIZE,
    MeshEvent, SignalingError, SignalingMessage, incoming::TrackQueue, mesh::Shared,
};

/// How long a peer may be silent after signaling lost it. Control heartbeats and consent checks come more often.
const SILENCE: Duration = Duration::from_secs(1);
/// The same for a peer without heartbeats, which is heard every two seconds at least.
const SILENCE_WITHOUT_HEARTBEAT: Duration = Duration::from_millis(2_500);
/// How long a peer that signaling lost is watched.
const MAX_SUSPICION: Duration = Duration::from_secs(10);
/// How often the status is measured.
const STATUS_INTERVAL: Duration = Duration::from_secs(1);
/// How long the side that gives way waits for the other one to restart ICE.
pub(super) const RESTART_PATIENCE: Duration = Duration::from_secs(5);
/// How long an ICE restart may take before the next: its checks give up after 1.4 s.
const RESTART_INTERVAL: Duration = Duration::from_millis(1_500);
/// How long a farewell may take to be acknowledged.
const FAREWELL: Duration = Duration::from_millis(50);
/// How long messages that were taken may take to arrive before that.
const LAST_MESSAGES: Duration = Duration::from_millis(400);
/// How long after the control channel the other channels may open.
const SETTLING: Duration = Duration::from_millis(100);
/// Pause before the next try after one that failed at once.
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Owns one connection: everything that happens to it happens here, one thing at a time.
pub(super) struct Actor {
    pub(super) shared: Arc<Shared>,
    pub(super) peer: Arc<Peer>,
    commands: mpsc::Receiver<Command>,
    events: mpsc::Receiver<PcEvent>,
    pub(super) events_sender: mpsc::Sender<PcEvent>,
    pub(super) events_lost: Arc<AtomicU64>,
    notes: mpsc::Receiver<Note>,
    notes_sender: mpsc::Sender<Note>,
    outbox: mpsc::Sender<SignalingMessage>,
    pub(super) link: Option<Link>,
    pub(super) epoch: u64,
    channels_seen: u64,
    pub(super) early: EarlyCandidates,
    pub(super) report: ConnectionReport,
    started: Instant,
    connected_at: Option<Instant>,
    /// When the connection must stand.
    deadline: Option<Instant>,
    /// When this try is given up for a fresh one.
    pub(super) attempt_due: Option<Instant>,
    /// When an offer of ours on a standing connection is made again.
    pub(super) answer_due: Option<Instant>,
    pub(super) negotiate_at: Option<Instant>,
    pub(super) restart_at: Option<Instant>,
    suspected: Option<Suspicion>,
    heartbeat_at: Option<Instant>,
    pings: u64,
    last_ping: Option<(u64, Instant)>,
    status_at: Option<Instant>,
    /// When the peer connection has done all that follows from connecting.
    settle_at: Option<Instant>,
    measured: Measured,
    /// The peer offered: it wants the connection even if nobody here does any more.
    pub(super) wanted_by_peer: bool,
    pub(super) ignored_offer: Option<(String, String)>,
    pub(super) published: Option<[Vec<Codec>; 2]>,
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
struct Suspicion {
    since: Instant,
    /// How long it may be silent.
    patience: Duration,
    check_at: Instant,
}

#[derive(Default)]
struct Measured {
    bytes_sent: u64,
    bytes_received: u64,
    at: Option<Instant>,
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
            suspected: None,
            heartbeat_at: None,
            pings: 0,
            last_ping: None,
            status_at: None,
            settle_at: None,
            measured: Measured::default(),
            wanted_by_peer: false,
            ignored_offer: None,
            published: None,
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
            Command::UseCodec(codec) => self.use_codec(codec).await,
            Command::RestartIce => {
                // Asked for while the path is down it comes too early, and then again.
                self.restart_at = Some(Instant::now() + RESTART_PATIENCE * 2);
                return self.restart_ice().await;
            }
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
        if let Some((sdp, request_id)) = self.ignored_offer.take() {
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

    /// Signaling lost the peer without a farewell. Its media decides whether it is gone.
    async fn on_hint(&mut self) -> Result<(), End> {
        if self.connected_at.is_none() {
            // Without signaling there is no way on; the other side begins anew when it is back.
            return Ok(());
        }
        let now = Instant::now();
        let heartbeat = self.link.as_ref().is_some_and(Link::is_remotemedia);
        let patience = if heartbeat { SILENCE } else { SILENCE_WITHOUT_HEARTBEAT };
        self.suspected = Some(Suspicion { since: now, patience, check_at: now + patience });
        self.ping().await;
        Ok(())
    }

    async fn on_event(&mut self, event: PcEvent) -> Result<(), End> {
        if event.epoch != self.epoch {
            return Ok(());
        }
        match event.what {
            What::Candidate(candidate) => self.on_own_candidate(candidate),
            What::GatheringComplete => self.on_own_candidate(String::new()),
            What::NegotiationNeeded => {
                if self.link.as_ref().is_some_and(|l| l.connected) {
                    self.negotiate_soon();
                }
            }
            What::Ice(state) => self.on_ice_state(state),
            What::State(state) => return self.on_state(state).await,
            What::Track(track) => self.on_track(track).await,
            What::DataChannel(channel) => self.on_channel(channel).await,
        }
        Ok(())
    }

    fn on_ice_state(&mut self, state: RTCIceConnectionState) {
        match state {
            RTCIceConnectionState::Checking => self.report.reached(ConnectionStage::Checking),
            RTCIceConnectionState::Connected | RTCIceConnectionState::Completed => {
                self.report.reached(ConnectionStage::Securing);
            }
            _ => {}
        }
    }

    async fn on_state(&mut self, state: RTCPeerConnectionState) -> Result<(), End> {
        let stood = self.link.as_ref().is_some_and(|l| l.connected);
        if let Some(link) = &mut self.link {
            link.up = state == RTCPeerConnectionState::Connected;
        }
        match state {
            RTCPeerConnectionState::Connected if stood => {
                self.restart_at = None;
                self.set_reconnecting(false);
            }
            RTCPeerConnectionState::Connected => self.on_connected(),
            RTCPeerConnectionState::Disconnected if stood => {
                self.set_reconnecting(true);
                // Both sides see it: one restarts, the other only if that does not come.
                let patience = if is_polite(&self.shared, &self.peer) { RESTART_PATIENCE } else { Duration::ZERO };
                self.restart_at = Some(Instant::now() + patience);
            }
            RTCPeerConnectionState::Failed if stood => return Err(End::Failed),
            RTCPeerConnectionState::Failed => {
                self.report.note_error("the peer connection failed");
                // The side that offered tries again; the other one is offered something new.
                if self.link.as_ref().is_some_and(|l| l.offerer) {
                    self.attempt_due = Some(Instant::now() + RETRY_PAUSE);
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn on_connected(&mut self) {
        let Some(link) = &mut self.link else { return };
        link.connected = true;
        let now = Instant::now();
        self.connected_at = Some(now);
        self.deadline = None;
        self.attempt_due = None;
        self.status_at = Some(now + STATUS_INTERVAL);
        // At the latest: the channels may never open.
        self.settle_at = Some(now + Duration::from_secs(2));
        self.report.reached(ConnectionStage::Connected);
        self.peer.snapshot.lock().metrics.connect_time = now - self.started;
        self.publish_media();
        self.peer.state.send_replace(PeerState::Connected);
        self.shared.event(MeshEvent::PeerConnected { peer: self.peer.id.clone() });
    }

    /// The connection that stood is over, but this actor goes on with another one.
    pub(super) fn connection_lost(&mut self) {
        self.withdraw_media();
        self.connected_at = None;
        self.started = Instant::now();
        self.deadline = Some(self.started + self.shared.config.connect_timeout);
        (self.restart_at, self.suspected, self.heartbeat_at, self.status_at) = (None, None, None, None);
        self.report = ConnectionReport::default();
        self.peer.path.send_replace(PathState::Opening);
        self.peer.state.send_replace(PeerState::Connecting);
        let reason = DisconnectReason::NetworkError;
        self.shared.event(MeshEvent::PeerDisconnected { peer: self.peer.id.clone(), reason });
    }

    fn withdraw_media(&mut self) {
        self.peer.media.clear();
        if self.published.take().is_some() {
            self.shared.feedback(Feedback::MediaGone { peer: self.peer.id.clone() });
        }
    }

    fn set_reconnecting(&mut self, reconnecting: bool) {
        let before = std::mem::replace(&mut self.peer.snapshot.lock().reconnecting, reconnecting);
        if before != reconnecting {
            let peer = self.peer.id.clone();
            let reconnected = MeshEvent::PeerReconnected { peer: peer.clone() };
            self.shared.event(if reconnecting { MeshEvent::PeerReconnecting { peer } } else { reconnected });
        }
    }

    async fn on_track(&mut self, track: Arc<dyn TrackRemote>) {
        let kind = match track.kind().await {
            rtc::rtp_transceiver::rtp_sender::RtpCodecKind::Audio => MediaKind::Audio,
            rtc::rtp_transceiver::rtp_sender::RtpCodecKind::Video => MediaKind::Video,
            _ => return,
        };
        let Some(link) = &self.link else { return };
        let queue = Arc::new(TrackQueue::default());
        let incoming = IncomingTrack::new(self.peer.id.clone(), kind, queue.clone());
        let read = reader::read_track(track, kind, link.routes.clone(), queue, self.peer.clone());
        self.shared.tasks.spawn(read);
        self.shared.track(incoming);
    }

    /// Takes over the channels that our own offer opens.
    pub(super) fn adopt_own_channels(&mut self, link: &mut Link, messages: Option<Arc<dyn DataChannel>>) {
        if let Some(control) = &link.control {
            let read = channels::read_control(control.clone(), self.notes_sender.clone(), link.epoch);
            self.shared.tasks.spawn(read);
        }
        // Read from the moment it opens: whether in chunks is known by then.
        if let Some(channel) = messages {
            self.channels_seen += 1;
            link.channels.push(Channel { number: self.channels_seen, channel, open: false, read: false });
        }
    }

    /// The peer opened a channel.
    async fn on_channel(&mut self, channel: Arc<dyn DataChannel>) {
        let label = channel.label().await.unwrap_or_default();
        let Some(link) = &mut self.link else { return };
        if label == CONTROL_LABEL && link.is_remotemedia() {
            if link.control.is_none() {
                link.control = Some(channel.clone());
                let read = channels::read_control(channel, self.notes_sender.clone(), link.epoch);
                self.shared.tasks.spawn(read);
            }
            return;
        }
        self.channels_seen += 1;
        let number = self.channels_seen;
        link.channels.push(Channel { number, channel, open: true, read: false });
        self.read_channels();
        self.publish_path();
    }

    /// Starts reading the channels that nobody reads yet, once it is known how the peer speaks.
    pub(super) fn read_channels(&mut self) {
        let Some(link) = &mut self.link else { return };
        if link.remote.is_none() {
            return;
        }
        let dialect = if link.is_remotemedia() { Dialect::Chunked } else { Dialect::Plain };
        for channel in link.channels.iter_mut().filter(|c| !c.read) {
            channel.read = true;
            let (shared, peer, notes) = (self.shared.clone(), self.peer.clone(), self.notes_sender.clone());
            let reader = channels::Reader { channel: channel.channel.clone(), dialect, number: channel.number };
            self.shared.tasks.spawn(channels::read_messages(reader, shared, peer, notes));
        }
    }

    /// Opens the way for messages, or says that there is none.
    pub(super) fn publish_path(&mut self) {
        self.read_channels();
        let Some(link) = &mut self.link else { return };
        let Some(remote) = &link.remote else { return };
        let Some(data) = remote.data().filter(|_| self.shared.config.data_channel.is_some()) else {
            self.peer.path.send_replace(PathState::Missing);
            return;
        };
        let usable = link.channels.iter().find(|c| c.open);
        let Some(channel) = usable else {
            if link.sending_on.take().is_some() {
                self.peer.path.send_replace(PathState::Opening);
            }
            return;
        };
        if link.sending_on == Some(channel.number) {
            return;
        }
        let single = match data.max_message_size {
            Some(0) => MAX_PLAIN_MESSAGE as usize,
            Some(size) => size.min(MAX_PLAIN_MESSAGE as usize),
            None => 65_536,
        };
        let chunked = remote.remotemedia;
        let dialect = if chunked { Dialect::Chunked } else { Dialect::Plain };
        let unreliable = self.shared.config.data_channel == Some(DataChannelMode::Unreliable);
        let limit = match (chunked, unreliable) {
            (true, false) => MAX_MESSAGE_SIZE,
            (true, true) => framing::CHUNK,
            (false, _) => single,
        };
        let (queue, messages) = mpsc::channel(16);
        let (channel, number) = (channel.channel.clone(), channel.number);
        link.sending_on = Some(number);
        self.shared.tasks.spawn(channels::write_messages(channel, dialect, messages, self.peer.clone()));
        self.peer.path.send_replace(PathState::Open(MessagePath { queue, limit }));
    }

    async fn on_note(&mut self, note: Note) -> Result<(), End> {
        match note {
            Note::ControlOpen(epoch) if epoch == self.epoch => {
                if let Some(link) = self.link.as_mut().filter(|l| l.is_remotemedia()) {
                    link.control_open = true;
                    self.settle_at = Some(Instant::now() + SETTLING);
                    self.heartbeat_at = Some(Instant::now());
                }
            }
            Note::Control(epoch, control) if epoch == self.epoch => return self.on_control(control).await,
            // The peer closed its end of the connection without a word.
            Note::ControlClosed(epoch) if epoch == self.epoch => {
                let ours = self.link.as_ref().is_some_and(|l| l.is_remotemedia() && l.connected);
                if ours {
                    return Err(End::Peer(DisconnectReason::Unknown));
                }
            }
            Note::ChannelOpen(number) => {
                if let Some(channel) = self.channel(number) {
                    channel.open = true;
                    self.publish_path();
                }
            }
            Note::ChannelClosed(number) => return self.on_channel_closed(number).await,
            _ => {}
        }
        Ok(())
    }

    fn channel(&mut self, number: u64) -> Option<&mut Channel> {
        self.link.as_mut()?.channels.iter_mut().find(|c| c.number == number)
    }

    async fn on_channel_closed(&mut self, number: u64) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        let before = link.channels.len();
        link.channels.retain(|c| c.number != number);
        if link.channels.len() == before {
            return Ok(());
        }
        let last = link.channels.is_empty();
        let plain = !link.is_remotemedia();
        self.publish_path();
        // A browser that closes its connection closes all its channels; it may also just be done with them.
        if last && plain { self.on_hint().await } else { Ok(()) }
    }

    async fn on_control(&mut self, control: Control) -> Result<(), End> {
        match control {
            Control::Ping(number) => self.tell(Control::Pong(number)).await,
            Control::Pong(number) => {
                if let Some((_, sent)) = self.last_ping.filter(|(n, _)| *n == number) {
                    self.note_rtt(sent.elapsed());
                }
            }
            Control::Bye(reason) => return Err(End::Peer(reason)),
        }
        Ok(())
    }

    async fn ping(&mut self) {
        self.pings += 1;
        self.last_ping = Some((self.pings, Instant::now()));
        self.tell(Control::Ping(self.pings)).await;
    }

    async fn tell(&mut self, control: Control) {
        let Some(link) = self.link.as_ref().filter(|l| l.control_open) else { return };
        let Some(channel) = &link.control else { return };
        // Never waits: a line that does not fit into a full buffer is not worth waiting for.
        if let Err(error) = channel.try_send_text(&control.line()).await {
            tracing::debug!(peer = %self.peer.id, error = %super::brief(&error), "control channel");
        }
    }

    fn note_rtt(&self, rtt: Duration) {
        let sample = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1);
        let before = self.peer.counters.rtt_us.load(Relaxed);
        let smoothed = if before == 0 { sample } else { (before * 7 + sample) / 8 };
        self.peer.counters.rtt_us.store(smoothed.max(1), Relaxed);
    }

    pub(super) fn signal(&self, message: SignalingMessage) {
        if self.outbox.try_send(message).is_err() {
            tracing::warn!(peer = %self.peer.id, "signaling is too slow: dropped a message");
        }
    }

    fn next_timer(&self) -> Instant {
        let suspected = self.suspected.as_ref().map(|s| s.check_at);
        let timers = [
            self.deadline,
            self.attempt_due,
            self.answer_due.filter(|_| self.connected_at.is_some()),
            self.negotiate_at,
            self.restart_at,
            suspected,
            self.heartbeat_at,
            self.status_at,
            self.settle_at,
        ];
        let far = Instant::now() + Duration::from_secs(3_600);
        timers.into_iter().flatten().min().unwrap_or(far)
    }

    async fn on_timer(&mut self) -> Result<(), End> {
        let now = Instant::now();
        let due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if due(self.deadline) {
            return Err(End::Failed);
        }
        if due(self.suspected.as_ref().map(|s| s.check_at)) {
            self.check_silence(now)?;
        }
        if due(self.attempt_due) {
            self.attempt_due = None;
            self.offer_afresh().await?;
        }
        if self.connected_at.is_some() && due(self.answer_due) {
            // The offer or its answer got lost on the way: offer what there is now.
            self.send_offer(false).await?;
        }
        if due(self.negotiate_at) {
            self.negotiate().await?;
        }
        if due(self.restart_at) {
            let up = self.link.as_ref().is_some_and(|l| l.up);
            let polite = is_polite(&self.shared, &self.peer);
            let pause = if polite { RESTART_PATIENCE } else { RESTART_INTERVAL };
            self.restart_at = (!up).then_some(now + pause);
            if !up {
                self.restart_ice().await?;
            }
        }
        if due(self.heartbeat_at) {
            self.heartbeat_at = Some(now + self.shared.config.heartbeat_interval);
            self.ping().await;
        }
        if due(self.settle_at) {
            self.settle_at = None;
            if let Some(link) = &self.link {
                link.runtime.settle();
            }
        }
        if due(self.status_at) {
            self.status_at = Some(now + STATUS_INTERVAL);
            self.measure(now);
        }
        Ok(())
    }

    fn check_silence(&mut self, now: Instant) -> Result<(), End> {
        let Some(suspicion) = &mut self.suspected else { return Ok(()) };
        let heard = self.link.as_ref().and_then(|l| l.runtime.last_received()).unwrap_or(suspicion.since);
        suspicion.check_at = heard.max(suspicion.since) + suspicion.patience;
        if suspicion.check_at <= now {
            tracing::debug!(peer = %self.peer.id, silent = ?(now - heard), "the peer is gone");
            return Err(End::Failed);
        }
        // It lives without signaling, which may come back. ICE watches over it from here on.
        if now - suspicion.since > MAX_SUSPICION {
            self.suspected = None;
        }
        Ok(())
    }

    fn measure(&mut self, now: Instant) {
        let sent = self.peer.media.counters();
        let counters = &self.peer.counters;
        let bytes_received = counters.bytes_received.load(Relaxed);
        let rate = |bytes: u64, before: u64, at: Instant| {
            let seconds = (now - at).as_secs_f64().max(0.001);
            remotemedia_media::Bitrate::from_bps((bytes.saturating_sub(before) as f64 * 8.0 / seconds) as u64)
        };
        let wire = self.link.as_ref().map(|l| l.wire.stats()).unwrap_or_default();
        if let Some(rtt) = wire.round_trip_time {
            // Media tells it more often than heartbeats, and also with peers that have none.
            counters.rtt_us.store(u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX).max(1), Relaxed);
        }
        let rtt = counters.rtt_us.load(Relaxed);
        let mut snapshot = self.peer.snapshot.lock();
        let metrics = &mut snapshot.metrics;
        if let Some(at) = self.measured.at {
            metrics.send_bitrate = rate(sent.bytes, self.measured.bytes_sent, at);
            metrics.receive_bitrate = rate(bytes_received, self.measured.bytes_received, at);
        }
        metrics.connected_for = self.connected_at.map(|at| now - at).unwrap_or_default();
        metrics.rtt = (rtt > 0).then(|| Duration::from_micros(rtt));
        let known = wire.round_trip_time.is_some();
        metrics.send_loss = known.then(|| mean_loss(wire.sent.values().map(|s| (s.packets, s.fraction_lost))));
        let received = wire.received.values().map(|s| (s.packets, s.fraction_lost));
        metrics.receive_loss = (!wire.received.is_empty()).then(|| mean_loss(received));
        metrics.target_bitrate = (wire.feedback_messages > 0).then_some(wire.target);
        metrics.retransmitted = wire.sent.values().map(|s| s.retransmitted).sum();
        metrics.retransmissions_requested = wire.received.values().map(|s| s.nacked).sum();
        metrics.packets_dropped_by_pacer = wire.pacer_dropped;
        metrics.packets_sent = sent.packets;
        metrics.bytes_sent = sent.bytes;
        metrics.video_frames_dropped = sent.video_frames_dropped;
        metrics.packets_received = counters.packets_received.load(Relaxed);
        metrics.bytes_received = bytes_received;
        metrics.packets_unread = counters.packets_unread.load(Relaxed);
        metrics.duplicates = counters.duplicates.load(Relaxed);
        metrics.keyframes_requested = counters.keyframes_requested.load(Relaxed);
        metrics.keyframes_requested_by_peer = counters.keyframes_requested_by_peer.load(Relaxed);
        metrics.messages_sent = counters.messages_sent.load(Relaxed);
        metrics.messages_received = counters.messages_received.load(Relaxed);
        self.measured = Measured { bytes_sent: sent.bytes, bytes_received, at: Some(now) };
    }

    async fn finish(mut self, end: End) {
        tracing::debug!(peer = %self.peer.id, ?end, "connection ends");
        self.peer.state.send_replace(PeerState::Closing);
        let was_connected = self.connected_at.is_some();
        self.report.elapsed = self.started.elapsed();
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

/// The mean of loss fractions, weighted by packets.
fn mean_loss(streams: impl Iterator<Item = (u64, f64)>) -> f64 {
    let (packets, lost) = streams.fold((0.0, 0.0), |(packets, lost), (count, fraction)| {
        (packets + count as f64, lost + count as f64 * fraction)
    });
    if packets > 0.0 { lost / packets } else { 0.0 }
}
