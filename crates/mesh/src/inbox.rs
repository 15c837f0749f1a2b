use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Weak},
};

use parking_lot::Mutex as SyncMutex;
use remotemedia_media::PeerId;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{MAX_MESSAGE_SIZE, Message};

/// Messages of all peers until the application reads them. Nothing is ever dropped: when it is full, the tasks that
/// read the channels wait, and the peers' SCTP windows close.
#[derive(Debug)]
pub(crate) struct Inbox {
    queue: Queue,
    receiver: Mutex<mpsc::Receiver<Entry>>,
    claims: SyncMutex<Vec<Weak<Claim>>>,
}

type Entry = (PeerId, Message, OwnedSemaphorePermit);

/// Decides whose messages a claim takes.
type Wants = Box<dyn Fn(&PeerId) -> bool + Send + Sync>;

/// Takes the messages of some peers away from [`Mesh::recv_message`](crate::Mesh::recv_message), each peer's into a queue
/// of its own, so that a peer whose messages are not read holds up no other. It ends when it and all of its
/// [`PeerMessages`] are dropped; later messages go to `recv_message` again, and those that wait in it are lost.
pub struct MessageClaim {
    claim: Arc<Claim>,
}

/// The messages of one peer. Dropping it loses those that wait; later ones begin a new queue.
#[derive(Debug)]
pub struct PeerMessages {
    peer: PeerId,
    receiver: mpsc::Receiver<Entry>,
    claim: Arc<Claim>,
}

struct Claim {
    wants: Wants,
    queues: SyncMutex<HashMap<PeerId, Claimed>>,
}

struct Claimed {
    queue: Queue,
    /// Until somebody reads that peer's messages.
    unread: Option<mpsc::Receiver<Entry>>,
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let (queue, receiver) = Queue::new();
        Self { queue, receiver: Mutex::new(receiver), claims: SyncMutex::default() }
    }

    /// Waits for room. Gives up when `cancel` is.
    pub(crate) async fn deliver(&self, peer: PeerId, message: Message, cancel: &CancellationToken) -> bool {
        let put = async {
            let mut unclaimed = false;
            loop {
                let queues = self.claimed_queues(&peer);
                if queues.is_empty() && unclaimed {
                    return self.queue.put(peer, message).await;
                }
                // Asked twice: the peer may have gone from one claim to another between the first and the second of them.
                unclaimed = queues.is_empty();
                let mut taken = false;
                for queue in queues {
                    taken |= queue.put(peer.clone(), message.clone()).await.is_some();
                }
                if taken {
                    return Some(());
                }
                // Whoever claimed it gave it up while this waited.
            }
        };
        tokio::select! {
            biased;
            () = cancel.cancelled() => false,
            put = put => put.is_some(),
        }
    }

    /// The next message; `None` when there is none left and `cancel` is cancelled. Cancel-safe.
    pub(crate) async fn recv(&self, cancel: &CancellationToken) -> Option<(PeerId, Message)> {
        let mut receiver = self.receiver.lock().await;
        tokio::select! {
            biased;
            entry = receiver.recv() => entry.map(|(peer, message, _)| (peer, message)),
            () = cancel.cancelled() => None,
        }
    }

    pub(crate) fn claim(&self, wants: impl Fn(&PeerId) -> bool + Send + Sync + 'static) -> MessageClaim {
        let claim = Arc::new(Claim { wants: Box::new(wants), queues: SyncMutex::default() });
        let mut claims = self.claims.lock();
        claims.retain(|claim| claim.strong_count() > 0);
        claims.push(Arc::downgrade(&claim));
        MessageClaim { claim }
    }

    fn claimed_queues(&self, peer: &PeerId) -> Vec<Queue> {
        let claims: Vec<_> = self.claims.lock().iter().filter_map(Weak::upgrade).collect();
        claims.iter().filter(|claim| (claim.wants)(peer)).map(|claim| claim.queue_for(peer)).collect()
    }
}

impl MessageClaim {
    /// The messages of `peer` that this claim took and will take. Whoever asks again for the same peer gets what comes from
    /// then on.
    pub fn messages_of(&self, peer: &PeerId) -> PeerMessages {
        let mut queues = self.claim.queues.lock();
        let unread = queues.get_mut(peer).and_then(|claimed| claimed.unread.take());
        let receiver = unread.unwrap_or_else(|| {
            let (queue, receiver) = Queue::new();
            queues.insert(peer.clone(), Claimed { queue, unread: None });
            receiver
        });
        PeerMessages { peer: peer.clone(), receiver, claim: Arc::clone(&self.claim) }
    }

    /// Drops what waits of a peer that is gone.
    pub fn forget(&self, peer: &PeerId) {
        self.claim.queues.lock().remove(peer);
    }
}

impl fmt::Debug for MessageClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.claim.fmt(f)
    }
}

impl PeerMessages {
    /// The next message; `None` once somebody else reads this peer's messages. Cancel-safe.
    pub async fn recv(&mut self) -> Option<Message> {
        self.receiver.recv().await.map(|(_, message, _)| message)
    }

    /// The next message if one waits.
    pub fn try_recv(&mut self) -> Option<Message> {
        self.receiver.try_recv().ok().map(|(_, message, _)| message)
    }
}

impl Drop for PeerMessages {
    fn drop(&mut self) {
        self.receiver.close();
        // Unless somebody else reads them by now.
        let mut queues = self.claim.queues.lock();
        if queues.get(&self.peer).is_some_and(|claimed| claimed.queue.sender.is_closed()) {
            queues.remove(&self.peer);
        }
    }
}

impl Claim {
    fn queue_for(&self, peer: &PeerId) -> Queue {
        let mut queues = self.queues.lock();
        let claimed = queues.entry(peer.clone()).or_insert_with(|| {
            let (queue, receiver) = Queue::new();
            Claimed { queue, unread: Some(receiver) }
        });
        claimed.queue.clone()
    }
}

impl fmt::Debug for Claim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Claim").field("peers", &self.queues.lock().keys().collect::<Vec<_>>()).finish()
    }
}

/// A queue that is bounded in messages and bytes.
#[derive(Clone, Debug)]
struct Queue {
    sender: mpsc::Sender<Entry>,
    bytes: Arc<Semaphore>,
}

impl Queue {
    const MESSAGES: usize = 1_024;
    const BYTES: usize = 2 * MAX_MESSAGE_SIZE;

    fn new() -> (Self, mpsc::Receiver<Entry>) {
        let (sender, receiver) = mpsc::channel(Self::MESSAGES);
        (Self { sender, bytes: Arc::new(Semaphore::new(Self::BYTES)) }, receiver)
    }

    /// Waits for room; `None` if nobody will ever read it.
    async fn put(&self, peer: PeerId, message: Message) -> Option<()> {
        let size = u32::try_from(message.len().min(Self::BYTES)).unwrap_or(u32::MAX);
        let sent = async {
            let permit = Arc::clone(&self.bytes).acquire_many_owned(size).await.ok()?;
            self.sender.send((peer, message, permit)).await.ok()
        };
        tokio::select! {
            biased;
            sent = sent => sent,
            () = self.sender.closed() => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(name: &str) -> PeerId {
        name.parse().unwrap()
    }

    fn text(text: &str) -> Message {
        Message::Text(text.to_owned())
    }

    #[tokio::test]
    async fn a_claim_takes_the_messages_of_its_peers_and_leaves_the_rest() {
        let (inbox, cancel) = (Inbox::new(), CancellationToken::new());
        let claim = inbox.claim(|id| id.as_str() == "bob");
        // Before anybody asks for them.
        assert!(inbox.deliver(peer("bob"), text("early"), &cancel).await);
        assert!(inbox.deliver(peer("eve"), text("other"), &cancel).await);
        let mut bob = claim.messages_of(&peer("bob"));
        assert!(inbox.deliver(peer("bob"), text("late"), &cancel).await);
        assert_eq!(bob.recv().await, Some(text("early")));
        assert_eq!(bob.recv().await, Some(text("late")));
        assert_eq!(inbox.recv(&cancel).await, Some((peer("eve"), text("other"))));
        drop(claim);
        drop(bob);
        assert!(inbox.deliver(peer("bob"), text("free again"), &cancel).await);
        assert_eq!(inbox.recv(&cancel).await, Some((peer("bob"), text("free again"))));
    }

    #[tokio::test]
    async fn a_peer_whose_messages_are_not_read_holds_up_no_other() {
        let (inbox, cancel) = (Inbox::new(), CancellationToken::new());
        let claim = inbox.claim(|_| true);
        for _ in 0..Queue::MESSAGES {
            assert!(inbox.deliver(peer("bob"), text("unread"), &cancel).await);
        }
        let stuck = inbox.deliver(peer("bob"), text("one too many"), &cancel);
        tokio::pin!(stuck);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), stuck.as_mut()).await.is_err());
        let mut eve = claim.messages_of(&peer("eve"));
        assert!(inbox.deliver(peer("eve"), text("hello"), &cancel).await);
        assert_eq!(eve.recv().await, Some(text("hello")));
        // The waiting one goes to whoever reads, when the claim is given up.
        drop(claim);
        drop(eve);
        assert!(stuck.await);
        assert_eq!(inbox.recv(&cancel).await, Some((peer("bob"), text("one too many"))));
    }

    #[tokio::test]
    async fn a_message_that_waits_for_room_goes_to_who_claims_its_peer_next() {
        let (inbox, cancel) = (Inbox::new(), CancellationToken::new());
        let first = inbox.claim(|_| true);
        for _ in 0..Queue::MESSAGES {
            assert!(inbox.deliver(peer("bob"), text("unread"), &cancel).await);
        }
        let stuck = inbox.deliver(peer("bob"), text("one too many"), &cancel);
        tokio::pin!(stuck);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), stuck.as_mut()).await.is_err());
        let second = inbox.claim(|_| true);
        drop(first);
        assert!(stuck.await);
        assert_eq!(second.messages_of(&peer("bob")).recv().await, Some(text("one too many")));
    }

    #[tokio::test]
    async fn two_claims_on_one_peer_each_get_every_message() {
        let (inbox, cancel) = (Inbox::new(), CancellationToken::new());
        let claims = [inbox.claim(|_| true), inbox.claim(|_| true)];
        assert!(inbox.deliver(peer("bob"), text("to both"), &cancel).await);
        for claim in &claims {
            assert_eq!(claim.messages_of(&peer("bob")).recv().await, Some(text("to both")));
        }
    }
}
