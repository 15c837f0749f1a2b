//! The client's task: it keeps the registration, and is either offline, connecting, or [online](super::online).

use std::{
    collections::{BTreeSet, VecDeque},
    pin::pin,
    sync::Arc,
};

use rand::{SeedableRng, rngs::SmallRng};
use remotemedia_media::PeerId;
use serde_json::{Value, value::RawValue};
use tokio::{
    sync::{mpsc, oneshot},
    time::Instant,
};
use url::Url;

use super::{Announcement, ClientConfig, ClientError, ClientEvent, EndReason, connect::Socket, online, register};
use crate::protocol::{Announced, LeftReason};

pub(super) type CallReply = oneshot::Sender<Result<Value, ClientError>>;
pub(super) type AnnounceReply = oneshot::Sender<Result<Announced, ClientError>>;

/// What handles ask of the task. It takes up each at once, or fails it when it cannot.
pub(super) enum Command {
    Announce { announcement: Announcement, reply: AnnounceReply },
    Call { method: &'static str, params: Box<RawValue>, reply: CallReply },
    Notify { method: &'static str, params: Box<RawValue>, reply: oneshot::Sender<Result<(), ClientError>> },
    Leave { reply: oneshot::Sender<()> },
    Shutdown { reply: oneshot::Sender<()> },
}

pub(super) struct Actor {
    pub(super) config: Arc<ClientConfig>,
    url: Url,
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) events: mpsc::Sender<ClientEvent>,
    pub(super) session: Session,
    rng: SmallRng,
}

/// What outlives a connection.
#[derive(Default)]
pub(super) struct Session {
    /// What to announce; `None` while the user does not want to be registered.
    pub(super) announcement: Option<Announcement>,
    /// Whether that has succeeded once, so that the client keeps trying.
    established: bool,
    pub(super) key: Option<String>,
    /// The peers that the user was told of.
    pub(super) known: BTreeSet<PeerId>,
    /// Events that wait for room in the user's queue. Nothing is read from the socket meanwhile, so that there are
    /// never more than one frame or one list of peers makes.
    pub(super) backlog: VecDeque<ClientEvent>,
    last_id: u64,
}

/// How a connection, or the attempt to get one, ended.
pub(super) enum Ended {
    /// It broke: come back.
    Lost,
    /// The user left, or the first attempt failed: stay offline.
    Left,
    /// The user ended the client, or dropped its last handle.
    Shutdown,
    /// The server does not want this client.
    Refused(EndReason),
}

impl Actor {
    pub(super) fn new(
        config: Arc<ClientConfig>,
        url: Url,
        commands: mpsc::Receiver<Command>,
        events: mpsc::Sender<ClientEvent>,
    ) -> Self {
        Self { config, url, commands, events, session: Session::default(), rng: SmallRng::from_os_rng() }
    }

    pub(super) async fn run(mut self) {
        let mut failures = 0;
        let mut retry_at = None;
        while let Some(waiting) = self.offline(retry_at.take()).await {
            let (ended, was_online) = match self.attempt(waiting).await {
                Err(ended) => (ended, false),
                Ok(socket) => {
                    let since = Instant::now();
                    let ended = online::run(&mut self, socket).await;
                    // A server that throws its clients out at once is not hammered.
                    if since.elapsed() >= self.config.backoff.longest {
                        failures = 0;
                    }
                    (ended, true)
                }
            };
            match ended {
                Ended::Shutdown => return,
                Ended::Left => {
                    self.session.forget();
                    failures = 0;
                }
                Ended::Refused(reason) => {
                    self.session.backlog.push_back(ClientEvent::Ended { reason });
                    self.deliver_rest().await;
                    return;
                }
                Ended::Lost => {
                    let retry_in = self.config.backoff.pause(failures, &mut self.rng);
                    failures += 1;
                    retry_at = Some(Instant::now() + retry_in);
                    if was_online {
                        self.session.backlog.push_back(ClientEvent::Disconnected { retry_in });
                    }
                }
            }
        }
    }

    /// Waits until it is time to connect: on behalf of whom, or `None` when the client ends.
    async fn offline(&mut self, mut retry_at: Option<Instant>) -> Option<Vec<AnnounceReply>> {
        loop {
            let retry = async {
                match retry_at {
                    Some(at) => tokio::time::sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = retry => return Some(Vec::new()),
                permit = self.events.reserve(), if !self.session.backlog.is_empty() => {
                    if let Some(event) = self.session.backlog.pop_front() {
                        permit.ok()?.send(event);
                    }
                }
                command = self.commands.recv() => match command? {
                    Command::Announce { announcement, reply } => {
                        self.session.announcement = Some(announcement);
                        return Some(vec![reply]);
                    }
                    Command::Leave { reply } => {
                        self.session.forget();
                        retry_at = None;
                        answer(reply, ());
                    }
                    Command::Shutdown { reply } => {
                        answer(reply, ());
                        return None;
                    }
                    other => other.fail(),
                },
            }
        }
    }

    /// One attempt to connect and register, on behalf of those who wait for it, or of nobody when the client comes back.
    async fn attempt(&mut self, mut waiting: Vec<AnnounceReply>) -> Result<Socket, Ended> {
        let outcome = 'anew: loop {
            let Some(announcement) = self.session.announcement.clone() else { return Err(Ended::Left) };
            let (id, key) = (self.session.next_id(), self.session.key.clone());
            let mut registering = pin!(register::register(&self.config, &self.url, announcement, key, id));
            loop {
                let gone = abandoned(&mut waiting, self.session.established);
                tokio::select! {
                    outcome = &mut registering => break 'anew outcome,
                    () = gone => return Err(Ended::Left),
                    command = self.commands.recv() => match command.ok_or(Ended::Shutdown)? {
                        Command::Announce { announcement, reply } => {
                            waiting.retain(|reply| !reply.is_closed());
                            waiting.push(reply);
                            self.session.announcement = Some(announcement);
                            continue 'anew;
                        }
                        Command::Leave { reply } => {
                            answer(reply, ());
                            return Err(Ended::Left);
                        }
                        Command::Shutdown { reply } => {
                            answer(reply, ());
                            return Err(Ended::Shutdown);
                        }
                        other => other.fail(),
                    },
                }
            }
        };
        match outcome {
            Ok((socket, announced)) => {
                self.session.registered(&announced);
                for reply in waiting {
                    answer(reply, Ok(announced.clone()));
                }
                Ok(socket)
            }
            Err(error) => Err(self.session.failed(error, waiting)),
        }
    }

    /// Hands over what the user has not read yet, for as long as somebody holds the client.
    async fn deliver_rest(&mut self) {
        // Calls fail as closed from here on, and wake nobody who waits for this task.
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            command.fail();
        }
        while let Some(event) = self.session.backlog.pop_front() {
            if self.events.send(event).await.is_err() {
                return;
            }
        }
    }
}

impl Session {
    pub(super) fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    fn forget(&mut self) {
        let (last_id, backlog) = (self.last_id, std::mem::take(&mut self.backlog));
        *self = Self { last_id, backlog, ..Self::default() };
    }

    /// Takes in the result of `peer.announce`: who came and went while the client was away becomes events.
    fn registered(&mut self, announced: &Announced) {
        self.key = Some(announced.session_key.clone());
        self.backlog.push_back(ClientEvent::Connected { ice_servers: announced.ice_servers.clone() });
        let here: BTreeSet<_> = announced.peers.iter().map(|peer| peer.peer_id.clone()).collect();
        if self.established {
            for peer_id in self.known.difference(&here).cloned() {
                // Whether it left on purpose was said while nobody listened.
                self.backlog.push_back(ClientEvent::PeerLeft { peer_id, reason: LeftReason::ConnectionLost });
            }
            for peer in announced.peers.iter().filter(|peer| !self.known.contains(&peer.peer_id)) {
                self.backlog.push_back(ClientEvent::PeerAnnounced { peer: peer.clone(), resumed: false });
            }
        }
        self.established = true;
        self.known = here;
    }

    fn failed(&self, error: ClientError, waiting: Vec<AnnounceReply>) -> Ended {
        tracing::debug!(%error, "cannot register with the signaling server");
        let ended = match &error {
            _ if !self.established => Ended::Left,
            ClientError::NotAuthorized { reason, .. } => {
                Ended::Refused(EndReason::NotAuthorized { reason: reason.clone() })
            }
            _ => Ended::Lost,
        };
        let mut waiting = waiting.into_iter();
        if let Some(first) = waiting.next() {
            answer(first, Err(error));
        }
        for reply in waiting {
            answer(reply, Err(ClientError::NotConnected));
        }
        ended
    }
}

impl Command {
    /// Answers that there is no connection.
    pub(super) fn fail(self) {
        match self {
            Self::Announce { reply, .. } => answer(reply, Err(ClientError::NotConnected)),
            Self::Call { reply, .. } => answer(reply, Err(ClientError::NotConnected)),
            Self::Notify { reply, .. } => answer(reply, Err(ClientError::NotConnected)),
            Self::Leave { reply } | Self::Shutdown { reply } => answer(reply, ()),
        }
    }
}

/// Answers a command; whoever asked may have stopped waiting.
pub(super) fn answer<T>(reply: oneshot::Sender<T>, outcome: T) {
    let _ = reply.send(outcome);
}

/// Ends when nobody waits for the first registration any more.
async fn abandoned(waiting: &mut [AnnounceReply], established: bool) {
    if established {
        return std::future::pending().await;
    }
    for reply in waiting {
        reply.closed().await;
    }
}
