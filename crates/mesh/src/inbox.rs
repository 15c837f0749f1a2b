use std::sync::Arc;

use remotemedia_media::PeerId;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use crate::{MAX_MESSAGE_SIZE, Message};

/// Messages of all peers until the application reads them. Nothing is ever dropped: when it is full, the tasks that
/// read the channels wait, and the peers' SCTP windows close.
#[derive(Debug)]
pub(crate) struct Inbox {
    sender: mpsc::Sender<Entry>,
    receiver: Mutex<mpsc::Receiver<Entry>>,
    bytes: Arc<Semaphore>,
}

type Entry = (PeerId, Message, OwnedSemaphorePermit);

impl Inbox {
    const MESSAGES: usize = 1_024;
    const BYTES: usize = 2 * MAX_MESSAGE_SIZE;

    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(Self::MESSAGES);
        Self { sender, receiver: Mutex::new(receiver), bytes: Arc::new(Semaphore::new(Self::BYTES)) }
    }

    /// Waits for room. Gives up when `cancel` is.
    pub(crate) async fn deliver(&self, peer: PeerId, message: Message, cancel: &CancellationToken) -> bool {
        let size = u32::try_from(message.len().min(Self::BYTES)).unwrap_or(u32::MAX);
        let put = async {
            let permit = self.bytes.clone().acquire_many_owned(size).await.ok()?;
            self.sender.send((peer, message, permit)).await.ok()
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
}
