//! The signaling server's real state machine in virtual time, and clients of it for the mesh.

mod exchange;

use std::{
    fmt,
    future::poll_fn,
    sync::{Arc, Weak},
    time::Duration,
};

use async_trait::async_trait;
use parking_lot::Mutex;
use remotemedia_media::PeerId;
use remotemedia_mesh::{Signaler, SignalingError, SignalingEvent, SignalingMessage};
use remotemedia_signaling::{protocol::RpcError, state::StateConfig};
use tokio::{
    sync::{Notify, oneshot},
    time::{Instant, sleep_until},
};

use self::exchange::Exchange;

/// A signaling server without sockets: texts of the real protocol go to and from the real state machine, each after a
/// delay, in order. A cheap handle; server and clients live as long as one of them.
#[derive(Clone)]
pub struct VirtualSignaling {
    shared: Arc<Shared>,
}

struct Shared {
    epoch: Instant,
    exchange: Mutex<Exchange>,
    changed: Notify,
}

impl VirtualSignaling {
    /// A server in force, with `delay` on the way to it and on the way back.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime.
    pub fn new(seed: u64, config: StateConfig, delay: Duration) -> Self {
        let epoch = Instant::now();
        let exchange = Mutex::new(Exchange::new(epoch.into_std(), seed, config, delay));
        let shared = Arc::new(Shared { epoch, exchange, changed: Notify::new() });
        tokio::spawn(drive(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Registers a peer, two round trips from now: one connects, one announces.
    ///
    /// # Errors
    ///
    /// What the server answers to `peer.announce`.
    pub async fn join(&self, peer: PeerId) -> Result<Arc<VirtualSignaler>, RpcError> {
        let (first, outcome) = oneshot::channel();
        let client = self.act(|exchange, now| exchange.join(now, peer, first));
        let signaler = Arc::new(VirtualSignaler { signaling: self.clone(), client });
        outcome.await.expect("the exchange to answer as long as there is a handle to it")?;
        Ok(signaler)
    }

    /// The server dies without a word. Its clients find their sockets closed and try to come back.
    pub fn kill(&self) {
        self.act(|exchange, now| exchange.kill(now));
    }

    /// A new server, which knows nothing of the old one. Nothing happens while there is one.
    pub fn restart(&self) {
        self.act(|exchange, now| exchange.start(now));
    }

    /// Changes the delay each way for what is sent from now on. A shorter one can let a text overtake those under way.
    pub fn set_delay(&self, delay: Duration) {
        self.act(|exchange, _| exchange.set_delay(delay));
    }

    fn act<R>(&self, act: impl FnOnce(&mut Exchange, Duration) -> R) -> R {
        let now = Instant::now().saturating_duration_since(self.shared.epoch);
        let (result, wakers) = {
            let mut exchange = self.shared.exchange.lock();
            let result = act(&mut exchange, now);
            (result, exchange.take_wakers())
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
        self.shared.changed.notify_one();
        result
    }
}

impl fmt::Debug for VirtualSignaling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VirtualSignaling").field("up", &self.shared.exchange.lock().is_up()).finish_non_exhaustive()
    }
}

/// Lands what is due, then sleeps until more is.
async fn drive(exchange: Weak<Shared>) {
    loop {
        let Some(shared) = exchange.upgrade() else { return };
        let now = Instant::now().saturating_duration_since(shared.epoch);
        let (next, wakers) = {
            let mut exchange = shared.exchange.lock();
            exchange.run(now);
            (exchange.next_timeout(), exchange.take_wakers())
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
        match next.map(|at| shared.epoch + at) {
            Some(at) => tokio::select! {
                biased;
                () = shared.changed.notified() => {}
                () = sleep_until(at) => {}
            },
            None => shared.changed.notified().await,
        }
    }
}

/// A client of a [`VirtualSignaling`], for one mesh. It comes back by itself when its socket breaks, and takes its
/// registration over with its session key. Dropping it closes the socket without `peer.leave`, as the end of a process
/// does.
#[derive(Debug)]
pub struct VirtualSignaler {
    signaling: VirtualSignaling,
    client: usize,
}

impl VirtualSignaler {
    /// The process is gone: the socket closes without `peer.leave`, and no event comes any more.
    pub fn kill(&self) {
        self.signaling.act(|exchange, now| exchange.quit(now, self.client));
    }

    /// The socket breaks at both ends. The client comes back.
    pub fn break_socket(&self) {
        self.signaling.act(|exchange, now| exchange.break_socket(now, self.client));
    }
}

#[async_trait]
impl Signaler for VirtualSignaler {
    async fn send(&self, to: &PeerId, message: SignalingMessage) -> Result<(), SignalingError> {
        let outcome = self.signaling.act(|exchange, now| exchange.send(now, self.client, to, message));
        match outcome {
            Some(outcome) => outcome.await.unwrap_or(Err(SignalingError::NotConnected)),
            None => Err(SignalingError::NotConnected),
        }
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        poll_fn(|cx| self.signaling.shared.exchange.lock().poll_event(self.client, cx.waker())).await
    }
}

impl Drop for VirtualSignaler {
    fn drop(&mut self) {
        self.kill();
    }
}
