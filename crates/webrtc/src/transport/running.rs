//! A transport between `start` and `shutdown`.

use std::{
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use remotemedia_mesh::{Mesh, MeshError, MeshEvent, MeshEvents, Signaler};
use tokio::{sync::broadcast, time::MissedTickBehavior};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{Environment, live::Live};
use crate::{
    config::Settings,
    engine::{Engine, Executor, Sending},
    error::{Result, WebRtcError},
    events::TransportEvent,
    signaling::JsonRpcSignaler,
};

pub(super) struct Running {
    pub(super) mesh: Mesh,
    pub(super) engine: Arc<Engine>,
    /// Whether the configuration has a data channel.
    pub(super) has_messages: bool,
    signaling: Option<Arc<JsonRpcSignaler>>,
    signaling_connected: Arc<AtomicBool>,
    /// Ends everything that was attached.
    pub(super) stop: CancellationToken,
    _tasks: DropGuard,
}

impl Running {
    pub(super) async fn start(
        settings: &Settings,
        environment: &Environment,
        events: &broadcast::Sender<TransportEvent>,
        live: &Live,
    ) -> Result<Self> {
        let mut mesh_config = settings.mesh.clone();
        let (signaler, signaling): (Arc<dyn Signaler>, _) = match &environment.signaler {
            Some(own) => (Arc::clone(&own.0), None),
            None => {
                let (signaling, ice_servers) = JsonRpcSignaler::connect(settings).await?;
                mesh_config.ice_servers = ice_servers;
                let signaling = Arc::new(signaling);
                (Arc::clone(&signaling) as _, Some(signaling))
            }
        };
        let mesh = match &environment.network {
            Some(network) => Mesh::with_network(mesh_config, signaler, Arc::clone(network)),
            None => Mesh::new(mesh_config, signaler),
        }
        .map_err(config_error)?;
        let executor = if environment.inline_codecs { Executor::Inline } else { Executor::shared() };
        let engine = Arc::new(Engine::start(mesh.clone(), settings, executor, events.clone()));
        let signaling_connected = Arc::new(AtomicBool::new(true));
        let stop = CancellationToken::new();
        // Subscribed before the mesh starts, so that nothing is missed.
        let happenings = mesh.events();
        let forward = forward_events(
            happenings,
            mesh.clone(),
            Arc::downgrade(&engine),
            events.clone(),
            Arc::clone(&signaling_connected),
        );
        tokio::spawn(stop.clone().run_until_cancelled_owned(forward));
        let losses = follow_losses(mesh.clone(), engine.sending.clone());
        tokio::spawn(stop.clone().run_until_cancelled_owned(losses));
        let has_messages = settings.data_channel.is_some();
        let running = Self {
            mesh,
            engine,
            has_messages,
            signaling,
            signaling_connected,
            stop: stop.clone(),
            _tasks: stop.drop_guard(),
        };
        running.take_over(live)?;
        running.mesh.start().await;
        Ok(running)
    }

    pub(super) fn is_signaling_connected(&self) -> bool {
        self.signaling_connected.load(Ordering::Relaxed)
    }

    pub(super) async fn shutdown(&self) {
        self.stop.cancel();
        self.mesh.shutdown().await;
        if let Some(signaling) = &self.signaling {
            signaling.close().await;
        }
        self.signaling_connected.store(false, Ordering::Relaxed);
    }
}

/// The facade checks its configuration before the mesh does, so what the mesh refuses is named as it names it.
pub(super) fn config_error(error: MeshError) -> WebRtcError {
    match error {
        MeshError::InvalidConfig { field, value, allowed } => WebRtcError::InvalidConfig { field, value, allowed },
        other => WebRtcError::ConnectionFailed { peer: String::new(), source: other },
    }
}

async fn forward_events(
    mut happenings: MeshEvents,
    mesh: Mesh,
    engine: Weak<Engine>,
    events: broadcast::Sender<TransportEvent>,
    signaling_connected: Arc<AtomicBool>,
) {
    while let Some(event) = happenings.next().await {
        let Some(engine) = engine.upgrade() else { return };
        match &event {
            MeshEvent::Signaling { connected } => signaling_connected.store(*connected, Ordering::Relaxed),
            // Whoever is told of a peer may send to it and pull from it at once.
            MeshEvent::PeerConnected { peer } => engine.expect(peer),
            MeshEvent::PeerDisconnected { peer, .. } if !mesh.peers().iter().any(|p| p.peer == *peer) => {
                engine.forget(peer);
            }
            _ => {}
        }
        if let Some(event) = TransportEvent::from_mesh(event) {
            // Nobody may be listening.
            let _ = events.send(event);
        }
    }
}

/// Tells the audio encoders how much is lost, so that they spend bits on forward error correction only where it helps.
async fn follow_losses(mesh: Mesh, sending: Sending) {
    let mut every_second = tokio::time::interval(Duration::from_secs(1));
    every_second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        every_second.tick().await;
        let worst = mesh.peers().iter().filter_map(|p| p.metrics.send_loss).fold(0.0, f64::max);
        sending.set_expected_loss(worst as f32);
    }
}
