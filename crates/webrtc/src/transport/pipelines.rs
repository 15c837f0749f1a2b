use std::sync::Arc;

use async_trait::async_trait;
use remotemedia_runtime_core::{
    RuntimeError,
    manifest::Manifest,
    transport::{PipelineTransport, StreamSession, TransportData},
};

use super::WebRtcTransport;
use crate::{
    error::Result,
    route::{Attachment, Parts, Route},
};

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

    /// Runs what peers send through a pipeline, and sends what comes out where `route` says, for as long as the answer is
    /// held. Whoever pulls with `recv_audio` and `recv_video` still gets every frame, and so does every other route.
    ///
    /// Only one source speaks to a peer at a time: two routes, or a route and `send_to_peer`, that send the same kind of
    /// media to one peer get in each other's way.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::Pipeline`](crate::WebRtcError::Pipeline) if the manifest is refused,
    /// [`WebRtcError::NotStarted`](crate::WebRtcError::NotStarted).
    pub async fn attach(&self, manifest: Arc<Manifest>, route: Route) -> Result<Attachment> {
        let running = self.running()?;
        let parts = Parts {
            mesh: running.mesh.clone(),
            engine: Arc::downgrade(&running.engine),
            runner: self.inner.pipelines.clone(),
            events: self.inner.events.clone(),
            stop: running.stop.clone(),
        };
        Attachment::start(manifest, route, parts)
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
