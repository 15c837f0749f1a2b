//! The way out of a node: along its edges, with back-pressure.

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;
use tokio::{sync::mpsc, time::Instant};

use super::{
    Envelope, Origin,
    envelope::{Message, Output},
    metrics::NodeStats,
    shared::{Phase, Shared},
};
use crate::{
    data::{KindSet, RuntimeData},
    error::RuntimeError,
    manifest::{MediaFormat, OnError},
};

/// Where what a node makes goes.
#[derive(Debug)]
pub(crate) struct Outlet {
    pub(crate) node: Arc<str>,
    pub(crate) policy: OnError,
    pub(crate) links: Vec<Link>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) stats: Arc<NodeStats>,
    wait: Mutex<Wait>,
}

/// One edge.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) to: LinkEnd,
    pub(crate) only: KindSet,
}

#[derive(Debug)]
pub(crate) enum LinkEnd {
    Node(mpsc::Sender<Message>),
    Output(Arc<str>),
}

/// How long an asynchronous node's call has waited for those behind it.
#[derive(Debug, Default)]
struct Wait {
    total: Duration,
    since: Option<Instant>,
}

impl Outlet {
    pub(crate) fn new(
        node: Arc<str>,
        policy: OnError,
        links: Vec<Link>,
        shared: Arc<Shared>,
        stats: Arc<NodeStats>,
    ) -> Self {
        Self { node, policy, links, shared, stats, wait: Mutex::default() }
    }

    /// Sends `envelope` along every edge that lets it pass.
    pub(crate) async fn send(&self, mut envelope: Envelope) {
        self.stats.emitted();
        envelope.from = Some(Arc::clone(&self.node));
        let kind = envelope.data.kind();
        let Some(last) = self.links.iter().rposition(|link| link.only.contains(kind)) else { return };
        for link in self.links[..last].iter().filter(|link| link.only.contains(kind)) {
            self.send_along(link, envelope.clone()).await;
        }
        self.send_along(&self.links[last], envelope).await;
    }

    async fn send_along(&self, link: &Link, envelope: Envelope) {
        match &link.to {
            // A receiver that is gone has ended with the session.
            LinkEnd::Node(inbox) => drop(inbox.send(Message::Data(envelope)).await),
            LinkEnd::Output(port) => match self.undeclared(&envelope.data) {
                None => self.shared.output(Output::Data { envelope, port: Arc::clone(port) }).await,
                Some(error) => {
                    self.stats.failed(false);
                    let is_fatal = self.policy == OnError::Fail;
                    self.shared.report(&self.node, error, is_fatal, envelope.origin.token).await;
                }
            },
        }
    }

    /// Announces along every edge that no further data comes.
    pub(crate) async fn finish(&self, origin: &Origin) {
        for link in &self.links {
            if let LinkEnd::Node(inbox) = &link.to {
                inbox.send(Message::Finish(origin.clone())).await.ok();
            }
        }
    }

    /// Sends from within a node's call, whose time-out stands still meanwhile.
    pub(crate) async fn send_on_behalf(&self, envelope: Envelope) {
        struct Waiting<'a>(&'a Mutex<Wait>);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                let mut wait = self.0.lock();
                let waited = wait.since.take().map_or(Duration::ZERO, |since| since.elapsed());
                wait.total += waited;
            }
        }
        self.wait.lock().since = Some(Instant::now());
        let _waiting = Waiting(&self.wait);
        self.send(envelope).await;
    }

    /// Begins to count anew how long a call waits.
    pub(crate) fn reset_wait(&self) {
        *self.wait.lock() = Wait::default();
    }

    /// How long the current call has waited.
    pub(crate) fn waited(&self) -> Duration {
        let wait = self.wait.lock();
        wait.total + wait.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether the session goes on.
    pub(crate) fn is_open(&self) -> bool {
        self.shared.phase() < Phase::Failed
    }

    fn undeclared(&self, data: &RuntimeData) -> Option<RuntimeError> {
        let declared = &self.shared.output_formats;
        if declared.is_empty() {
            return None;
        }
        let found = MediaFormat::of(data);
        let fits = declared.iter().any(|format| format.includes(&found));
        (!fits).then(|| RuntimeError::UnexpectedOutput {
            node: Arc::clone(&self.node),
            declared: declared.clone(),
            found,
        })
    }
}
