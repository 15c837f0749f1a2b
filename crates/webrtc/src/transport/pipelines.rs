use std::sync::Arc;

use async_trait::async_trait;
use remotemedia_runtime_core::{
    RuntimeError,
    manifest::Manifest,
    transport::{PipelineTransport, StreamSession, TransportData},
};

use super::WebRtcTransport;
use crate::error::Result;

impl WebRtcTransport {
    /// Runs `input` through the pipeline once and answers its first output. Needs no connection.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Pipeline`](crate::WebRtcError::Pipeline) if the manifest is refused, a node fails, or nothing
    /// comes out.
    pub async fn execute(&self, manifest: Arc<Manifest>, input: TransportData) -> Result<TransportData> {
        Ok(self.inner.pipelines.execute(&manifest, input).await?)
    }

    /// Opens a session of the pipeline, through which any number of inputs run. Needs no connection.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Pipeline`](crate::WebRtcError::Pipeline) if the manifest is refused.
    pub async fn stream(&self, manifest: Arc<Manifest>) -> Result<Box<dyn StreamSession>> {
        Ok(PipelineTransport::stream(&self.inner.pipelines, manifest).await?)
    }
}

#[async_trait]
impl PipelineTransport for WebRtcTransport {
    async fn execute(&self, manifest: Arc<Manifest>, input: TransportData) -> Result<TransportData, RuntimeError> {
        self.inner.pipelines.execute(&manifest, input).await
    }

    async fn stream(&self, manifest: Arc<Manifest>) -> Result<Box<dyn StreamSession>, RuntimeError> {
        PipelineTransport::stream(&self.inner.pipelines, manifest).await
    }
}
