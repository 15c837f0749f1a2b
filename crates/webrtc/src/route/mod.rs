//! Incoming media through pipelines and out again.

mod attachment;
mod crowd;
mod lanes;
mod members;
mod outputs;
mod splice;
mod supervisor;
mod target;
mod worker;

use std::collections::{BTreeMap, BTreeSet};

use remotemedia_media::PeerId;
use remotemedia_runtime_core::manifest::Manifest;

pub(crate) use self::attachment::Parts;
use self::target::ids;
pub use self::{
    attachment::{Attachment, RouteMetrics},
    target::Target,
};
use crate::error::{Result, WebRtcError};

/// Whose media goes through an attached pipeline, and who gets what comes out.
///
/// Each peer gets a session of its own, from the moment it connects until it leaves, unless the route is
/// [shared](Route::shared).
///
/// ```
/// use remotemedia_webrtc::route::{FailurePolicy, Route, Target};
///
/// // Everybody sees and hears themselves; a pipeline that fails is left out.
/// let mirror = Route::from_all().to_sender().with_messages().on_failure(FailurePolicy::Bypass);
/// // What alice says goes to bob and carol.
/// let relay = Route::from_peers(["alice"])?.to_peers(["bob", "carol"])?;
/// // One mixer for everybody.
/// let conference = Route::from_all().shared();
/// // Each output of a graph to those whom it suits.
/// let tiers = Route::from_peers(["studio"])?
///     .output("hd", Target::peers(["wall", "projector"])?)
///     .output("sd", Target::peer("phone")?);
/// # let _ = (mirror, relay, conference, tiers);
/// # Ok::<(), remotemedia_webrtc::WebRtcError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a route does nothing until it is attached"]
pub struct Route {
    /// `None`: every peer.
    from: Option<BTreeSet<PeerId>>,
    to: Destination,
    /// Outputs of the graph that go elsewhere.
    outputs: BTreeMap<String, Target>,
    messages: bool,
    shared: bool,
    on_failure: FailurePolicy,
}

/// Who gets what comes out of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    Sender,
    Target(Target),
}

/// What becomes of a peer's media when its pipeline has failed for good. The failure is reported as
/// [`TransportEvent::PipelineFailed`](crate::TransportEvent::PipelineFailed) in every case, and the call goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// Nothing more is sent for that peer until the pipeline is [replaced](Attachment::replace_for).
    #[default]
    Mute,
    /// Its media and messages go on as they came, to everybody who gets an output of the pipeline. From a
    /// [shared](Route::shared) session nobody gets back what they sent.
    Bypass,
    /// The pipeline is started anew, at most once a second.
    Restart,
    /// The peer is taken out of the pipeline, as by [`remove_peer`](Attachment::remove_peer): its messages reach
    /// `recv_data_channel_message` again, but for those that waited for the pipeline. [`add_peer`](Attachment::add_peer) begins anew. A [shared](Route::shared) session ends for
    /// all, and nobody is taken in any more.
    End,
}

impl Route {
    /// The media of every peer that is connected or will be. It goes back to its sender unless told otherwise.
    pub fn from_all() -> Self {
        Self {
            from: None,
            to: Destination::Sender,
            outputs: BTreeMap::new(),
            messages: false,
            shared: false,
            on_failure: FailurePolicy::default(),
        }
    }

    /// The media of these peers, whenever they are connected. It goes back to its sender unless told otherwise.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`].
    pub fn from_peers<I: IntoIterator<Item: AsRef<str>>>(peers: I) -> Result<Self> {
        Ok(Self { from: Some(ids(peers)?), ..Self::from_all() })
    }

    /// What comes out goes to the peer that what went in came from. In a [shared](Route::shared) session that is the peer that
    /// the metadata entry `peer` names, which every input carries and everything that is made from it; a node may name
    /// another. What has no such entry goes to everybody.
    pub fn to_sender(mut self) -> Self {
        self.to = Destination::Sender;
        self
    }

    /// What comes out goes to every connected peer, as with [`broadcast`](crate::WebRtcTransport::broadcast), its
    /// sender included.
    pub fn to_all(mut self) -> Self {
        self.to = Destination::Target(Target::All);
        self
    }

    /// What comes out goes to these peers, as far as they are connected.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`].
    pub fn to_peers<I: IntoIterator<Item: AsRef<str>>>(mut self, peers: I) -> Result<Self> {
        self.to = Destination::Target(Target::Peers(ids(peers)?));
        Ok(self)
    }

    /// What comes out of the graph's output `id` goes to `target`, whatever is said of the others.
    pub fn output(mut self, id: impl Into<String>, target: Target) -> Self {
        self.outputs.insert(id.into(), target);
        self
    }

    /// All peers share one session, which runs from the moment the pipeline is attached until it is detached: a mixer, say.
    /// A peer that comes or goes is announced to it by the control messages `peer_joined` and `peer_left`, with the
    /// payload `{"peer": id}`.
    pub fn shared(mut self) -> Self {
        self.shared = true;
        self
    }

    /// The peers' data-channel messages go through the pipeline too, and no longer to
    /// [`recv_data_channel_message`](crate::WebRtcTransport::recv_data_channel_message).
    pub fn with_messages(mut self) -> Self {
        self.messages = true;
        self
    }

    /// What becomes of a peer's media when its pipeline has failed for good.
    pub fn on_failure(mut self, policy: FailurePolicy) -> Self {
        self.on_failure = policy;
        self
    }

    fn takes(&self, peer: &PeerId) -> bool {
        self.from.as_ref().is_none_or(|from| from.contains(peer))
    }

    /// Whether `manifest` has the outputs that the route names.
    fn check(&self, manifest: &Manifest) -> Result<()> {
        match self.outputs.keys().find(|id| !manifest.outputs().any(|known| known == **id)) {
            None => Ok(()),
            Some(unknown) => Err(WebRtcError::UnknownOutput {
                output: unknown.clone(),
                known: manifest.outputs().map(str::to_owned).collect(),
            }),
        }
    }
}
