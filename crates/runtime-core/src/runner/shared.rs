//! What all tasks of one session know.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU8, Ordering},
};

use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, watch},
    task::AbortHandle,
};

use super::{
    envelope::Output,
    in_flight::{InFlight, Token},
};
use crate::{error::RuntimeError, manifest::MediaFormat};

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) id: Arc<str>,
    pub(crate) in_flight: Arc<InFlight>,
    pub(crate) output_formats: Vec<MediaFormat>,
    /// Told when an output found no room.
    pub(crate) output_stalled: Notify,
    outputs: mpsc::Sender<Output>,
    pace: watch::Sender<Pace>,
    phase: AtomicU8,
    failed_node: OnceLock<Arc<str>>,
    tasks: Mutex<Vec<AbortHandle>>,
}

/// Whether nodes take what waits for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Pace {
    Going,
    Paused,
    /// Another session takes the place of this one: nobody can hold it any more.
    Leaving,
}

/// How far a session is. It only ever goes forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Phase {
    /// It accepts input.
    Active,
    /// The end of input was announced.
    Finishing,
    /// A node's failure ended it.
    Failed,
    /// It was closed.
    Closed,
}

impl Shared {
    pub(crate) fn new(id: Arc<str>, output_formats: Vec<MediaFormat>, outputs: mpsc::Sender<Output>) -> Self {
        Self {
            id,
            in_flight: Arc::default(),
            output_formats,
            output_stalled: Notify::new(),
            outputs,
            pace: watch::Sender::new(Pace::Going),
            phase: AtomicU8::new(Phase::Active as u8),
            failed_node: OnceLock::new(),
            tasks: Mutex::default(),
        }
    }

    pub(crate) fn phase(&self) -> Phase {
        match self.phase.load(Ordering::Acquire) {
            0 => Phase::Active,
            1 => Phase::Finishing,
            2 => Phase::Failed,
            _ => Phase::Closed,
        }
    }

    /// Goes forward to `phase`. `false` if the session is that far or further.
    pub(crate) fn advance(&self, phase: Phase) -> bool {
        self.phase.fetch_max(phase as u8, Ordering::AcqRel) < phase as u8
    }

    /// That the session accepts input, or why not.
    pub(crate) fn check_active(&self) -> Result<(), RuntimeError> {
        match self.phase() {
            Phase::Active => Ok(()),
            Phase::Failed => {
                let node = self.failed_node.get().map_or_else(|| "".into(), Arc::clone);
                Err(RuntimeError::SessionFailed { node })
            }
            Phase::Finishing | Phase::Closed => Err(RuntimeError::SessionClosed { session: Arc::clone(&self.id) }),
        }
    }

    /// Returns at once, or when the session goes on after a pause.
    pub(crate) async fn going_on(&self) {
        if self.is_paused() {
            // The sender lives as long as this.
            self.pace.subscribe().wait_for(|pace| *pace != Pace::Paused).await.ok();
        }
    }

    pub(crate) fn is_paused(&self) -> bool {
        *self.pace.borrow() == Pace::Paused
    }

    pub(crate) fn set_paused(&self, paused: bool) {
        let wanted = if paused { Pace::Paused } else { Pace::Going };
        self.pace.send_if_modified(|pace| *pace != Pace::Leaving && std::mem::replace(pace, wanted) != wanted);
    }

    /// The session goes on, whoever pauses it: another one waits for what is inside.
    pub(crate) fn leave(&self) {
        self.pace.send_replace(Pace::Leaving);
    }

    pub(crate) fn set_tasks(&self, tasks: Vec<AbortHandle>) {
        *self.tasks.lock() = tasks;
    }

    /// Ends every task of the session except the calling one.
    pub(crate) fn abort_others(&self) {
        let own = tokio::task::try_id();
        self.tasks.lock().iter().filter(|task| Some(task.id()) != own).for_each(AbortHandle::abort);
    }

    /// Whether the queue of outputs is full.
    pub(crate) fn outputs_waiting(&self) -> Option<usize> {
        (self.outputs.capacity() == 0).then(|| self.outputs.max_capacity())
    }

    /// Queues an output, and waits for room.
    pub(crate) async fn output(&self, output: Output) {
        if let Err(mpsc::error::TrySendError::Full(output)) = self.outputs.try_send(output) {
            self.output_stalled.notify_one();
            // Without a receiver the session is over, and so is the output.
            self.outputs.send(output).await.ok();
        }
    }

    /// Reports a node's failure, and ends the session if it `is_fatal`.
    pub(crate) async fn report(&self, node: &Arc<str>, error: RuntimeError, is_fatal: bool, token: Option<Token>) {
        tracing::warn!(session = %self.id, %node, %error, is_fatal, "pipeline node failed");
        if is_fatal {
            self.failed_node.get_or_init(|| Arc::clone(node));
            if !self.advance(Phase::Failed) {
                return;
            }
            self.abort_others();
        }
        self.output(Output::Failed { error, is_fatal, _token: token }).await;
    }
}
