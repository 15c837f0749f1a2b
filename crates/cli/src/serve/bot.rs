use std::{collections::HashMap, sync::Arc};

use anyhow::Result;
use remotemedia_webrtc::{
    Attachment, Environment, FailurePolicy, Route, RouteMetrics, TransportEvent, TransportEvents, WebRtcError,
    WebRtcTransport, WebRtcTransportConfig,
};
use serde_json::json;
use tokio::sync::Mutex;

use super::{
    Args,
    lossy::LossyNetwork,
    pipelines::{Pipeline, Pipelines},
};
use crate::output::{say, with_hint};

/// The peer that sends everybody's media back through a pipeline.
pub(super) struct Bot {
    transport: WebRtcTransport,
    pub(super) room: String,
    pub(super) pipelines: Arc<Pipelines>,
    attachment: Mutex<Option<Arc<Attachment>>>,
    /// Who has chosen another pipeline than the default one.
    chosen: Mutex<HashMap<String, String>>,
}

/// A peer's pipeline as it is now.
pub(super) struct Running {
    pub(super) name: String,
    pub(super) metrics: RouteMetrics,
}

impl Bot {
    pub(super) fn new(args: &Args, signaling_url: String, pipelines: Arc<Pipelines>) -> Result<Self> {
        let config = WebRtcTransportConfig {
            signaling_url,
            peer_id: args.peer_id.clone(),
            room: args.room.clone(),
            stun_servers: args.stun.clone(),
            max_peers: args.max_peers,
            ..Default::default()
        };
        let mut environment = Environment::default();
        if let Some(fraction) = args.drop {
            environment.network = Some(Arc::new(LossyNetwork::new(fraction)));
        }
        let transport = WebRtcTransport::with_environment(config, environment).map_err(with_hint)?;
        Ok(Self {
            transport,
            room: args.room.clone(),
            pipelines,
            attachment: Mutex::default(),
            chosen: Mutex::default(),
        })
    }

    pub(super) fn id(&self) -> &str {
        self.transport.peer_id()
    }

    /// What happens from now on.
    pub(super) fn events(&self) -> TransportEvents {
        self.transport.events()
    }

    pub(super) async fn start(&self) -> Result<()> {
        self.transport.start().await.map_err(with_hint)?;
        let route = Route::from_all().with_messages().on_failure(FailurePolicy::Bypass);
        let manifest = Arc::clone(&self.pipelines.default().manifest);
        let attachment = self.transport.attach(manifest, route).await.map_err(with_hint)?;
        *self.attachment.lock().await = Some(Arc::new(attachment));
        Ok(())
    }

    /// Says who comes and goes until the transport ends.
    pub(super) async fn report(&self, mut events: TransportEvents, json: bool) -> Result<()> {
        while let Some(event) = events.next().await {
            let (object, text) = match event {
                TransportEvent::PeerConnected { peer } => {
                    (json!({"event": "peer_connected", "peer": peer.as_str()}), format!("{peer} is here"))
                }
                TransportEvent::PeerDisconnected { peer, reason } => {
                    self.chosen.lock().await.remove(peer.as_str());
                    let reason = reason.to_string();
                    let text = format!("{peer} has gone ({reason})");
                    (json!({"event": "peer_disconnected", "peer": peer.as_str(), "reason": reason}), text)
                }
                TransportEvent::PeerFailed { peer, report } => {
                    let text = format!("no connection to {peer}: {report:?}");
                    (json!({"event": "peer_failed", "peer": peer.as_str(), "report": format!("{report:?}")}), text)
                }
                TransportEvent::PipelineFailed { peer, error, ended } => {
                    let text = format!("the pipeline of {peer} failed: {error}");
                    let error = error.to_string();
                    (json!({"event": "pipeline_failed", "peer": peer.as_str(), "error": error, "ended": ended}), text)
                }
                _ => continue,
            };
            if json {
                say(true, &object, &text)?;
            } else {
                tracing::info!("{text}");
            }
        }
        Ok(())
    }

    /// `None` if the bot has no such peer.
    pub(super) async fn running(&self, peer: &str) -> Option<Running> {
        let metrics = self.attachment().await?.metrics(peer)?;
        let name = self.chosen.lock().await.get(peer).cloned();
        Some(Running { name: name.unwrap_or_else(|| self.pipelines.default().description.name.clone()), metrics })
    }

    /// Sends a peer's media through another pipeline until it leaves.
    pub(super) async fn choose(&self, peer: &str, pipeline: &Pipeline) -> Result<(), WebRtcError> {
        let attachment = self.attachment().await.ok_or(WebRtcError::NotStarted)?;
        // Held until it is done, so that two that choose at once leave what is told as it is.
        let mut chosen = self.chosen.lock().await;
        attachment.replace_for(peer, Arc::clone(&pipeline.manifest)).await?;
        chosen.insert(peer.to_owned(), pipeline.description.name.clone());
        Ok(())
    }

    pub(super) async fn shutdown(&self) {
        self.attachment.lock().await.take();
        if let Err(error) = self.transport.shutdown().await {
            tracing::warn!(%error, "the bot did not end in order");
        }
    }

    async fn attachment(&self) -> Option<Arc<Attachment>> {
        self.attachment.lock().await.clone()
    }
}
