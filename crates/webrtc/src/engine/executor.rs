//! Codec jobs run on threads of their own, never on a runtime thread: pictures on a pool of one thread per core, sound on
//! a thread beside it, since a sound that waits behind a picture is late.

use std::{
    future::Future,
    sync::{Arc, OnceLock},
    thread,
};

use remotemedia_media::MediaKind;
use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Runs codec jobs.
///
/// Order within one codec instance comes from its owner, which moves the instance into a job and awaits it back before
/// the next one, so an instance is never in two jobs and never needs a lock.
#[derive(Clone, Debug)]
pub(crate) enum Executor {
    /// On the process-wide threads.
    Pool(Arc<Pool>),
    /// On the caller's task: in virtual time a job takes no time, and no other thread may be waited for.
    Inline,
}

/// The queues of the codec threads.
#[derive(Debug)]
pub(crate) struct Pool {
    audio: crossbeam_channel::Sender<Job>,
    video: crossbeam_channel::Sender<Job>,
}

/// The job panicked, which is a defect of a codec; its state is lost.
#[derive(Debug, thiserror::Error)]
#[error("a codec job ended without a result")]
pub(crate) struct JobLost;

impl Executor {
    /// The process-wide threads, started by their first user.
    pub(crate) fn shared() -> Self {
        static POOL: OnceLock<Arc<Pool>> = OnceLock::new();
        let start = || {
            let cores = thread::available_parallelism().map_or(2, usize::from);
            Arc::new(Pool { audio: start_threads("audio", 1), video: start_threads("video", cores) })
        };
        Self::Pool(Arc::clone(POOL.get_or_init(start)))
    }

    /// Runs `job` of an audio or video codec and answers what it returns.
    pub(crate) fn run<T: Send + 'static>(
        &self,
        kind: MediaKind,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> impl Future<Output = Result<T, JobLost>> + Send + 'static {
        let (done, result) = oneshot::channel();
        let job = move || {
            // Whoever awaited it may be gone.
            let _ = done.send(job());
        };
        match self {
            // The channels are unbounded, and bounded by their users: each instance has at most one job in them.
            Self::Pool(pool) => drop(match kind {
                MediaKind::Audio => pool.audio.send(Box::new(job)),
                MediaKind::Video => pool.video.send(Box::new(job)),
            }),
            Self::Inline => job(),
        }
        async move { result.await.map_err(|_| JobLost) }
    }
}

fn start_threads(kind: &str, count: usize) -> crossbeam_channel::Sender<Job> {
    let (sender, jobs) = crossbeam_channel::unbounded::<Job>();
    for index in 0..count {
        let jobs = jobs.clone();
        let worker = move || {
            for job in jobs.iter() {
                // A panic in a codec must not take a thread from everybody else: its owner sees `JobLost`.
                let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(job));
            }
        };
        if let Err(error) = thread::Builder::new().name(format!("{kind}-codec-{index}")).spawn(worker) {
            tracing::error!(%error, "a codec thread could not be started");
        }
    }
    sender
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panicking_job_loses_only_itself() {
        let executor = Executor::shared();
        for _ in 0..16 {
            let lost = executor.run(MediaKind::Video, || -> u8 { panic!("on purpose") }).await;
            assert!(lost.is_err());
        }
        assert_eq!(executor.run(MediaKind::Video, || 7).await.unwrap(), 7);
        assert_eq!(Executor::Inline.run(MediaKind::Audio, || 8).await.unwrap(), 8);
    }
}
