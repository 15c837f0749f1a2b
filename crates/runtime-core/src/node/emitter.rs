use std::{collections::HashMap, sync::Arc};

use crate::{
    data::RuntimeData,
    runner::{Envelope, NodeStats, Origin, Outlet},
};

/// Where a [`Node`](super::Node) puts what it makes: as many pieces of data as it likes, in order.
///
/// Each carries the sequence number and the metadata of the input it was made from.
#[derive(Debug)]
pub struct Emitter<'a> {
    origin: &'a Origin,
    emitted: &'a mut Vec<Envelope>,
    /// `None` outside of any pipeline.
    stats: Option<&'a NodeStats>,
    pub(crate) from: Option<Arc<str>>,
}

impl<'a> Emitter<'a> {
    pub(crate) fn new(origin: &'a Origin, emitted: &'a mut Vec<Envelope>, stats: Option<&'a NodeStats>) -> Self {
        Self { origin, emitted, stats, from: None }
    }

    /// Sends `data` on, after the node's call has returned.
    pub fn emit(&mut self, data: impl Into<RuntimeData>) {
        self.emitted.push(self.origin.derive(data.into()));
    }

    /// Sends `data` on with one more metadata entry.
    pub fn emit_with(&mut self, data: impl Into<RuntimeData>, key: impl Into<String>, value: impl Into<String>) {
        self.emitted.push(self.origin.derive_with(data.into(), key.into(), value.into()));
    }

    /// Sends `data` on without a metadata entry that its input has.
    pub fn emit_without(&mut self, data: impl Into<RuntimeData>, key: &str) {
        self.emitted.push(self.origin.derive_without(data.into(), key));
    }

    /// Says that the node dropped `count` pieces of data that it was given, which
    /// [`NodeMetrics::dropped`](crate::runner::NodeMetrics::dropped) tells.
    pub fn dropped(&mut self, count: u64) {
        if let Some(stats) = self.stats {
            stats.dropped(count);
        }
    }

    /// The id of the node, or of the pipeline's input, that sent what the node works on; `None` on the node's own clock.
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// The sequence number of the input that the node works on.
    pub fn sequence(&self) -> Option<u64> {
        self.origin.sequence
    }

    /// The metadata of the input that the node works on; `None` if there is none.
    pub fn metadata(&self) -> Option<&HashMap<String, String>> {
        self.origin.metadata.as_deref()
    }
}

/// Where an [`AsyncNode`](super::AsyncNode) puts what it makes. Each piece goes on at once.
#[derive(Debug)]
pub struct AsyncEmitter<'a> {
    origin: &'a Origin,
    outlet: &'a Outlet,
    pub(crate) from: Option<Arc<str>>,
}

impl<'a> AsyncEmitter<'a> {
    pub(crate) fn new(origin: &'a Origin, outlet: &'a Outlet) -> Self {
        Self { origin, outlet, from: None }
    }

    /// Sends `data` on, and waits while whoever takes it is behind. That wait is not part of the node's time-out.
    pub async fn emit(&mut self, data: impl Into<RuntimeData>) {
        let envelope = self.origin.derive(data.into());
        self.outlet.send_on_behalf(envelope).await;
    }

    /// Says that the node dropped `count` pieces of data that it was given, which
    /// [`NodeMetrics::dropped`](crate::runner::NodeMetrics::dropped) tells.
    pub fn dropped(&mut self, count: u64) {
        self.outlet.stats.dropped(count);
    }

    /// The id of the node, or of the pipeline's input, that sent what the node works on; `None` on the node's own clock.
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// The sequence number of the input that the node works on.
    pub fn sequence(&self) -> Option<u64> {
        self.origin.sequence
    }

    /// The metadata of the input that the node works on; `None` if there is none.
    pub fn metadata(&self) -> Option<&HashMap<String, String>> {
        self.origin.metadata.as_deref()
    }
}
