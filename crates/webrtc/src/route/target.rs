use std::collections::BTreeSet;

use remotemedia_media::PeerId;

use crate::error::Result;

/// Whom media and messages are sent to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Target {
    /// Every connected peer, as with [`broadcast`](crate::WebRtcTransport::broadcast): video and audio are encoded once.
    All,
    /// These peers, as far as they are connected.
    Peers(BTreeSet<PeerId>),
}

impl Target {
    /// One peer.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`](crate::WebRtcError::InvalidPeerId).
    pub fn peer(peer: impl AsRef<str>) -> Result<Self> {
        Self::peers([peer])
    }

    /// Several peers.
    ///
    /// # Errors
    ///
    /// [`WebRtcError::InvalidPeerId`](crate::WebRtcError::InvalidPeerId).
    pub fn peers<I: IntoIterator<Item: AsRef<str>>>(peers: I) -> Result<Self> {
        Ok(Self::Peers(ids(peers)?))
    }
}

pub(super) fn ids<I: IntoIterator<Item: AsRef<str>>>(peers: I) -> Result<BTreeSet<PeerId>> {
    peers.into_iter().map(|peer| Ok(PeerId::new(peer.as_ref())?)).collect()
}
