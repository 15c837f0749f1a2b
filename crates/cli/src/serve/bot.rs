use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use anyhow::Result;
use remotemedia_runtime_core::{RuntimeError, data::ControlMessage, manifest::Manifest, runner::SessionControl};
use remotemedia_webrtc::{
    Attachment, Environment, FailurePolicy, PeerId, PeerInfo, Route, RouteMetrics, TransportEvent, TransportEvents,
    VideoCodec, WebRtcError, WebRtcTransport, WebRtcTransportConfig,
};
use serde_json::{Map, Value, json};

use super::{
    Args,
    lossy::LossyNetwork,
    pipelines::{Pipeline, Pipelines},
    tuning::{self, TuningError},
};
use crate::{
    failure::with_hint,
    output::{no_video, say, server_failed},
};

/// The peer that sends everybody's media back through a pipeline.
pub(super) struct Bot {
    transport: WebRtcTransport,
    pub(super) room: String,
    pub(super) pipelines: Arc<Pipelines>,
    /// From the start on.
    attached: OnceLock<Attached>,
    /// Peers that are on their way from one pipeline to another.
    moving: Mutex<HashSet<String>>,
    said: Mutex<HashMap<PeerId, Said>>,
}

/// What the pipeline of a peer said last.
#[derive(Clone, Debug)]
pub(super) struct Said {
    pub(super) message: ControlMessage,
    pub(super) at: Instant,
}

/// The pipelines that media goes through: each peer is in one of them.
struct Attached {
    /// A session for each peer, with a manifest of its own choice.
    own: Attachment,
    /// A session for all who chose it, for each shared pipeline by its name.
    shared: BTreeMap<String, Attachment>,
}

/// Why a peer did not get another pipeline. It goes on with the one that it had.
#[derive(Debug, thiserror::Error)]
pub(super) enum ChoiceError {
    #[error("{peer:?} is on its way into another pipeline: choose again in a second or two")]
    UnderWay { peer: String },
    #[error(transparent)]
    Refused(#[from] WebRtcError),
}

/// Marks a peer as being on its way until dropped.
struct Move {
    bot: Arc<Bot>,
    peer: String,
}

/// A peer's pipeline as it is now.
pub(super) struct Running<'a> {
    pub(super) pipeline: &'a Pipeline,
    /// The one of its outputs that the peer gets.
    pub(super) output: String,
    /// Who is in the same session, if it is a shared one.
    pub(super) peers: Option<Vec<PeerId>>,
    pub(super) metrics: RouteMetrics,
    /// `None` if it has said nothing about this peer.
    pub(super) said: Option<Said>,
    /// `None` while it has failed.
    pub(super) session: Option<SessionControl>,
}

impl Bot {
    pub(super) fn new(args: &Args, signaling_url: String, pipelines: Arc<Pipelines>) -> Result<Self> {
        let config = WebRtcTransportConfig {
            signaling_url,
            peer_id: args.peer_id.clone(),
            room: args.room.clone(),
            stun_servers: args.stun.clone(),
            max_peers: args.max_peers.into(),
            // Nobody sends larger pictures than a page asks its camera for, but some pages ask for these.
            video_codec: VideoCodec::vp9().size(1_920, 1_080),
            ..Default::default()
        };
        let mut environment = Environment::default();
        if let Some(fraction) = args.drop {
            environment.network = Some(Arc::new(LossyNetwork::new(fraction)));
        }
        let transport = WebRtcTransport::with_environment(config, environment).map_err(with_hint)?;
        let room = args.room.clone();
        let (attached, moving, said) = (OnceLock::new(), Mutex::default(), Mutex::default());
        Ok(Self { transport, room, pipelines, attached, moving, said })
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
        let nobody: [&str; 0] = [];
        let default = self.pipelines.default();
        let mut shared = BTreeMap::new();
        for pipeline in self.pipelines.iter().filter(|pipeline| pipeline.description.shared) {
            let is_default = std::ptr::eq(pipeline, default);
            let route = if is_default { Route::from_all() } else { Route::from_peers(nobody).map_err(with_hint)? };
            // Left out, a mixer would send everybody their own voice.
            let route = route.shared().with_messages().on_failure(FailurePolicy::Restart);
            shared.insert(pipeline.description.name.clone(), self.attach(pipeline, route).await?);
        }
        let route =
            if default.description.shared { Route::from_peers(nobody).map_err(with_hint)? } else { Route::from_all() };
        let route = route.with_messages().on_failure(FailurePolicy::Bypass);
        // There is an echo at least.
        let mut not_shared = self.pipelines.iter().filter(|pipeline| !pipeline.description.shared);
        let own = self.attach(not_shared.next().unwrap_or(default), route).await?;
        // It is started once.
        let _ = self.attached.set(Attached { own, shared });
        Ok(())
    }

    async fn attach(&self, pipeline: &Pipeline, route: Route) -> Result<Attachment> {
        self.transport.attach(Arc::clone(pipeline.manifest()), route).await.map_err(with_hint)
    }

    /// Says who comes and goes until the transport ends.
    pub(super) async fn report(&self, mut events: TransportEvents, json: bool) -> Result<()> {
        while let Some(event) = events.next().await {
            let (object, text) = match event {
                TransportEvent::PeerConnected { peer } => {
                    (json!({"event": "peer_connected", "peer": peer.as_str()}), format!("{peer} is here"))
                }
                TransportEvent::VideoUnavailable { peer, ours, theirs } => no_video(&peer, &ours, &theirs),
                TransportEvent::IceServerFailed { peer, server } => server_failed(&peer, &server),
                TransportEvent::PipelineControl { peer, message } => {
                    // What a pipeline says while it is emptied, since its peer leaves it, is about nobody who is in it.
                    if let Some(peer) = peer
                        && !self.is_moving(peer.as_str())
                        && self.stats(peer.as_str()).await.is_some()
                    {
                        self.said().insert(peer, Said { message, at: Instant::now() });
                    }
                    continue;
                }
                TransportEvent::PeerDisconnected { peer, reason } => {
                    self.said().remove(&peer);
                    let reason = reason.to_string();
                    let text = format!("{peer} has gone ({reason})");
                    (json!({"event": "peer_disconnected", "peer": peer.as_str(), "reason": reason}), text)
                }
                TransportEvent::PeerFailed { peer, report } => {
                    let report = report.summary();
                    let text = format!("no connection to {peer}: {report}");
                    (json!({"event": "peer_failed", "peer": peer.as_str(), "report": report}), text)
                }
                TransportEvent::PipelineFailed { peer, error, ended } => {
                    let peer = peer.as_ref().map(PeerId::as_str);
                    let whose =
                        peer.map_or_else(|| "a shared pipeline".to_owned(), |peer| format!("the pipeline of {peer}"));
                    let text = match &*error {
                        RuntimeError::UnexpectedInput { .. } => format!("{whose} is not given all that comes: {error}"),
                        error => format!("{whose} failed: {error}"),
                    };
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

    fn said(&self) -> MutexGuard<'_, HashMap<PeerId, Said>> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if the bot has no such peer.
    pub(super) fn running(&self, peer: &str) -> Option<Running<'_>> {
        let attachment = self.attached.get()?.of(peer)?;
        let (manifest, metrics) = (attachment.manifest(peer)?, attachment.metrics(peer)?);
        let (pipeline, output) = self.pipelines.find(&manifest)?;
        Some(Running {
            pipeline,
            output: output.to_owned(),
            peers: pipeline.description.shared.then(|| attachment.peers()),
            metrics,
            said: self.said().get(peer).cloned(),
            session: attachment.session(peer),
        })
    }

    /// Changes params of a node that a peer's media goes through. In a shared session they change for all.
    pub(super) async fn tune(&self, peer: &str, node: &str, changes: &Map<String, Value>) -> Result<(), TuningError> {
        let no_session = || TuningError::NoSession { peer: peer.chars().take(64).collect() };
        let attachment = self.attached.get().and_then(|attached| attached.of(peer)).ok_or_else(no_session)?;
        let failed = || TuningError::Failed { peer: peer.to_owned() };
        let session = attachment.session(peer).ok_or_else(failed)?;
        tuning::turn(&session, node, self.pipelines.registry(), changes).await
    }

    fn is_moving(&self, peer: &str) -> bool {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner).contains(peer)
    }

    /// How the connection to a peer does; `None` if there is none.
    pub(super) async fn stats(&self, peer: &str) -> Option<PeerInfo> {
        let peers = self.transport.list_peers().await.unwrap_or_default();
        peers.into_iter().find(|info| info.peer_id == *peer)
    }

    /// Sends a peer's media through another pipeline until it leaves, whether or not the answer is awaited.
    pub(super) async fn choose(
        self: &Arc<Self>,
        peer: &str,
        pipeline: &Pipeline,
        manifest: &Arc<Manifest>,
    ) -> Result<(), ChoiceError> {
        if !self.moving.lock().unwrap_or_else(PoisonError::into_inner).insert(peer.to_owned()) {
            return Err(ChoiceError::UnderWay { peer: peer.to_owned() });
        }
        let on_its_way = Move { bot: Arc::clone(self), peer: peer.to_owned() };
        let (name, manifest) = (pipeline.description.name.clone(), Arc::clone(manifest));
        let moved = tokio::spawn(async move { on_its_way.go(&name, manifest).await });
        moved.await.unwrap_or_else(|_| Err(WebRtcError::PeerNotFound(peer.to_owned()))).map_err(ChoiceError::from)
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

impl Move {
    /// Into the shared pipeline `name`, or `manifest` in a session of its own if none is called so.
    async fn go(&self, name: &str, manifest: Arc<Manifest>) -> Result<(), WebRtcError> {
        let Self { bot, peer } = self;
        let attached = bot.attached.get().ok_or(WebRtcError::NotStarted)?;
        let before = attached.of(peer).ok_or_else(|| WebRtcError::PeerNotFound(peer.clone()))?;
        match attached.shared.get(name) {
            Some(shared) => before.move_peer(peer, shared, None).await?,
            None => before.move_peer(peer, &attached.own, Some(manifest)).await?,
        }
        // It was said by the pipeline before.
        bot.said().remove(peer.as_str());
        Ok(())
    }
}

impl Drop for Move {
    fn drop(&mut self) {
        self.bot.moving.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.peer);
    }
}

impl Attached {
    /// The one that a peer's media goes through; `None` if there is no such peer.
    fn of(&self, peer: &str) -> Option<&Attachment> {
        std::iter::once(&self.own).chain(self.shared.values()).find(|attachment| attachment.manifest(peer).is_some())
    }
}
