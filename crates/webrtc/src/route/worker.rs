//! One peer's pipeline.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use remotemedia_media::PeerId;
use remotemedia_runtime_core::{
    RuntimeError,
    data::RuntimeData,
    manifest::Manifest,
    runner::{PipelineRunner, SessionControl, SessionReceiver, SessionSender},
    transport::TransportData,
};
use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{FailurePolicy, lanes::Lanes, outputs::Outputs};
use crate::events::TransportEvent;

/// How long a pipeline that ends may take to give away what is in it.
const DRAIN: Duration = Duration::from_secs(1);

/// The least time between two starts of a pipeline that fails.
const RESTART_SPACING: Duration = Duration::from_secs(1);

/// Tells a worker to go on with another pipeline; the answer comes when it has taken over.
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

/// Runs one peer's media through one pipeline after another until the peer leaves.
pub(super) struct Worker {
    pub(super) peer: PeerId,
    pub(super) lanes: Lanes,
    pub(super) outputs: Outputs,
    pub(super) runner: PipelineRunner,
    pub(super) policy: FailurePolicy,
    pub(super) commands: mpsc::Receiver<Replace>,
    pub(super) running: Arc<Mutex<Running>>,
    pub(super) events: broadcast::Sender<TransportEvent>,
}

/// Why a session ended.
enum End {
    PeerLeft,
    Replaced(Replace),
    Failed,
}

impl Worker {
    pub(super) async fn run(mut self) {
        let mut replaced = None;
        loop {
            let started = Instant::now();
            let manifest = Arc::clone(&self.running.lock().manifest);
            let end = match self.runner.create_session(&manifest) {
                Ok(session) => {
                    self.running.lock().control = Some(session.control());
                    answer(replaced.take(), Ok(()));
                    let (sender, receiver) = session.split();
                    self.run_session(sender, receiver).await
                }
                // Both were checked before; only a node whose construction fails comes here.
                Err(error) => {
                    match replaced.take() {
                        Some(done) => answer(Some(done), Err(error)),
                        None => self.report(error, true),
                    }
                    End::Failed
                }
            };
            let end = match end {
                End::Failed => self.after_failure(started).await,
                end => end,
            };
            match end {
                End::PeerLeft => return self.outputs.flush(DRAIN).await,
                End::Replaced(Replace { manifest, done }) => {
                    self.running.lock().manifest = manifest;
                    replaced = Some(done);
                }
                End::Failed => {}
            }
        }
    }

    async fn run_session(&mut self, sender: SessionSender, mut receiver: SessionReceiver) -> End {
        let Self { peer, lanes, outputs, commands, events, .. } = self;
        let sink = |data: RuntimeData| send_input(&sender, peer, data);
        let end = {
            let drain = drain(&mut receiver, outputs, peer, events);
            tokio::pin!(drain);
            let end = tokio::select! {
                biased;
                () = &mut drain => End::Failed,
                Some(replace) = commands.recv() => End::Replaced(replace),
                () = lanes.feed(sink) => End::PeerLeft,
            };
            if !matches!(end, End::Failed) {
                // What is inside still comes out, in front of what follows.
                let finish = async { tokio::join!(sender.finish(), drain) };
                let _ = timeout(DRAIN, finish).await;
            }
            end
        };
        receiver.close().await;
        end
    }

    /// What the policy has for the time until the pipeline is replaced. `Failed` means that it is to be started again.
    async fn after_failure(&mut self, started: Instant) -> End {
        self.running.lock().control = None;
        let Self { lanes, outputs, commands, .. } = self;
        let outputs = &*outputs;
        let bypasses = self.policy == FailurePolicy::Bypass;
        let sink = |data: RuntimeData| async move {
            if bypasses {
                outputs.send(data).await;
            }
        };
        let restart = async {
            match self.policy {
                FailurePolicy::Restart => sleep_until(started + RESTART_SPACING).await,
                FailurePolicy::Bypass | FailurePolicy::Mute => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(replace) = commands.recv() => End::Replaced(replace),
            () = restart => End::Failed,
            () = lanes.feed(sink) => End::PeerLeft,
        }
    }

    fn report(&self, error: RuntimeError, ended: bool) {
        report(&self.events, &self.peer, error, ended);
    }
}

/// Sends every output until the session is over.
async fn drain(
    receiver: &mut SessionReceiver,
    outputs: &Outputs,
    peer: &PeerId,
    events: &broadcast::Sender<TransportEvent>,
) {
    let control = receiver.control();
    loop {
        match receiver.next_output().await {
            Ok(Some(output)) => outputs.send(output.data).await,
            Ok(None) => return,
            Err(error) => report(events, peer, error, !control.is_active()),
        }
    }
}

async fn send_input(sender: &SessionSender, peer: &PeerId, data: RuntimeData) {
    let input = TransportData::new(data).with_metadata("peer", peer.as_str());
    match sender.send_input(input).await {
        Ok(()) => {}
        // Its end is learned where its outputs are read. Meanwhile nothing more is taken from the peer.
        Err(RuntimeError::SessionClosed { .. } | RuntimeError::SessionFailed { .. }) => std::future::pending().await,
        Err(error) => tracing::debug!(%peer, %error, "a pipeline does not take what a peer sends"),
    }
}

fn report(events: &broadcast::Sender<TransportEvent>, peer: &PeerId, error: RuntimeError, ended: bool) {
    tracing::warn!(%peer, %error, ended, "a pipeline failed");
    // Nobody may be listening.
    let _ = events.send(TransportEvent::PipelineFailed { peer: peer.clone(), error: Arc::new(error), ended });
}

fn answer(done: Option<oneshot::Sender<Result<(), RuntimeError>>>, result: Result<(), RuntimeError>) {
    if let Some(done) = done {
        // Whoever asked may have gone.
        let _ = done.send(result);
    }
}
