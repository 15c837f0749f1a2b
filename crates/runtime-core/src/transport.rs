//! What runs a pipeline: the traits that every transport implements, and the data that crosses them.

use std::{collections::HashMap, sync::Arc};

use async_trait::async_trait;

pub use crate::error::RuntimeError;
use crate::{data::RuntimeData, manifest::Manifest};

/// A piece of data with what travels beside it.
///
/// Sequence number and metadata of an input come out again on everything that is made from it.
///
/// ```
/// use remotemedia_runtime_core::transport::TransportData;
///
/// let data = TransportData::new("hello").with_sequence(7).with_metadata("lang", "en");
/// assert_eq!(data.get_metadata("lang"), Some("en"));
/// ```
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct TransportData {
    /// The data.
    pub data: RuntimeData,
    /// A number that the sender counts up.
    pub sequence: Option<u64>,
    /// Whatever else the sender says.
    pub metadata: HashMap<String, String>,
    /// Of an input: the id of the input that it goes to; `None` for all of them. Of an output: the id of the output
    /// that it comes from.
    pub port: Option<Arc<str>>,
}

impl TransportData {
    /// `data` with nothing beside it.
    pub fn new(data: impl Into<RuntimeData>) -> Self {
        Self { data: data.into(), sequence: None, metadata: HashMap::new(), port: None }
    }

    /// The same with a sequence number.
    #[must_use]
    pub fn with_sequence(mut self, sequence: u64) -> Self {
        self.sequence = Some(sequence);
        self
    }

    /// The same with one more metadata entry.
    #[must_use]
    pub fn with_metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The same, for one of several inputs.
    #[must_use]
    pub fn with_port(mut self, port: impl Into<Arc<str>>) -> Self {
        self.port = Some(port.into());
        self
    }

    /// A metadata entry.
    pub fn get_metadata(&self, key: &str) -> Option<&str> {
        self.metadata.get(key).map(String::as_str)
    }
}

impl From<RuntimeData> for TransportData {
    fn from(data: RuntimeData) -> Self {
        Self::new(data)
    }
}

/// Something that runs pipelines: in this process ([`PipelineRunner`](crate::runner::PipelineRunner)) or through a
/// connection to another.
#[async_trait]
pub trait PipelineTransport: Send + Sync {
    /// Runs `input` through the pipeline and answers its first output.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the manifest is refused or a node fails, and [`RuntimeError::NoOutput`] if the pipeline
    /// makes nothing of this input.
    async fn execute(&self, manifest: Arc<Manifest>, input: TransportData) -> Result<TransportData, RuntimeError>;

    /// Starts the pipeline for a stream of inputs.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the manifest is refused.
    async fn stream(&self, manifest: Arc<Manifest>) -> Result<Box<dyn StreamSession>, RuntimeError>;
}

/// A running pipeline. Dropping it ends everything that it started.
///
/// The receiving methods are cancel-safe: dropping their futures loses nothing.
#[async_trait]
pub trait StreamSession: Send + Sync {
    /// A name that no other session has.
    fn session_id(&self) -> &str;

    /// Hands one input to the pipeline, and waits while the pipeline is behind. Dropping the future before it answers
    /// means that the input was not accepted.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the session has ended, or the manifest does not take such an input.
    async fn send_input(&mut self, input: TransportData) -> Result<(), RuntimeError>;

    /// The next output of what was sent. It waits as long as an accepted input is in flight, which means until every
    /// node call that it caused has returned, and answers `None` when the session is idle and drained, and for ever
    /// after [`StreamSession::close`]. Data that a node keeps for later is not in flight.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if a node failed or exceeded its time-out. Whether the session lives on is the manifest's
    /// decision; [`StreamSession::is_active`] tells.
    async fn recv_output(&mut self) -> Result<Option<TransportData>, RuntimeError>;

    /// The next output, whether or not an input is in flight: for pipelines that make something by themselves. `None`
    /// once the session has ended.
    ///
    /// # Errors
    ///
    /// As [`StreamSession::recv_output`].
    async fn next_output(&mut self) -> Result<Option<TransportData>, RuntimeError>;

    /// Ends the session and everything that it started. What is still inside is lost. Closing twice is closing once.
    ///
    /// # Errors
    ///
    /// [`RuntimeError`] if the far side of a connection cannot be told.
    async fn close(&mut self) -> Result<(), RuntimeError>;

    /// Whether the session accepts input.
    fn is_active(&self) -> bool;
}
