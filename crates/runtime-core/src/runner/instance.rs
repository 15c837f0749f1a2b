//! Calling a node in the way in which it runs: within the task, on a thread, or by waiting.

use std::{
    any::Any,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use futures_util::FutureExt;
use tokio::{task::JoinHandle, time::Instant};

use super::{Envelope, Origin, Outlet};
use crate::{
    data::RuntimeData,
    node::{AsyncEmitter, AsyncNode, Emitter, InstanceKind, Node, NodeError, NodeResult, Params},
};

/// What a node is called for.
#[derive(Debug)]
pub(crate) enum Work {
    /// Data, and which node or input it comes from.
    Process(RuntimeData, Option<Arc<str>>),
    Finish,
    Tick,
}

/// How a call went wrong.
#[derive(Debug)]
pub(crate) enum Failure {
    Reported(NodeError),
    Panicked(String),
    TimedOut,
}

/// A node that can be called.
pub(crate) enum Instance {
    Inline(Box<dyn Node>),
    Heavy(Box<dyn Node>),
    /// A heavy node that is still busy with a call over its time-out.
    Overdue(JoinHandle<HeavyCall>),
    Async(Box<dyn AsyncNode>),
    /// The node was lost with the thread that it ran on.
    Lost,
    /// The node went on in another session.
    HandedOver,
}

impl fmt::Debug for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inline(_) => "Inline",
            Self::Heavy(_) => "Heavy",
            Self::Overdue(_) => "Overdue",
            Self::Async(_) => "Async",
            Self::Lost => "Lost",
            Self::HandedOver => "HandedOver",
        })
    }
}

pub(crate) struct HeavyCall {
    node: Box<dyn Node>,
    emitted: Vec<Envelope>,
    result: Result<(), Failure>,
}

impl From<InstanceKind> for Instance {
    fn from(kind: InstanceKind) -> Self {
        match kind {
            InstanceKind::Inline(node) => Self::Inline(node),
            InstanceKind::Heavy(node) => Self::Heavy(node),
            InstanceKind::Async(node) => Self::Async(node),
        }
    }
}

impl Instance {
    pub(crate) fn tick_every(&self) -> Option<Duration> {
        match self {
            Self::Inline(node) | Self::Heavy(node) => node.tick_every(),
            Self::Async(node) => node.tick_every(),
            Self::Overdue(_) | Self::Lost | Self::HandedOver => None,
        }
    }

    /// Gives the node new params. `false` if it has to be built anew.
    pub(crate) fn set_params(&mut self, params: &Params) -> bool {
        match self {
            Self::Inline(node) | Self::Heavy(node) => node.set_params(params),
            Self::Async(node) => node.set_params(params),
            Self::Overdue(_) | Self::Lost | Self::HandedOver => false,
        }
    }

    /// Waits until a heavy node is back from a call that was given up. `false` if there is no node to call.
    pub(crate) async fn ready(&mut self) -> bool {
        if let Self::Overdue(call) = self {
            *self = match call.await {
                Ok(HeavyCall { result: Err(Failure::Panicked(_)), .. }) | Err(_) => Self::Lost,
                Ok(HeavyCall { node, .. }) => Self::Heavy(node),
            };
        }
        !matches!(self, Self::Lost)
    }

    /// Calls the node. What it makes is put into `emitted`, or sent by itself if it is asynchronous.
    pub(crate) async fn call(
        &mut self,
        work: Work,
        origin: &Origin,
        outlet: &Outlet,
        emitted: &mut Vec<Envelope>,
        timeout: Duration,
    ) -> Result<(), Failure> {
        match self {
            Self::Inline(node) => {
                let started = Instant::now();
                call_node(&mut **node, work, &mut Emitter::new(origin, emitted, Some(&outlet.stats)))?;
                // A call within the task cannot be stopped; it can only be told afterwards.
                if started.elapsed() > timeout { Err(Failure::TimedOut) } else { Ok(()) }
            }
            Self::Async(node) => call_async(&mut **node, work, origin, outlet, timeout).await,
            Self::Heavy(_) => self.call_heavy(work, origin, outlet, emitted, timeout).await,
            // Whoever took it over is the only one to call it.
            Self::HandedOver => Ok(()),
            Self::Overdue(_) | Self::Lost => Err(Failure::Panicked("the node is gone".to_owned())),
        }
    }

    async fn call_heavy(
        &mut self,
        work: Work,
        origin: &Origin,
        outlet: &Outlet,
        emitted: &mut Vec<Envelope>,
        timeout: Duration,
    ) -> Result<(), Failure> {
        let Self::Heavy(mut node) = std::mem::replace(self, Self::Lost) else {
            return Err(Failure::Panicked("the node is gone".to_owned()));
        };
        let (origin, stats) = (origin.clone(), Arc::clone(&outlet.stats));
        let mut buffer = std::mem::take(emitted);
        let mut call = tokio::task::spawn_blocking(move || {
            let result = call_node(&mut *node, work, &mut Emitter::new(&origin, &mut buffer, Some(&stats)));
            HeavyCall { node, emitted: buffer, result }
        });
        match tokio::time::timeout(timeout, &mut call).await {
            Ok(Ok(done)) => {
                *self = Self::Heavy(done.node);
                *emitted = done.emitted;
                done.result
            }
            Ok(Err(error)) => Err(Failure::Panicked(error.to_string())),
            Err(_) => {
                *self = Self::Overdue(call);
                Err(Failure::TimedOut)
            }
        }
    }
}

fn call_node(node: &mut dyn Node, work: Work, out: &mut Emitter<'_>) -> Result<(), Failure> {
    let result = catch_unwind(AssertUnwindSafe(|| match work {
        Work::Process(input, from) => {
            out.from = from;
            node.process(input, out)
        }
        Work::Finish => node.finish(out),
        Work::Tick => node.tick(out),
    }));
    failure(result)
}

async fn call_async(
    node: &mut dyn AsyncNode,
    work: Work,
    origin: &Origin,
    outlet: &Outlet,
    timeout: Duration,
) -> Result<(), Failure> {
    outlet.reset_wait();
    let started = Instant::now();
    let mut out = AsyncEmitter::new(origin, outlet);
    let call = async {
        match work {
            Work::Process(input, from) => {
                out.from = from;
                node.process(input, &mut out).await
            }
            Work::Finish => node.finish(&mut out).await,
            Work::Tick => node.tick(&mut out).await,
        }
    };
    let call = AssertUnwindSafe(call).catch_unwind();
    let overdue = tokio::time::sleep_until(started + timeout);
    tokio::pin!(call, overdue);
    loop {
        tokio::select! {
            biased;
            result = &mut call => return failure(result),
            () = &mut overdue => {
                let deadline = started + timeout + outlet.waited();
                if deadline <= Instant::now() {
                    return Err(Failure::TimedOut);
                }
                overdue.as_mut().reset(deadline);
            }
        }
    }
}

fn failure(result: Result<NodeResult, Box<dyn Any + Send>>) -> Result<(), Failure> {
    match result {
        Ok(result) => result.map_err(Failure::Reported),
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            Err(Failure::Panicked(text.unwrap_or_else(|| "a value that is no text".to_owned())))
        }
    }
}
