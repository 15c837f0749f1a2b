//! A pipeline that is attached to one peer, or to several that share it.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_media::PeerId;
use remotemedia_runtime_core::{
    RuntimeError,
    data::{DataKind, RuntimeData},
    manifest::Manifest,
    runner::{PipelineRunner, Session, SessionControl, SessionReceiver, SessionSender},
    transport::TransportData,
};
use tokio::{
    sync::{Notify, broadcast, mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{FailurePolicy, crowd::Source, outputs::Outputs};
use crate::events::TransportEvent;

/// How long a pipeline that ends may take to give away what is in it.
const DRAIN: Duration = Duration::from_secs(1);

/// The least time between two starts of a pipeline that fails.
const RESTART_SPACING: Duration = Duration::from_secs(1);

/// Tells a worker to go on with another pipeline; the answer comes when it has taken over.
#[derive(Debug)]
pub(super) struct Replace {
    pub(super) manifest: Arc<Manifest>,
    pub(super) done: oneshot::Sender<Result<(), RuntimeError>>,
}

/// What a worker runs, for those who watch.
#[derive(Debug)]
pub(super) struct Running {
    pub(super) manifest: Arc<Manifest>,
    /// `None` before the session and after it has failed.
    pub(super) control: Option<SessionControl>,
}

/// Runs media through one pipeline after another until nothing more can come.
pub(super) struct Worker {
    pub(super) source: Source,
    pub(super) outputs: Outputs,
    pub(super) runner: PipelineRunner,
    pub(super) policy: FailurePolicy,
    pub(super) commands: mpsc::Receiver<Replace>,
    pub(super) running: Arc<Mutex<Running>>,
    pub(super) herald: Herald,
    pub(super) refused: Refused,
}

/// What a pipeline was not given, because its manifest declares other inputs.
pub(super) struct Refused {
    pub(super) count: Arc<AtomicU64>,
    /// What was told already of the present session: a camera would tell it thirty times a second.
    pub(super) told: Mutex<BTreeSet<DataKind>>,
}

/// Tells of failures.
pub(super) struct Herald {
    pub(super) events: broadcast::Sender<TransportEvent>,
    /// Whose session it is; nobody's, if it is shared.
    pub(super) peer: Option<PeerId>,
    /// What is to be done before anybody is told that a session has ended on its own.
    pub(super) ended: Box<dyn Fn() + Send + Sync>,
}

/// The two ends of a session.
struct Ends {
    sender: SessionSender,
    receiver: SessionReceiver,
    /// Whether it stood still before it was replaced: then so does what follows.
    was_paused: bool,
}

/// Why nothing more goes through a session.
enum End {
    SourceOver,
    Replaced(Replace),
    Failed,
}

/// What comes between a session that failed and the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Interlude {
    /// Nothing comes out until the pipeline is replaced.
    Silence,
    /// What goes in comes out as it is, until the pipeline is replaced.
    Bypass,
    /// The pipeline is started again soon.
    Pause,
}

impl Interlude {
    /// `None` if no session follows.
    fn of(policy: FailurePolicy) -> Option<Self> {
        match policy {
            FailurePolicy::Mute => Some(Self::Silence),
            FailurePolicy::Bypass => Some(Self::Bypass),
            FailurePolicy::Restart => Some(Self::Pause),
            FailurePolicy::End => None,
        }
    }
}

impl Worker {
    pub(super) async fn run(mut self) {
        loop {
            let started = Instant::now();
            let manifest = Arc::clone(&self.running.lock().manifest);
            let end = match self.runner.create_session(&manifest) {
                Ok(session) => self.run_sessions(session).await,
                // It was checked before; only a node whose construction fails comes here.
                Err(error) => {
                    self.herald.end(error);
                    End::Failed
                }
            };
            let end = match end {
                End::Failed => {
                    self.running.lock().control = None;
                    let Some(interlude) = Interlude::of(self.policy) else { return };
                    self.after_failure(interlude, started).await
                }
                end => end,
            };
            match end {
                End::SourceOver => {
                    self.outputs.flush(DRAIN).await;
                    return;
                }
                End::Replaced(Replace { manifest, done }) => {
                    self.running.lock().manifest = manifest;
                    // It was checked; should it fail all the same, the route's policy applies to it.
                    answer(done, Ok(()));
                }
                End::Failed => {}
            }
        }
    }

    /// Runs `session` and those that take its place.
    async fn run_sessions(&mut self, session: Session) -> End {
        let mut current = self.begin(session);
        loop {
            match self.run_session(&mut current).await {
                End::Replaced(replace) => current = self.take_over(current, replace).await,
                end => {
                    current.receiver.close().await;
                    return end;
                }
            }
        }
    }

    fn begin(&mut self, session: Session) -> Ends {
        self.running.lock().control = Some(session.control());
        self.refused.told.lock().clear();
        self.source.introduce();
        self.outputs.splice();
        let (sender, receiver) = session.split();
        Ends { sender, receiver, was_paused: false }
    }

    async fn run_session(&mut self, current: &mut Ends) -> End {
        let Self { source, outputs, commands, herald, refused, .. } = self;
        let Ends { sender, receiver, was_paused } = current;
        let (sender, herald, refused) = (&*sender, &*herald, &*refused);
        let sink =
            |peer: PeerId, data: RuntimeData| async move { send_input(sender, &peer, data, refused, herald).await };
        let settle = Notify::new();
        let fed = AtomicBool::new(true);
        let drain = drain(receiver, outputs, herald, &settle, &fed);
        tokio::pin!(drain);
        let end = tokio::select! {
            biased;
            () = &mut drain => End::Failed,
            Some(replace) = commands.recv() => End::Replaced(replace),
            () = source.feed(sink) => End::SourceOver,
        };
        // What is inside still comes out, in front of what follows.
        fed.store(false, Ordering::Relaxed);
        match end {
            End::Replaced(_) => {
                // What stands still is never empty.
                let control = sender.control();
                *was_paused = control.is_paused();
                control.resume();
                settle.notify_one();
                let _ = timeout(DRAIN, drain).await;
            }
            End::SourceOver => {
                let _ = timeout(DRAIN, async { tokio::join!(sender.finish(), drain) }).await;
            }
            End::Failed => {}
        }
        end
    }

    /// Puts another pipeline in the place of `before`, out of which everything has come that was sent into it. Nodes that both
    /// have go on; what the others keep comes out first.
    async fn take_over(&mut self, before: Ends, Replace { manifest, done }: Replace) -> Ends {
        match self.runner.create_session_after(&manifest, &before.sender.control()).await {
            Ok(session) => {
                let Ends { sender, mut receiver, was_paused } = before;
                let settle = Notify::new();
                let fed = AtomicBool::new(false);
                let rest = drain(&mut receiver, &self.outputs, &self.herald, &settle, &fed);
                let _ = timeout(DRAIN, async { tokio::join!(sender.finish(), rest) }).await;
                receiver.close().await;
                self.running.lock().manifest = manifest;
                let next = self.begin(session);
                if was_paused {
                    next.sender.control().pause();
                }
                answer(done, Ok(()));
                next
            }
            Err(error) => {
                if before.was_paused {
                    before.sender.control().pause();
                }
                answer(done, Err(error));
                before
            }
        }
    }

    /// The time until the pipeline is replaced or started again, which `Failed` means here.
    async fn after_failure(&mut self, interlude: Interlude, started: Instant) -> End {
        let Self { source, outputs, commands, running, .. } = self;
        outputs.splice();
        let (outputs, manifest) = (&*outputs, &Arc::clone(&running.lock().manifest));
        let sink = |peer: PeerId, data: RuntimeData| async move {
            if interlude == Interlude::Bypass && !matches!(data, RuntimeData::Control(_)) {
                outputs.bypass(manifest.outputs(), &peer, data).await;
            }
        };
        let restart = async {
            match interlude {
                Interlude::Pause => sleep_until(started + RESTART_SPACING).await,
                Interlude::Silence | Interlude::Bypass => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(replace) = commands.recv() => End::Replaced(replace),
            () = restart => End::Failed,
            () = source.feed(sink) => End::SourceOver,
        }
    }
}

impl Herald {
    /// Tells that a session has ended on its own.
    fn end(&self, error: RuntimeError) {
        (self.ended)();
        self.report(error, true);
    }

    fn report(&self, error: RuntimeError, ended: bool) {
        let Self { events, peer, .. } = self;
        tracing::warn!(peer = peer.as_ref().map(PeerId::as_str), %error, ended, "a pipeline failed");
        // Nobody may be listening.
        let _ = events.send(TransportEvent::PipelineFailed { peer: peer.clone(), error: Arc::new(error), ended });
    }
}

/// Sends every output until the session is over or, once told to `settle`, until nothing is under way. The end of a session
/// that is no longer `fed` is no reason to take its peers out: they have left, or another session takes its place.
async fn drain(receiver: &mut SessionReceiver, outputs: &Outputs, herald: &Herald, settle: &Notify, fed: &AtomicBool) {
    let mut settling = false;
    loop {
        let received = if settling {
            receiver.recv_output().await
        } else {
            tokio::select! {
                biased;
                received = receiver.next_output() => received,
                () = settle.notified() => {
                    settling = true;
                    continue;
                }
            }
        };
        match received {
            Ok(Some(output)) => outputs.send(output).await,
            Ok(None) => return,
            Err(error) if receiver.is_over() && fed.load(Ordering::Relaxed) => herald.end(error),
            Err(error) => herald.report(error, receiver.is_over()),
        }
    }
}

async fn send_input(sender: &SessionSender, peer: &PeerId, data: RuntimeData, refused: &Refused, herald: &Herald) {
    let kind = data.kind();
    let input = TransportData::new(data).with_metadata("peer", peer.as_str());
    match sender.send_input(input).await {
        Ok(()) => {}
        // Its end is learned where its outputs are read. Meanwhile nothing more is taken from the peer.
        Err(RuntimeError::SessionClosed { .. } | RuntimeError::SessionFailed { .. }) => std::future::pending().await,
        // Who comes and goes is news of the route's own, for those pipelines that take it.
        Err(error) if kind == DataKind::Control => tracing::debug!(%peer, %error, "a pipeline takes no news"),
        Err(error) => {
            refused.count.fetch_add(1, Ordering::Relaxed);
            if refused.told.lock().insert(kind) {
                herald.report(error, false);
            }
        }
    }
}

fn answer(done: oneshot::Sender<Result<(), RuntimeError>>, result: Result<(), RuntimeError>) {
    // Whoever asked may have gone.
    let _ = done.send(result);
}
