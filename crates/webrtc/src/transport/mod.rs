//! The transport: what an application holds.

mod live;
mod messages;
mod native;
mod peers;
mod pipelines;
mod receive;
mod running;
mod send;
mod speaker;

use std::{fmt, sync::Arc};

use parking_lot::{Mutex, RwLock};
use remotemedia_media::PeerId;
use remotemedia_mesh::{Network, Signaler};
use remotemedia_runtime_core::{node::NodeRegistry, runner::PipelineRunner};
use tokio::sync::{Mutex as AsyncMutex, broadcast};

pub use self::peers::{PeerInfo, PeerMetrics, ReceiveMetrics};
pub use self::send::{BroadcastFailure, BroadcastStats};
pub use self::speaker::{Heard, Interruption, Speaker};
use self::{live::Live, running::Running};
pub use crate::{
    codec_config::{AudioCodec, VideoCodec},
    config::{ConfigOptions, DataChannelMode, JitterMode, TurnServer, WebRtcTransportConfig},
    events::{TransportEvent, TransportEvents},
};
use crate::{
    config::Settings,
    error::{Result, WebRtcError},
};

/// A WebRTC transport: connects to many peers, sends them raw audio and video frames and messages, and receives theirs.
///
/// It is a cheap handle: clones share one transport, and every method takes `&self`. Dropping the last one closes every
/// connection. [`WebRtcTransport::shutdown`] does it in good order and waits for it.
///
/// ```no_run
/// use remotemedia_webrtc::transport::{WebRtcTransport, WebRtcTransportConfig};
///
/// # async fn example() -> Result<(), remotemedia_webrtc::WebRtcError> {
/// let transport = WebRtcTransport::new(WebRtcTransportConfig {
///     peer_id: "alice".to_string(),
///     ..Default::default()
/// })?;
/// transport.start().await?;
/// let bob = transport.connect_peer("bob").await?;
/// while let Some(frame) = transport.recv_audio(&bob).await? {
///     println!("{:?} from {bob}", frame.duration());
/// }
/// transport.shutdown().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct WebRtcTransport {
    inner: Arc<Inner>,
}

/// Parts of a transport's surroundings that can be replaced; the default is what an application needs.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Carries offers, answers and candidates instead of the JSON-RPC client. `signaling_url` is not used then.
    pub signaler: Option<SharedSignaler>,
    /// Carries the datagrams instead of the system's sockets, for an emulated network.
    pub network: Option<Arc<dyn Network>>,
    /// Runs codecs on the calling task instead of the pool of codec threads. For virtual time (tokio's paused clock),
    /// which stands still while a task works but not while it waits for a thread.
    pub inline_codecs: bool,
    /// The node types that its pipelines are made of. Default: those of `remotemedia-runtime-core` and, with the feature
    /// `nodes`, of `remotemedia-nodes`.
    pub nodes: Option<Arc<NodeRegistry>>,
}

/// A signaler that is shared with the transport.
#[derive(Clone)]
pub struct SharedSignaler(pub Arc<dyn Signaler>);

impl fmt::Debug for SharedSignaler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SharedSignaler")
    }
}

struct Inner {
    settings: Settings,
    environment: Environment,
    /// Held while starting and shutting down, so that each happens once.
    lifecycle: AsyncMutex<()>,
    running: RwLock<Option<Arc<Running>>>,
    live: Mutex<Live>,
    events: broadcast::Sender<TransportEvent>,
    pipelines: PipelineRunner,
}

impl WebRtcTransport {
    /// Checks `config` and makes a transport of it. Needs no runtime, connects nowhere and starts nothing.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidConfig`] or [`WebRtcError::InvalidPeerId`] for a value out of range,
    /// [`WebRtcError::CodecNotBuilt`] for a codec whose feature is off.
    pub fn new(config: WebRtcTransportConfig) -> Result<Self> {
        Self::with_environment(config, Environment::default())
    }

    /// As [`WebRtcTransport::new`], with own signaling, an emulated network, or both.
    ///
    /// # Errors
    ///
    /// As [`WebRtcTransport::new`].
    pub fn with_environment(config: WebRtcTransportConfig, environment: Environment) -> Result<Self> {
        let settings = Settings::parse(&config)?;
        let (events, _) = broadcast::channel(TransportEvents::DEPTH);
        let nodes = environment.nodes.clone();
        Ok(Self {
            inner: Arc::new(Inner {
                settings,
                environment,
                lifecycle: AsyncMutex::new(()),
                running: RwLock::new(None),
                live: Mutex::default(),
                events,
                pipelines: PipelineRunner::with_registry(nodes.unwrap_or_else(|| Arc::new(native::registry()))),
            }),
        })
    }

    /// Connects to the signaling server and registers there. From now on peers can connect to this one. A transport
    /// that runs already stays as it is.
    ///
    /// Later losses of the signaling server are mended in the background, and running media does not depend on it.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::SignalingFailed`] if the server cannot be reached or refuses the registration.
    pub async fn start(&self) -> Result<()> {
        let _guard = self.inner.lifecycle.lock().await;
        if self.inner.running.read().is_some() {
            return Ok(());
        }
        let Inner { settings, environment, events, live, .. } = &*self.inner;
        let live = live.lock().clone();
        let running = Running::start(settings, environment, events, &live).await?;
        *self.inner.running.write() = Some(Arc::new(running));
        Ok(())
    }

    /// Ends every connection, tells the peers and leaves the signaling server. A transport that does not run stays as
    /// it is; one that was shut down can be started again, with what [`WebRtcTransport::configure`] and
    /// [`WebRtcTransport::mute`] have set.
    ///
    /// # Errors
    ///
    /// None at present: what cannot be told to anybody is over all the same.
    pub async fn shutdown(&self) -> Result<()> {
        let _guard = self.inner.lifecycle.lock().await;
        let running = self.inner.running.write().take();
        if let Some(running) = running {
            running.shutdown().await;
        }
        Ok(())
    }

    /// Whether there is a connection to the signaling server now.
    pub fn is_connected(&self) -> bool {
        self.inner.running.read().as_ref().is_some_and(|r| r.is_signaling_connected())
    }

    /// This peer's own name.
    pub fn peer_id(&self) -> &PeerId {
        &self.inner.settings.peer_id
    }

    /// What happens from now on. Each call answers an independent stream, 1,024 events deep; a reader that falls behind
    /// is told how many it missed.
    pub fn events(&self) -> TransportEvents {
        TransportEvents::new(self.inner.events.subscribe())
    }

    fn running(&self) -> Result<Arc<Running>> {
        self.inner.running.read().clone().ok_or(WebRtcError::NotStarted)
    }
}

impl fmt::Debug for WebRtcTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebRtcTransport").field("peer_id", self.peer_id()).finish_non_exhaustive()
    }
}
