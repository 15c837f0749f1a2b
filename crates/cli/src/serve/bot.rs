use std::sync::{Arc, OnceLock};

use anyhow::Result;
use remotemedia_webrtc::{
    Attachment, Environment, FailurePolicy, PeerId, PeerInfo, Route, RouteMetrics, TransportEvent, TransportEvents,
    WebRtcError, WebRtcTransport, WebRtcTransportConfig,
};
use serde_json::json;

use super::{
    Args,
    lossy::LossyNetwork,
    pipelines::{Pipeline, Pipelines},
};
use crate::output::{no_video, say, with_hint};

/// The peer that sends everybody's media back through a pipeline.
pub(super) struct Bot {
    transport: WebRtcTransport,
    pub(super) room: String,
    pub(super) pipelines: Arc<Pipelines>,
    /// From the start on.
    attachment: OnceLock<Attachment>,
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
        Ok(Self { transport, room: args.room.clone(), pipelines, attachment: OnceLock::new() })
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
        // It is started once.
        let _ = self.attachment.set(attachment);
        Ok(())
    }

    /// Says who comes and goes until the transport ends.
    pub(super) async fn report(&self, mut events: TransportEvents, json: bool) -> Result<()> {
        while let Some(event) = events.next().await {
            let (object, text) = match event {
                TransportEvent::PeerConnected { peer } => {
                    (json!({"event": "peer_connected", "peer": peer.as_str()}), format!("{peer} is here"))
                }
                TransportEvent::VideoUnavailable { peer, ours, theirs } => no_video(&peer, &ours, &theirs),
                TransportEvent::PeerDisconnected { peer, reason } => {
                    let reason = reason.to_string();
                    let text = format!("{peer} has gone ({reason})");
                    (json!({"event": "peer_disconnected", "peer": peer.as_str(), "reason": reason}), text)
                }
                TransportEvent::PeerFailed { peer, report } => {
                    let text = format!("no connection to {peer}: {report:?}");
                    (json!({"event": "peer_failed", "peer": peer.as_str(), "report": format!("{report:?}")}), text)
                }
                TransportEvent::PipelineFailed { peer, error, ended } => {
                    let peer = peer.as_ref().map(PeerId::as_str);
                    let text = format!("the pipeline of {} failed: {error}", peer.unwrap_or("all peers"));
                    let error = error.to_string();
                    (json!({"event": "pipeline_failed", "peer": peer, "error": error, "ended": ended}), text)
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
    pub(super) fn running(&self, peer: &str) -> Option<Running> {
        let attachment = self.attachment.get()?;
        let (manifest, metrics) = (attachment.manifest(peer)?, attachment.metrics(peer)?);
        Some(Running { name: self.pipelines.name_of(&manifest)?.to_owned(), metrics })
    }

    /// How the connection to a peer does; `None` if there is none.
    pub(super) async fn stats(&self, peer: &str) -> Option<PeerInfo> {
        let peers = self.transport.list_peers().await.unwrap_or_default();
        peers.into_iter().find(|info| info.peer_id == *peer)
    }

    /// Sends a peer's media through another pipeline until it leaves.
    pub(super) async fn choose(&self, peer: &str, pipeline: &Pipeline) -> Result<(), WebRtcError> {
        let attachment = self.attachment.get().ok_or(WebRtcError::NotStarted)?;
        attachment.replace_for(peer, Arc::clone(&pipeline.manifest)).await
    }

    /// Looks for a new network path to a peer, while the old one is in use.
    pub(super) async fn restart_ice(&self, peer: &str) -> Result<(), WebRtcError> {
        self.transport.restart_ice(peer).await
    }

    pub(super) async fn shutdown(&self) {
        if let Err(error) = self.transport.shutdown().await {
            tracing::warn!(%error, "the bot did not end in order");
        }
    }
}
