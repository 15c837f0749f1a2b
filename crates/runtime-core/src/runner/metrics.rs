use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// What a node of a session has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NodeMetrics {
    /// The node's id.
    pub id: Arc<str>,
    /// Its type.
    pub node_type: Arc<str>,
    /// Calls with an input that have returned or failed.
    pub calls: u64,
    /// Calls on its own clock that have returned or failed.
    pub ticks: u64,
    /// Pieces of data that it emitted.
    pub emitted: u64,
    /// Pieces of data that it says it dropped, such as what is over a rate limit or too late to be mixed.
    pub dropped: u64,
    /// Calls that failed, those over their time-out included.
    pub failures: u64,
    /// Calls over their time-out.
    pub timeouts: u64,
    /// The time that all calls and ticks took together, without that for which they waited until those behind took what they
    /// emitted.
    pub busy: Duration,
    /// The time that the longest of them took, without such a wait.
    pub longest: Duration,
    /// Pieces of data that wait before it now.
    pub queued: usize,
}

#[derive(Debug, Default)]
pub(crate) struct NodeStats {
    calls: AtomicU64,
    ticks: AtomicU64,
    emitted: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
    timeouts: AtomicU64,
    busy_ns: AtomicU64,
    longest_ns: AtomicU64,
}

impl NodeStats {
    pub(crate) fn called(&self, took: Duration) {
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.worked(took);
    }

    pub(crate) fn ticked(&self, took: Duration) {
        self.ticks.fetch_add(1, Ordering::Relaxed);
        self.worked(took);
    }

    fn worked(&self, took: Duration) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.busy_ns.fetch_add(nanos, Ordering::Relaxed);
        self.longest_ns.fetch_max(nanos, Ordering::Relaxed);
    }

    pub(crate) fn emitted(&self) {
        self.emitted.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn dropped(&self, count: u64) {
        self.dropped.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn failed(&self, is_timeout: bool) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.timeouts.fetch_add(u64::from(is_timeout), Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, id: &Arc<str>, node_type: &Arc<str>, queued: usize) -> NodeMetrics {
        NodeMetrics {
            id: Arc::clone(id),
            node_type: Arc::clone(node_type),
            calls: self.calls.load(Ordering::Relaxed),
            ticks: self.ticks.load(Ordering::Relaxed),
            emitted: self.emitted.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            failures: self.failures.load(Ordering::Relaxed),
            timeouts: self.timeouts.load(Ordering::Relaxed),
            busy: Duration::from_nanos(self.busy_ns.load(Ordering::Relaxed)),
            longest: Duration::from_nanos(self.longest_ns.load(Ordering::Relaxed)),
            queued,
        }
    }
}
