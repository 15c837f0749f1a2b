//! What the engine knows of the connected peers.

use std::{collections::HashMap, time::Duration};

use parking_lot::RwLock;
use remotemedia_media::{Bitrate, Codec, MediaKind, PeerId};
use tokio::time::Instant;

/// How long a source of one peer's own keeps a broadcast away from that peer.
const DIRECT_HOLD: Duration = Duration::from_millis(500);

/// Who a source speaks to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Audience {
    /// Every connected peer that has no source of its own.
    All,
    /// One peer.
    Peer(PeerId),
}

/// A peer's side of the media.
#[derive(Clone, Debug)]
pub(crate) struct PeerMedia {
    /// Whether it takes audio.
    pub(crate) audio: bool,
    /// The video codecs it takes, in order of preference.
    pub(crate) video: Vec<Codec>,
    /// What the network to it carries, all media together; `None` until there is an estimate.
    pub(crate) target: Option<Bitrate>,
    direct_audio: Option<Instant>,
    direct_video: Option<Instant>,
    /// Whose picture was sent to it last.
    shown: Option<Audience>,
}

/// The connected peers.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    peers: RwLock<HashMap<PeerId, PeerMedia>>,
}

impl Roster {
    /// A peer's media was negotiated, for the first time or anew.
    pub(crate) fn insert(&self, peer: PeerId, audio: bool, video: Vec<Codec>) {
        let mut peers = self.peers.write();
        let entry = peers.entry(peer).or_insert_with(|| PeerMedia {
            audio,
            video: Vec::new(),
            target: None,
            direct_audio: None,
            direct_video: None,
            shown: None,
        });
        entry.audio = audio;
        entry.video = video;
    }

    pub(crate) fn remove(&self, peer: &PeerId) {
        self.peers.write().remove(peer);
    }

    pub(crate) fn clear(&self) {
        self.peers.write().clear();
    }

    pub(crate) fn set_target(&self, peer: &PeerId, target: Bitrate) {
        if let Some(entry) = self.peers.write().get_mut(peer) {
            entry.target = Some(target);
        }
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Option<PeerMedia> {
        self.peers.read().get(peer).cloned()
    }

    pub(crate) fn ids(&self) -> Vec<PeerId> {
        self.peers.read().keys().cloned().collect()
    }

    /// Notes that `peer` is sent media of its own.
    pub(crate) fn mark_direct(&self, peer: &PeerId, kind: MediaKind, now: Instant) {
        if let Some(entry) = self.peers.write().get_mut(peer) {
            match kind {
                MediaKind::Audio => entry.direct_audio = Some(now + DIRECT_HOLD),
                MediaKind::Video => entry.direct_video = Some(now + DIRECT_HOLD),
            }
        }
    }

    /// Notes that `peer` is sent a picture of the source that speaks to `audience`.
    pub(crate) fn mark_shown(&self, peer: &PeerId, audience: &Audience) {
        if let Some(entry) = self.peers.write().get_mut(peer).filter(|e| e.shown.as_ref() != Some(audience)) {
            entry.shown = Some(audience.clone());
        }
    }

    /// Whether the last picture that was sent to `peer` was one of the source that speaks to `audience`. A decoder that
    /// was given another source's pictures in between has nothing to go on from.
    pub(crate) fn is_shown(&self, peer: &PeerId, audience: &Audience) -> bool {
        self.peers.read().get(peer).is_some_and(|entry| entry.shown.as_ref() == Some(audience))
    }

    /// The peers that hear `audience`, or would if they had no source of their own.
    pub(crate) fn listeners(&self, audience: &Audience) -> Vec<PeerId> {
        let peers = self.peers.read();
        let hears = |(id, media): (&PeerId, &PeerMedia)| {
            let is_meant = match audience {
                Audience::All => true,
                Audience::Peer(peer) => peer == id,
            };
            (is_meant && media.audio).then(|| id.clone())
        };
        peers.iter().filter_map(hears).collect()
    }

    /// The peers that `audience` reaches now with media of `kind`.
    pub(crate) fn audience(&self, audience: &Audience, kind: MediaKind, now: Instant) -> Vec<(PeerId, PeerMedia)> {
        let takes = |media: &PeerMedia| match kind {
            MediaKind::Audio => media.audio,
            MediaKind::Video => !media.video.is_empty(),
        };
        let peers = self.peers.read();
        let reached = |(id, media): (&PeerId, &PeerMedia)| takes(media).then(|| (id.clone(), media.clone()));
        match audience {
            Audience::Peer(peer) => peers.get_key_value(peer).and_then(reached).into_iter().collect(),
            Audience::All => peers
                .iter()
                .filter(|(_, media)| match kind {
                    MediaKind::Audio => media.direct_audio.is_none_or(|until| until <= now),
                    MediaKind::Video => media.direct_video.is_none_or(|until| until <= now),
                })
                .filter_map(reached)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_peer_with_a_source_of_its_own_is_left_out_of_broadcasts_for_half_a_second() {
        let roster = Roster::default();
        let (bob, eve) = (PeerId::new("bob").unwrap(), PeerId::new("eve").unwrap());
        roster.insert(bob.clone(), true, vec![Codec::Vp8]);
        roster.insert(eve.clone(), false, vec![]);
        let now = Instant::now();
        let reached =
            |kind, at| roster.audience(&Audience::All, kind, at).into_iter().map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(reached(MediaKind::Video, now), std::slice::from_ref(&bob));
        roster.mark_direct(&bob, MediaKind::Video, now);
        assert!(reached(MediaKind::Video, now + Duration::from_millis(499)).is_empty());
        assert_eq!(reached(MediaKind::Video, now + Duration::from_millis(500)), std::slice::from_ref(&bob));
        assert_eq!(reached(MediaKind::Audio, now), std::slice::from_ref(&bob));
        assert_eq!(roster.audience(&Audience::Peer(bob.clone()), MediaKind::Video, now).len(), 1);
        assert!(roster.audience(&Audience::Peer(eve), MediaKind::Audio, now).is_empty());
    }
}
