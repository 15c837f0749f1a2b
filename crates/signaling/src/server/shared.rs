//! The state machine behind its lock, its timer, and the queues of the sockets.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Instant, SystemTime},
};

use rand::RngCore;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::ServerConfig;
use crate::{
    protocol::{CloseCode, MAX_QUEUED_MESSAGES},
    state::{ConnectionId, Output, ServerFull, ServerState},
};

/// How many sockets at once may take their time to read why they are closed.
const MAX_CLOSING: usize = 1024;

pub(super) struct Shared {
    core: Mutex<Core>,
    timer_changed: Notify,
    /// The server goes away: nothing new is accepted.
    pub(super) stop: CancellationToken,
    /// The grace is over: tasks end where they are.
    pub(super) abort: CancellationToken,
    /// Sockets that the machine has forgotten and that are being closed politely; beyond these they are dropped.
    pub(super) closing: Arc<Semaphore>,
    /// Every task that the server runs.
    pub(super) tasks: TaskTracker,
}

struct Core {
    state: ServerState,
    links: HashMap<ConnectionId, Link>,
    has_timer: bool,
    stopped: bool,
    /// What the timer's task waits for.
    armed: Option<Instant>,
}

/// The way to a socket's task.
struct Link {
    queue: mpsc::Sender<Frame>,
    close: oneshot::Sender<CloseCode>,
}

/// What a socket's task writes.
pub(super) enum Frame {
    Text(Arc<str>),
    Ping,
    Close(CloseCode),
}

/// A socket that the state machine knows. Dropping it tells the machine that the socket closed.
pub(super) struct Opened {
    pub(super) shared: Arc<Shared>,
    pub(super) id: ConnectionId,
    pub(super) queue: mpsc::Receiver<Frame>,
    /// Answers when the machine closed this socket: the close frame is in the queue, or with
    /// [`CloseCode::TryAgainLater`] is to be sent instead of the queue.
    pub(super) close: oneshot::Receiver<CloseCode>,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.shared.with(|state, now| state.closed(now, self.id));
        self.shared.lock().links.remove(&self.id);
    }
}

impl Shared {
    pub(super) fn new(config: ServerConfig) -> Self {
        let mut seed = [0; 32];
        rand::rng().fill_bytes(&mut seed);
        let state = ServerState::new(config, seed, now(), SystemTime::now());
        Self {
            core: Mutex::new(Core { state, links: HashMap::new(), has_timer: false, stopped: false, armed: None }),
            timer_changed: Notify::new(),
            stop: CancellationToken::new(),
            abort: CancellationToken::new(),
            closing: Arc::new(Semaphore::new(MAX_CLOSING)),
            tasks: TaskTracker::new(),
        }
    }

    pub(super) fn open(self: &Arc<Self>) -> Result<Opened, ServerFull> {
        // Pings have no place in the machine's count of the queue.
        let (queue_in, queue) = mpsc::channel(MAX_QUEUED_MESSAGES + 16);
        let (close_in, close) = oneshot::channel();
        let mut core = self.lock();
        if core.stopped {
            return Err(ServerFull::Stopped);
        }
        let id = core.state.open(now())?;
        core.links.insert(id, Link { queue: queue_in, close: close_in });
        if !std::mem::replace(&mut core.has_timer, true) {
            self.tasks.spawn(run_timer(Arc::clone(self)));
        }
        self.arm(&mut core);
        Ok(Opened { shared: Arc::clone(self), id, queue, close })
    }

    /// Gives the state machine an input and does what it says. Short, and never blocks: queues are written to without
    /// waiting.
    pub(super) fn with<R>(&self, input: impl FnOnce(&mut ServerState, Instant) -> R) -> R {
        let mut core = self.lock();
        let now = now();
        core.state.set_wall_clock(now, SystemTime::now());
        let result = input(&mut core.state, now);
        core.deliver();
        self.arm(&mut core);
        result
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
        self.lock().stopped = true;
        self.with(|state, _| state.close_all());
    }

    fn arm(&self, core: &mut Core) {
        let next = core.state.next_timeout();
        if next.is_some_and(|next| core.armed.is_none_or(|armed| next < armed)) {
            self.timer_changed.notify_one();
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Core> {
        // The one foreign code under this lock is the token verifier, whose panics the machine catches.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Core {
    fn deliver(&mut self) {
        while let Some(output) = self.state.poll_output() {
            match output {
                Output::Send { connection, text } => self.queue(connection, Frame::Text(text)),
                Output::Ping { connection } => self.queue(connection, Frame::Ping),
                Output::Close { connection, code } => {
                    if code != CloseCode::TryAgainLater {
                        self.queue(connection, Frame::Close(code));
                    }
                    if let Some(link) = self.links.remove(&connection) {
                        // The task may have ended meanwhile.
                        let _ = link.close.send(code);
                    }
                }
                Output::VerifierPanicked { connection, message } => {
                    tracing::error!(?connection, message, "the token verifier panicked: the peer was not let in");
                }
            }
        }
    }

    fn queue(&mut self, connection: ConnectionId, frame: Frame) {
        let Some(link) = self.links.get(&connection) else { return };
        // The machine closes a socket before its queue is full; only pings can find it so, and can be missed.
        if let Err(mpsc::error::TrySendError::Full(Frame::Text(_))) = link.queue.try_send(frame) {
            tracing::error!(?connection, "a queue was full that the state machine took for bounded");
        }
    }
}

async fn run_timer(shared: Arc<Shared>) {
    loop {
        let next = {
            let mut core = shared.lock();
            core.armed = core.state.next_timeout();
            core.armed
        };
        let due = async {
            match next {
                Some(at) => tokio::time::sleep_until(at.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = due => shared.with(|state, now| state.handle_timeout(now)),
            () = shared.timer_changed.notified() => {}
            () = shared.stop.cancelled() => return,
        }
    }
}

/// Tokio's clock, so that a paused one drives the server too.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
