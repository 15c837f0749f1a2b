//! What the engine knows of the connected peers.

use std::{
    collections::{HashMap, hash_map},
    time::Duration,
};

use parking_lot::RwLock;
use remotemedia_media::{Bitrate, Codec, MediaKind, PeerId, StreamId};
use tokio::time::Instant;

/// How long a source of one peer's own keeps a broadcast away from that peer.
const DIRECT_HOLD: Duration = Duration::from_millis(500);

/// How long after the last of it a stream still counts against what the network carries.
const ACTIVE: Duration = Duration::from_secs(1);

/// Who a source speaks to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Audience {
    /// Every connected peer that has no source of its own.
    All,
    /// One peer.
    Peer(PeerId),
}

/// Who a source speaks to, and as which stream.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) audience: Audience,
    /// `None` for the main stream of its kind.
    pub(crate) stream: Option<StreamId>,
}

impl Address {
    pub(crate) fn new(audience: Audience, stream: Option<StreamId>) -> Self {
        Self { audience, stream }
    }
}

/// What a peer takes as its main streams.
#[derive(Clone, Debug)]
pub(crate) struct PeerMedia {
    /// Whether it takes audio.
    pub(crate) audio: bool,
    /// The video codecs it takes, in order of preference.
    pub(crate) video: Vec<Codec>,
}

/// A peer that a source reaches.
#[derive(Clone, Debug)]
pub(crate) struct Listener {
    pub(crate) peer: PeerId,
    /// The codecs that it takes of that stream, in order of preference.
    pub(crate) codecs: Vec<Codec>,
    /// What the network to it carries, all media together; `None` until there is an estimate.
    pub(crate) target: Option<Bitrate>,
    /// How many streams of audio and of video it is sent now.
    pub(crate) streams: (u32, u32),
}

/// What becomes of a named stream towards a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum StreamState {
    /// Nobody has asked for it, or the answer is not there yet.
    Unknown,
    Ready,
    /// The peer does not take it.
    Refused,
}

/// A stream of media to one peer; the name is `None` for the main one of its kind.
type Key = (MediaKind, Option<StreamId>);

#[derive(Debug)]
struct Entry {
    media: PeerMedia,
    /// The named streams whose negotiation is done. One without codecs was refused.
    named: HashMap<(MediaKind, StreamId), Vec<Codec>>,
    target: Option<Bitrate>,
    /// Until when a source of the peer's own keeps broadcasts away.
    direct: HashMap<Key, Instant>,
    /// Whose media was sent last, and when.
    sent: HashMap<Key, (Audience, Instant)>,
}

impl Entry {
    fn codecs(&self, kind: MediaKind, stream: Option<&StreamId>) -> &[Codec] {
        match (stream, kind) {
            (Some(stream), kind) => self.named.get(&(kind, stream.clone())).map_or(&[], Vec::as_slice),
            (None, MediaKind::Audio) if self.media.audio => &[Codec::Opus],
            (None, MediaKind::Audio) => &[],
            (None, MediaKind::Video) => &self.media.video,
        }
    }

    /// How many streams of `kind` were sent lately.
    fn active(&self, kind: MediaKind, now: Instant) -> u32 {
        let is_active = |((k, _), (_, at)): &(&Key, &(Audience, Instant))| *k == kind && now < *at + ACTIVE;
        self.sent.iter().filter(is_active).count().try_into().unwrap_or(u32::MAX)
    }
}

/// The connected peers.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    peers: RwLock<HashMap<PeerId, Entry>>,
}

impl Roster {
    /// A peer's media was negotiated, for the first time or anew.
    pub(crate) fn insert(&self, peer: PeerId, audio: bool, video: Vec<Codec>) {
        let mut peers = self.peers.write();
        let media = PeerMedia { audio, video };
        match peers.entry(peer) {
            hash_map::Entry::Occupied(mut entry) => entry.get_mut().media = media,
            hash_map::Entry::Vacant(place) => {
                place.insert(Entry {
                    media,
                    named: HashMap::new(),
                    target: None,
                    direct: HashMap::new(),
                    sent: HashMap::new(),
                });
            }
        }
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

    /// A named stream was negotiated; without codecs it was refused.
    pub(crate) fn set_stream(&self, peer: &PeerId, kind: MediaKind, stream: StreamId, codecs: Vec<Codec>) {
        if let Some(entry) = self.peers.write().get_mut(peer) {
            entry.named.insert((kind, stream), codecs);
        }
    }

    /// Forgets what came of opening a named stream to one peer.
    pub(crate) fn forget_stream(&self, peer: &PeerId, kind: MediaKind, stream: &StreamId) {
        if let Some(entry) = self.peers.write().get_mut(peer) {
            entry.named.remove(&(kind, stream.clone()));
        }
    }

    /// Forgets a named stream of both kinds to every peer.
    pub(crate) fn remove_stream(&self, stream: &StreamId) {
        for entry in self.peers.write().values_mut() {
            entry.named.retain(|(_, id), _| id != stream);
            entry.direct.retain(|(_, id), _| id.as_ref() != Some(stream));
            entry.sent.retain(|(_, id), _| id.as_ref() != Some(stream));
        }
    }

    pub(crate) fn stream(&self, peer: &PeerId, kind: MediaKind, stream: &StreamId) -> StreamState {
        let peers = self.peers.read();
        match peers.get(peer).and_then(|entry| entry.named.get(&(kind, stream.clone()))) {
            None => StreamState::Unknown,
            Some(codecs) if codecs.is_empty() => StreamState::Refused,
            Some(_) => StreamState::Ready,
        }
    }

    /// How many named streams of audio and of video a peer takes, the most that any takes of each.
    pub(crate) fn named_streams(&self) -> (u32, u32) {
        let peers = self.peers.read();
        let most = |kind| {
            let is_taken = |((k, _), codecs): &(&(MediaKind, StreamId), &Vec<Codec>)| *k == kind && !codecs.is_empty();
            let count = |entry: &Entry| entry.named.iter().filter(is_taken).count();
            peers.values().map(count).max().unwrap_or(0).try_into().unwrap_or(u32::MAX)
        };
        (most(MediaKind::Audio), most(MediaKind::Video))
    }

    pub(crate) fn get(&self, peer: &PeerId) -> Option<PeerMedia> {
        self.peers.read().get(peer).map(|entry| entry.media.clone())
    }

    pub(crate) fn has(&self, peer: &PeerId) -> bool {
        self.peers.read().contains_key(peer)
    }

    pub(crate) fn ids(&self) -> Vec<PeerId> {
        self.peers.read().keys().cloned().collect()
    }

    /// Notes that the peer of `address` is sent media of its own.
    pub(crate) fn mark_direct(&self, address: &Address, kind: MediaKind, now: Instant) {
        let Audience::Peer(peer) = &address.audience else { return };
        if let Some(entry) = self.peers.write().get_mut(peer) {
            entry.direct.insert((kind, address.stream.clone()), now + DIRECT_HOLD);
        }
    }

    /// Notes that `peer` is sent media of the source that speaks to `address`.
    pub(crate) fn mark_sent(&self, peer: &PeerId, address: &Address, kind: MediaKind, now: Instant) {
        if let Some(entry) = self.peers.write().get_mut(peer) {
            entry.sent.insert((kind, address.stream.clone()), (address.audience.clone(), now));
        }
    }

    /// Whether the last picture that was sent to `peer` was one of the source that speaks to `address`. A decoder that
    /// was given another source's pictures in between has nothing to go on from.
    pub(crate) fn is_shown(&self, peer: &PeerId, address: &Address) -> bool {
        let peers = self.peers.read();
        let last = peers.get(peer).and_then(|entry| entry.sent.get(&(MediaKind::Video, address.stream.clone())));
        last.is_some_and(|(audience, _)| *audience == address.audience)
    }

    /// The peers that hear `audience`, or would if they had no source of their own.
    pub(crate) fn listeners(&self, audience: &Audience) -> Vec<PeerId> {
        let peers = self.peers.read();
        let hears = |(id, entry): (&PeerId, &Entry)| (is_meant(audience, id) && entry.media.audio).then(|| id.clone());
        peers.iter().filter_map(hears).collect()
    }

    /// The peers that are meant and take media of `kind`, but have not been asked yet to take the stream, or have not answered.
    pub(crate) fn without_stream(&self, audience: &Audience, kind: MediaKind, stream: &StreamId) -> Vec<PeerId> {
        let peers = self.peers.read();
        let lacks = |(id, entry): (&PeerId, &Entry)| {
            let asks = is_meant(audience, id) && !entry.codecs(kind, None).is_empty();
            (asks && !entry.named.contains_key(&(kind, stream.clone()))).then(|| id.clone())
        };
        peers.iter().filter_map(lacks).collect()
    }

    /// The peers that `address` reaches now with media of `kind`.
    pub(crate) fn audience(&self, address: &Address, kind: MediaKind, now: Instant) -> Vec<Listener> {
        let key = (kind, address.stream.clone());
        let peers = self.peers.read();
        let reached = |(id, entry): (&PeerId, &Entry)| {
            let codecs = entry.codecs(kind, address.stream.as_ref());
            let is_kept_away =
                address.audience == Audience::All && entry.direct.get(&key).is_some_and(|until| *until > now);
            if codecs.is_empty() || is_kept_away || !is_meant(&address.audience, id) {
                return None;
            }
            let streams = (entry.active(MediaKind::Audio, now).max(1), entry.active(MediaKind::Video, now).max(1));
            Some(Listener { peer: id.clone(), codecs: codecs.to_vec(), target: entry.target, streams })
        };
        match &address.audience {
            Audience::Peer(peer) => peers.get_key_value(peer).and_then(reached).into_iter().collect(),
            Audience::All => peers.iter().filter_map(reached).collect(),
        }
    }
}

fn is_meant(audience: &Audience, id: &PeerId) -> bool {
    match audience {
        Audience::All => true,
        Audience::Peer(peer) => peer == id,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> PeerId {
        PeerId::new(name).unwrap()
    }

    fn reached(roster: &Roster, address: &Address, kind: MediaKind, at: Instant) -> Vec<PeerId> {
        roster.audience(address, kind, at).into_iter().map(|listener| listener.peer).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_with_a_source_of_its_own_is_left_out_of_broadcasts_for_half_a_second() {
        let roster = Roster::default();
        let (bob, eve) = (id("bob"), id("eve"));
        roster.insert(bob.clone(), true, vec![Codec::Vp8]);
        roster.insert(eve.clone(), false, vec![]);
        let now = Instant::now();
        let all = Address::new(Audience::All, None);
        let own = |peer: &PeerId| Address::new(Audience::Peer(peer.clone()), None);
        assert_eq!(reached(&roster, &all, MediaKind::Video, now), std::slice::from_ref(&bob));
        roster.mark_direct(&own(&bob), MediaKind::Video, now);
        assert!(reached(&roster, &all, MediaKind::Video, now + Duration::from_millis(499)).is_empty());
        let later = now + Duration::from_millis(500);
        assert_eq!(reached(&roster, &all, MediaKind::Video, later), std::slice::from_ref(&bob));
        assert_eq!(reached(&roster, &all, MediaKind::Audio, now), std::slice::from_ref(&bob));
        assert_eq!(roster.audience(&own(&bob), MediaKind::Video, now).len(), 1);
        assert!(roster.audience(&own(&eve), MediaKind::Audio, now).is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_named_stream_reaches_those_who_took_it_and_counts_against_what_the_network_carries() {
        let roster = Roster::default();
        let (bob, eve) = (id("bob"), id("eve"));
        roster.insert(bob.clone(), true, vec![Codec::Vp8]);
        roster.insert(eve.clone(), true, vec![]);
        let (now, kind) = (Instant::now(), MediaKind::Video);
        let screen: StreamId = "screen".parse().unwrap();
        let (named, main) = (Address::new(Audience::All, Some(screen.clone())), Address::new(Audience::All, None));
        assert_eq!(roster.without_stream(&Audience::All, kind, &screen), std::slice::from_ref(&bob));
        assert!(reached(&roster, &named, kind, now).is_empty());
        roster.set_stream(&bob, kind, screen.clone(), vec![Codec::Vp8]);
        assert_eq!(roster.stream(&bob, kind, &screen), StreamState::Ready);
        assert!(roster.without_stream(&Audience::All, kind, &screen).is_empty());
        assert_eq!(reached(&roster, &named, kind, now), std::slice::from_ref(&bob));
        // A source of one stream keeps no broadcast of another away.
        roster.mark_direct(&Address::new(Audience::Peer(bob.clone()), None), kind, now);
        assert_eq!(reached(&roster, &named, kind, now), std::slice::from_ref(&bob));
        roster.mark_sent(&bob, &named, kind, now);
        roster.mark_sent(&bob, &main, kind, now);
        assert!(roster.is_shown(&bob, &named) && roster.is_shown(&bob, &main));
        assert_eq!(roster.audience(&named, kind, now)[0].streams, (1, 2));
        assert_eq!(roster.audience(&named, kind, now + ACTIVE)[0].streams, (1, 1));
        assert_eq!(roster.named_streams(), (0, 1));
        roster.set_stream(&bob, kind, screen.clone(), vec![]);
        assert_eq!(roster.named_streams(), (0, 0));
        assert_eq!(roster.stream(&bob, kind, &screen), StreamState::Refused);
        roster.remove_stream(&screen);
        assert_eq!(roster.stream(&bob, kind, &screen), StreamState::Unknown);
    }
}
