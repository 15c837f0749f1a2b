//! Incoming media through pipelines and out again.

mod attachment;
mod lanes;
mod outputs;
mod worker;

use std::collections::BTreeSet;

use remotemedia_media::PeerId;

pub(crate) use self::attachment::Parts;
pub use self::attachment::{Attachment, RouteMetrics};
use crate::error::Result;

/// Whose media goes through an attached pipeline, and who gets what comes out.
///
/// Each peer gets a session of its own, from the moment it connects until it leaves.
///
/// ```
/// use remotemedia_webrtc::route::{FailurePolicy, Route};
///
/// // Everybody sees and hears themselves; a pipeline that fails is left out.
/// let mirror = Route::from_all().to_sender().with_messages().on_failure(FailurePolicy::Bypass);
/// // What alice says goes to bob and carol.
/// let relay = Route::from_peers(["alice"])?.to_peers(["bob", "carol"])?;
/// # let _ = (mirror, relay);
/// # Ok::<(), remotemedia_webrtc::WebRtcError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a route does nothing until it is attached"]
pub struct Route {
    /// `None`: every peer.
    from: Option<BTreeSet<PeerId>>,
    to: Destination,
    messages: bool,
    on_failure: FailurePolicy,
}

/// Who gets what comes out of a pipeline.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Destination {
    Sender,
    All,
    Peers(BTreeSet<PeerId>),
}

/// What becomes of a peer's media when its pipeline has failed for good. The failure is reported as
/// [`TransportEvent::PipelineFailed`](crate::TransportEvent::PipelineFailed) in every case, and the call goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum FailurePolicy {
    /// Nothing more is sent for that peer until the pipeline is [replaced](Attachment::replace_for).
    #[default]
    Mute,
    /// Its media goes on as it came.
    Bypass,
    /// The pipeline is started anew, at most once a second.
    Restart,
}

impl Route {
    /// The media of every peer that is connected or will be. It goes back to its sender unless told otherwise.
    pub fn from_all() -> Self {
        Self { from: None, to: Destination::Sender, messages: false, on_failure: FailurePolicy::default() }
    }

    /// The media of these peers, whenever they are connected. It goes back to its sender unless told otherwise.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`](crate::WebRtcError::InvalidPeerId).
    pub fn from_peers<I: IntoIterator<Item: AsRef<str>>>(peers: I) -> Result<Self> {
        Ok(Self { from: Some(ids(peers)?), ..Self::from_all() })
    }

    /// What comes out goes to the peer that what went in came from.
    pub fn to_sender(mut self) -> Self {
        self.to = Destination::Sender;
        self
    }

    /// What comes out goes to every connected peer, as with [`broadcast`](crate::WebRtcTransport::broadcast), its
    /// sender included.
    pub fn to_all(mut self) -> Self {
        self.to = Destination::All;
        self
    }

    /// What comes out goes to these peers, as far as they are connected.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`](crate::WebRtcError::InvalidPeerId).
    pub fn to_peers<I: IntoIterator<Item: AsRef<str>>>(mut self, peers: I) -> Result<Self> {
        self.to = Destination::Peers(ids(peers)?);
        Ok(self)
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
}

fn ids<I: IntoIterator<Item: AsRef<str>>>(peers: I) -> Result<BTreeSet<PeerId>> {
    peers.into_iter().map(|peer| Ok(PeerId::new(peer.as_ref())?)).collect()
}
