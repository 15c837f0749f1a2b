//! Whose media goes into a session.

use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    sync::Arc,
};

use futures_util::{StreamExt, stream::FuturesUnordered};
use remotemedia_media::PeerId;
use remotemedia_runtime_core::data::{ControlMessage, RuntimeData};
use tokio::sync::mpsc;

use super::lanes::Lanes;
use crate::engine::Inbox;

/// One peer, or those that share a session.
pub(super) enum Source {
    One { peer: PeerId, lanes: Lanes },
    Crowd(Crowd),
}

/// The peers of a shared session.
pub(super) struct Crowd {
    members: BTreeMap<PeerId, Member>,
    joining: mpsc::UnboundedReceiver<Member>,
    /// Tells the supervisor who left.
    left: mpsc::UnboundedSender<(PeerId, Arc<Inbox>)>,
    /// What the session was not told yet of who came and went.
    news: VecDeque<(PeerId, RuntimeData)>,
}

/// A peer that joins a shared session.
pub(super) struct Member {
    pub(super) peer: PeerId,
    /// Tells a peer that came back from the one before.
    pub(super) inbox: Arc<Inbox>,
    pub(super) lanes: Lanes,
}

impl Source {
    /// A session begins, which knows nobody.
    pub(super) fn introduce(&mut self) {
        if let Self::Crowd(crowd) = self {
            crowd.news = crowd.members.keys().map(|peer| news("peer_joined", peer)).collect();
        }
    }

    /// Hands everything to `sink` until nothing more can come: one peer has left, or the pipeline of a crowd is detached.
    /// May be dropped and called again.
    pub(super) async fn feed<F: Future<Output = ()>>(&mut self, sink: impl Fn(PeerId, RuntimeData) -> F) {
        match self {
            Self::One { peer, lanes } => lanes.feed(|data| sink(peer.clone(), data)).await,
            Self::Crowd(crowd) => crowd.feed(sink).await,
        }
    }
}

/// What changes a crowd.
enum Change {
    Joined(Option<Box<Member>>),
    Left(PeerId),
}

impl Crowd {
    pub(super) fn new(
        joining: mpsc::UnboundedReceiver<Member>,
        left: mpsc::UnboundedSender<(PeerId, Arc<Inbox>)>,
    ) -> Self {
        Self { members: BTreeMap::new(), joining, left, news: VecDeque::new() }
    }

    async fn feed<F: Future<Output = ()>>(&mut self, sink: impl Fn(PeerId, RuntimeData) -> F) {
        loop {
            while let Some((peer, data)) = self.news.front().cloned() {
                sink(peer, data).await;
                self.news.pop_front();
            }
            let sink = &sink;
            let mut feeds: FuturesUnordered<_> = self
                .members
                .values_mut()
                .map(|member| async move {
                    member.lanes.feed(|data| sink(member.peer.clone(), data)).await;
                    member.peer.clone()
                })
                .collect();
            let change = tokio::select! {
                joined = self.joining.recv() => Change::Joined(joined.map(Box::new)),
                Some(peer) = feeds.next() => Change::Left(peer),
            };
            drop(feeds);
            match change {
                Change::Joined(None) => return,
                Change::Joined(Some(member)) => {
                    let peer = member.peer.clone();
                    if self.members.insert(peer.clone(), *member).is_some() {
                        self.news.push_back(news("peer_left", &peer));
                    }
                    self.news.push_back(news("peer_joined", &peer));
                }
                Change::Left(peer) => {
                    if let Some(member) = self.members.remove(&peer) {
                        // Without a supervisor the pipeline is being detached.
                        self.left.send((peer.clone(), member.inbox)).ok();
                    }
                    self.news.push_back(news("peer_left", &peer));
                }
            }
        }
    }
}

fn news(what: &str, peer: &PeerId) -> (PeerId, RuntimeData) {
    let message = ControlMessage::new(what).with_payload(serde_json::json!({ "peer": peer.as_str() }));
    (peer.clone(), message.into())
}
