//! Counting the inputs whose consequences are not over.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use tokio::sync::Notify;

/// How many tokens of a session exist, and a wake-up for when there is none.
#[derive(Debug, Default)]
pub(crate) struct InFlight {
    count: AtomicUsize,
    idle: Notify,
}

/// Travels with an input and everything that is made from it. The input is in flight as long as one is left.
#[derive(Debug)]
pub(crate) struct Token(Arc<InFlight>);

impl InFlight {
    pub(crate) fn token(self: &Arc<Self>) -> Token {
        self.count.fetch_add(1, Ordering::AcqRel);
        Token(Arc::clone(self))
    }

    pub(crate) fn is_idle(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    /// Resumes after the count has fallen to zero, perhaps before this call. One waits at a time: the session's
    /// receiver.
    pub(crate) async fn became_idle(&self) {
        self.idle.notified().await;
    }
}

impl Clone for Token {
    fn clone(&self) -> Self {
        self.0.token()
    }
}

impl Drop for Token {
    fn drop(&mut self) {
        if self.0.count.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.idle.notify_one();
        }
    }
}
