//! What waits to be sent of one audio source.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_media::{AudioFrame, PeerId};
use tokio::{
    sync::{Notify, OwnedSemaphorePermit, Semaphore, oneshot, watch},
    time::sleep,
};

use super::sent_log::SentLog;

/// What each peer was sent.
pub(super) type Logs = HashMap<PeerId, SentLog>;

/// Asks a source to fall silent, and to answer what it has sent since the last time.
pub(super) type Stop = oneshot::Sender<Logs>;

/// The way in. The frames are counted from the first on, so that it can be told what has become of each.
#[derive(Debug)]
pub(super) struct QueueInput {
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    /// How many milliseconds the frames take that are queued. The semaphore does not tell: whoever waits for room holds what there
    /// is.
    taken_ms: Arc<AtomicU32>,
    capacity_ms: u32,
    done: watch::Receiver<u64>,
}

/// The way out.
#[derive(Debug)]
pub(super) struct QueueOutput {
    shared: Arc<Shared>,
    /// All frames below this number have been sent or dropped, or what is left over of them is sent with those that follow.
    done: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Shared {
    line: Mutex<Line>,
    /// Told of everything but frames that are taken.
    changed: Notify,
}

#[derive(Debug, Default)]
struct Line {
    frames: VecDeque<Queued>,
    stops: VecDeque<Stop>,
    /// How many frames were queued so far.
    pushed: u64,
    /// How many of them do not wait any more.
    taken: u64,
    /// Somebody waits until the frames below this number are done.
    awaited: u64,
    /// How often everything that waits was dropped.
    cleared: u64,
    /// Nobody takes frames any more.
    is_closed: bool,
}

/// A frame, and the room that it takes in the queue as long as it is not sent.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) frame: Arc<AudioFrame>,
    pub(super) room: Room,
}

/// Milliseconds of the queue. Dropping it gives back what is left.
#[derive(Debug)]
pub(super) struct Room {
    permit: OwnedSemaphorePermit,
    taken_ms: Arc<AtomicU32>,
}

impl Room {
    fn new(permit: OwnedSemaphorePermit, taken_ms: &Arc<AtomicU32>) -> Self {
        taken_ms.fetch_add(permit.num_permits() as u32, Relaxed);
        Self { permit, taken_ms: Arc::clone(taken_ms) }
    }

    /// Gives back all but `millis`.
    pub(super) fn keep(&mut self, millis: usize) {
        if let Some(rest) = self.permit.split(self.permit.num_permits().saturating_sub(millis)) {
            self.taken_ms.fetch_sub(rest.num_permits() as u32, Relaxed);
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken_ms.fetch_sub(self.permit.num_permits() as u32, Relaxed);
    }
}

/// What a source has to do.
pub(super) enum Next {
    /// Send this.
    Frame(Queued),
    /// Nothing follows for now: send what is left over.
    Rest,
    /// Fall silent.
    Stop(Stop),
}

/// A queue that takes up to `capacity_ms` milliseconds.
pub(super) fn audio_queue(capacity_ms: u32) -> (QueueInput, QueueOutput) {
    let shared = Arc::new(Shared::default());
    let room = Arc::new(Semaphore::new(capacity_ms as usize));
    let (done, told) = watch::channel(0);
    let taken_ms = Arc::default();
    (QueueInput { shared: Arc::clone(&shared), room, taken_ms, capacity_ms, done: told }, QueueOutput { shared, done })
}

impl QueueInput {
    /// How much is queued.
    pub(super) fn queued(&self) -> Duration {
        Duration::from_millis(self.taken_ms.load(Relaxed).into())
    }

    /// Queues `frame`, waiting while there is no room. Cancelled, it has queued nothing.
    pub(super) async fn push(&self, frame: Arc<AudioFrame>) {
        let millis = u32::try_from(frame.duration().as_millis()).unwrap_or(u32::MAX).max(1);
        // A frame longer than the queue waits until the queue is empty.
        let permits = millis.min(self.capacity_ms);
        let cleared = self.shared.line.lock().cleared;
        let Ok(room) = Arc::clone(&self.room).acquire_many_owned(permits).await else { return };
        let mut line = self.shared.line.lock();
        // Dropping what waits drops what waits for room, too.
        if line.is_closed || line.cleared != cleared {
            return;
        }
        line.frames.push_back(Queued { frame, room: Room::new(room, &self.taken_ms) });
        line.pushed += 1;
        drop(line);
        self.shared.changed.notify_one();
    }

    /// Returns once everything that is queued now has been sent or dropped.
    pub(super) async fn drained(&self) {
        let awaited = {
            let mut line = self.shared.line.lock();
            line.awaited = line.pushed;
            line.pushed
        };
        self.shared.changed.notify_one();
        // An error: the runtime is going down.
        let _ = self.done.clone().wait_for(|done| *done >= awaited).await;
    }

    /// Drops what is queued at once. Answers what was sent since the last time, with the fade-out that ends it; `None` if the
    /// runtime is going down.
    pub(super) async fn stop(&self) -> Option<Logs> {
        let (stop, logs) = oneshot::channel();
        let dropped = {
            let mut line = self.shared.line.lock();
            if line.is_closed {
                return None;
            }
            line.stops.push_back(stop);
            line.cleared += 1;
            line.taken = line.pushed;
            std::mem::take(&mut line.frames)
        };
        drop(dropped);
        self.shared.changed.notify_one();
        logs.await.ok()
    }
}

impl QueueOutput {
    /// What is to be done next. Nothing follows when nothing came for `patience`, or when somebody waits for the end and nothing
    /// is queued.
    pub(super) async fn next(&mut self, patience: Duration) -> Next {
        let quiet = sleep(patience);
        tokio::pin!(quiet);
        loop {
            let is_over;
            {
                let mut line = self.shared.line.lock();
                if let Some(stop) = line.stops.pop_front() {
                    return Next::Stop(stop);
                }
                if let Some(queued) = line.frames.pop_front() {
                    self.done.send_replace(line.taken);
                    line.taken += 1;
                    return Next::Frame(queued);
                }
                let done = *self.done.borrow();
                if line.awaited > done {
                    return Next::Rest;
                }
                is_over = done == line.taken;
            }
            tokio::select! {
                biased;
                () = self.shared.changed.notified() => {}
                () = &mut quiet, if !is_over => return Next::Rest,
            }
        }
    }

    /// Returns when the source is to fall silent.
    pub(super) async fn stopped(&self) -> Stop {
        loop {
            if let Some(stop) = self.shared.line.lock().stops.pop_front() {
                return stop;
            }
            self.shared.changed.notified().await;
        }
    }

    /// Everything that was taken out has been sent or dropped.
    pub(super) fn all_is_done(&self) {
        self.done.send_replace(self.shared.line.lock().taken);
    }
}

impl Drop for QueueOutput {
    fn drop(&mut self) {
        let mut line = self.shared.line.lock();
        line.is_closed = true;
        // Nobody would answer those who ask.
        let (stops, frames) = (std::mem::take(&mut line.stops), std::mem::take(&mut line.frames));
        drop(line);
        drop((stops, frames));
    }
}
