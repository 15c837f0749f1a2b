//! A network in virtual time, on tokio's paused clock.
//!
//! While every task waits, the clock jumps to the next timer: a call of half an hour takes as long as its computation.
//! This holds as long as nothing waits for another thread, so: no `spawn_blocking`, no real sockets, no second runtime
//! inside [`run_virtual`]; and `tokio::select!` with `biased`, for the order of branches is otherwise not seeded.
//! Timers fire on whole milliseconds. A packet due in between is handed over at the next one, but its way through a
//! further link counts from when it was due.

mod host;
mod router;
mod run;
mod signaling;
mod socket;

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Weak},
    time::Duration,
};

use parking_lot::Mutex;
use remotemedia_mesh::{DatagramSocket, Network};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use self::router::Router;
pub use self::{
    host::{Gateway, Host},
    router::NetworkStats,
    run::{SEED_VARIABLE, run_virtual, seeds},
    signaling::{VirtualSignaler, VirtualSignaling},
    socket::{INBOX_BYTES, VirtualSocket},
};
use crate::{link::LinkConfig, nat::NatConfig};

/// Hosts joined by links, in virtual time. A cheap handle; the network lives as long as one of them.
///
/// Every host has a link *up* to, and a link *down* from, a core that delays and loses nothing. Addresses are handed out in
/// order from 127.77.0.1 on: real sockets can be bound to them, which [`Network::wrap`] then takes over.
#[derive(Clone, Debug)]
pub struct VirtualNetwork {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    epoch: Instant,
    router: Mutex<Router>,
    /// Told when something is due before the driver would wake.
    sooner: Notify,
}

impl Shared {
    fn now(&self) -> Duration {
        Instant::now().saturating_duration_since(self.epoch)
    }
}

impl VirtualNetwork {
    /// An empty network. Every link and translator draws its own random stream from `seed`.
    ///
    /// # Panics
    ///
    /// Outside a tokio runtime. [`run_virtual`] provides one, and a network in it.
    pub fn new(seed: u64) -> Self {
        let shared =
            Arc::new(Shared { epoch: Instant::now(), router: Mutex::new(Router::new(seed)), sooner: Notify::new() });
        tokio::spawn(drive(Arc::downgrade(&shared)));
        Self { shared }
    }

    /// Adds a host that everyone can reach.
    pub fn add_host(&self, up: LinkConfig, down: LinkConfig) -> Host {
        let address = self.shared.router.lock().add_host(up, down, None);
        Host::new(self.clone(), address)
    }

    /// Adds an address translator. Hosts behind it share its public address.
    ///
    /// The configuration is built from the address that the network hands out, from 127.78.0.1 on:
    /// `net.add_gateway(NatConfig::symmetric)`.
    pub fn add_gateway(&self, config: impl FnOnce(IpAddr) -> NatConfig) -> Gateway {
        let public = self.shared.router.lock().add_nat(config);
        Gateway::new(self.clone(), public)
    }

    /// The time since the network began.
    pub fn elapsed(&self) -> Duration {
        self.shared.now()
    }

    /// What the network did so far, links apart.
    pub fn stats(&self) -> NetworkStats {
        self.shared.router.lock().stats()
    }

    fn with_router<R>(&self, act: impl FnOnce(&mut Router, Duration) -> R) -> R {
        let now = self.shared.now();
        let (result, wakers) = {
            let mut router = self.shared.router.lock();
            let result = act(&mut router, now);
            if router.is_due_sooner() {
                self.shared.sooner.notify_one();
            }
            (result, router.take_wakers())
        };
        // Outside the lock: a waker may run code of its owner's.
        wakers.into_iter().for_each(std::task::Waker::wake);
        result
    }
}

impl Network for VirtualNetwork {
    /// Takes the place of `socket` at the host whose address it is bound to, and at its port. The real one stays bound and
    /// silent.
    fn wrap(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn DatagramSocket>> {
        Ok(Arc::new(VirtualSocket::in_place_of(socket, self.clone())?))
    }
}

/// Moves what is due, then sleeps until more is. Ends with the last handle.
async fn drive(network: Weak<Shared>) {
    loop {
        let Some(shared) = network.upgrade() else { return };
        let now = shared.now();
        let (next, wakers) = {
            let mut router = shared.router.lock();
            router.run(now);
            (router.arm(), router.take_wakers())
        };
        wakers.into_iter().for_each(std::task::Waker::wake);
        // A handle that goes away while this sleeps leaves it asleep for good in an idle network: the runtime of the test
        // ends it.
        match next.map(|at| shared.epoch + at) {
            Some(at) => tokio::select! {
                biased;
                () = shared.sooner.notified() => {}
                () = sleep_until(at) => {}
            },
            None => shared.sooner.notified().await,
        }
    }
}
