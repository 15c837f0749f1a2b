use std::{io, net::IpAddr, time::Duration};

use super::{VirtualNetwork, VirtualSocket, router::Direction};
use crate::link::{LinkConfig, LinkStats};

/// A host of a [`VirtualNetwork`], with a link up and a link down. A cheap handle: dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Host {
    network: VirtualNetwork,
    address: IpAddr,
}

impl Host {
    pub(super) fn new(network: VirtualNetwork, address: IpAddr) -> Self {
        Self { network, address }
    }

    /// Its address, to which real sockets can be bound: what [`Network::wrap`](remotemedia_mesh::Network::wrap) goes by.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// Opens a socket at `port`.
    ///
    /// # Errors
    ///
    /// `AddrInUse` if there is one.
    pub fn socket(&self, port: u16) -> io::Result<VirtualSocket> {
        VirtualSocket::open(self.network.clone(), (self.address, port).into())
    }

    /// How many sockets it has.
    pub fn open_sockets(&self) -> usize {
        self.network.with_router(|router, _| router.open_sockets(self.address))
    }

    /// Changes its link towards the others, from now on.
    pub fn set_up(&self, config: LinkConfig) {
        self.set(Direction::Up, config);
    }

    /// Changes its link from the others, from now on.
    pub fn set_down(&self, config: LinkConfig) {
        self.set(Direction::Down, config);
    }

    /// Changes its link towards the others `after` that time.
    pub fn schedule_up(&self, after: Duration, config: LinkConfig) {
        self.schedule(Direction::Up, after, config);
    }

    /// Changes its link from the others `after` that time.
    pub fn schedule_down(&self, after: Duration, config: LinkConfig) {
        self.schedule(Direction::Down, after, config);
    }

    /// Cuts both links `after` that time, for `duration`.
    pub fn schedule_outage(&self, after: Duration, duration: Duration) {
        self.network.with_router(|router, now| {
            for direction in [Direction::Up, Direction::Down] {
                if let Some(link) = router.link(self.address, direction) {
                    link.schedule_outage(now + after, now + after + duration);
                }
            }
        });
    }

    /// Cuts both links for good, as if the host had lost its power.
    pub fn cut(&self) {
        self.network.with_router(|router, now| {
            for direction in [Direction::Up, Direction::Down] {
                if let Some(link) = router.link(self.address, direction) {
                    let config = LinkConfig { outage: true, ..link.config().clone() };
                    link.set_config(now, config);
                }
            }
        });
    }

    /// What its link towards the others did so far.
    pub fn up_stats(&self) -> LinkStats {
        self.stats(Direction::Up)
    }

    /// What its link from the others did so far.
    pub fn down_stats(&self) -> LinkStats {
        self.stats(Direction::Down)
    }

    fn set(&self, direction: Direction, config: LinkConfig) {
        self.network.with_router(|router, now| {
            if let Some(link) = router.link(self.address, direction) {
                link.set_config(now, config);
            }
        });
    }

    fn schedule(&self, direction: Direction, after: Duration, config: LinkConfig) {
        self.network.with_router(|router, now| {
            if let Some(link) = router.link(self.address, direction) {
                link.schedule(now + after, config);
            }
        });
    }

    fn stats(&self, direction: Direction) -> LinkStats {
        self.network
            .with_router(|router, _| router.link(self.address, direction).map(|link| link.stats()))
            .unwrap_or_default()
    }
}

/// An address translator of a [`VirtualNetwork`]. A cheap handle: dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Gateway {
    network: VirtualNetwork,
    public: IpAddr,
}

impl Gateway {
    pub(super) fn new(network: VirtualNetwork, public: IpAddr) -> Self {
        Self { network, public }
    }

    /// The address that the outside sees.
    pub fn public(&self) -> IpAddr {
        self.public
    }

    /// Adds a host behind it. Hosts behind the same one reach each other directly.
    pub fn add_host(&self, up: LinkConfig, down: LinkConfig) -> Host {
        let address = self.network.shared.router.lock().add_host(up, down, Some(self.public));
        Host::new(self.network.clone(), address)
    }

    /// Makes it forget every mapping, as a restart of the router does.
    pub fn restart(&self) {
        self.network.with_router(|router, _| {
            if let Some(nat) = router.nat(self.public) {
                nat.restart();
            }
        });
    }
}
