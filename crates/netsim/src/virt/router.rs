use std::{
    collections::BTreeMap,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::Arc,
    task::Waker,
    time::Duration,
};

use bytes::Bytes;

use super::socket::Inbox;
use crate::{
    link::{Link, LinkConfig},
    nat::{Nat, NatConfig},
};

/// What a network did so far, links apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NetworkStats {
    /// Datagrams handed to sockets.
    pub delivered: u64,
    /// Datagrams to an address that is nobody's, or that cannot be reached from where they were sent.
    pub unroutable: u64,
    /// Datagrams to a port without a socket.
    pub no_socket: u64,
    /// Datagrams dropped because the socket's inbox was full.
    pub inbox_full: u64,
    /// Datagrams that an address translator refused.
    pub refused_by_nat: u64,
    /// A digest of when, from which address and to which socket every datagram was delivered: equal in two runs that went
    /// alike. Contents and the ports that the system chose are left out, for they are not seeded.
    pub digest: u64,
}

/// A datagram under way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    pub(super) from: SocketAddr,
    pub(super) to: SocketAddr,
    pub(super) payload: Bytes,
}

/// Hosts, links, translators and sockets. Knows no clock: times are arguments.
#[derive(Debug)]
pub(super) struct Router {
    seed: u64,
    streams: u64,
    hosts: Vec<HostState>,
    by_address: BTreeMap<IpAddr, usize>,
    nats: BTreeMap<IpAddr, Nat>,
    sockets: BTreeMap<SocketAddr, Socket>,
    opened: u64,
    stats: NetworkStats,
    wakers: Vec<Waker>,
    /// What the driver sleeps until; `None`: it sleeps until told.
    armed: Option<Duration>,
}

#[derive(Debug)]
struct Socket {
    /// Counts the network's sockets.
    number: u64,
    inbox: Arc<Inbox>,
}

#[derive(Debug)]
struct HostState {
    behind: Option<IpAddr>,
    up: Link<Datagram>,
    down: Link<Datagram>,
}

/// Which of a host's links.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Up,
    Down,
}

impl Router {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            streams: 0,
            hosts: Vec::new(),
            by_address: BTreeMap::new(),
            nats: BTreeMap::new(),
            sockets: BTreeMap::new(),
            opened: 0,
            stats: NetworkStats::default(),
            wakers: Vec::new(),
            armed: None,
        }
    }

    pub(super) fn add_host(&mut self, up: LinkConfig, down: LinkConfig, behind: Option<IpAddr>) -> IpAddr {
        let address = numbered(77, self.hosts.len());
        let up = Link::new(up, self.stream());
        let down = Link::new(down, self.stream());
        self.by_address.insert(address, self.hosts.len());
        self.hosts.push(HostState { behind, up, down });
        address
    }

    pub(super) fn add_nat(&mut self, config: impl FnOnce(IpAddr) -> NatConfig) -> IpAddr {
        let public = numbered(78, self.nats.len());
        let nat = Nat::new(NatConfig { public, ..config(public) }, self.stream());
        self.nats.insert(public, nat);
        public
    }

    pub(super) fn nat(&mut self, public: IpAddr) -> Option<&mut Nat> {
        self.nats.get_mut(&public)
    }

    pub(super) fn link(&mut self, host: IpAddr, direction: Direction) -> Option<&mut Link<Datagram>> {
        let host = self.hosts.get_mut(*self.by_address.get(&host)?)?;
        Some(match direction {
            Direction::Up => &mut host.up,
            Direction::Down => &mut host.down,
        })
    }

    /// Registers a socket of a host.
    pub(super) fn open(&mut self, address: SocketAddr, inbox: Arc<Inbox>) -> io::Result<()> {
        let ip = address.ip();
        if !self.by_address.contains_key(&ip) {
            let advice = format!("{ip} is no host of the virtual network: bind to the address of one that was added");
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, advice));
        }
        if self.sockets.contains_key(&address) {
            let advice = format!("{address} has a socket already: choose another port");
            return Err(io::Error::new(io::ErrorKind::AddrInUse, advice));
        }
        self.opened += 1;
        self.sockets.insert(address, Socket { number: self.opened, inbox });
        Ok(())
    }

    pub(super) fn open_sockets(&self, ip: IpAddr) -> usize {
        self.sockets.keys().filter(|address| address.ip() == ip).count()
    }

    pub(super) fn close(&mut self, address: SocketAddr) {
        self.sockets.remove(&address);
    }

    /// Sends a datagram from one of the sockets.
    pub(super) fn send(&mut self, now: Duration, datagram: Datagram) {
        let Some(index) = self.by_address.get(&datagram.from.ip()).copied() else { return };
        if datagram.to.ip() == datagram.from.ip() {
            self.deliver(now, datagram);
            return;
        }
        let host = &mut self.hosts[index];
        host.up.send(now, datagram.payload.len(), datagram);
    }

    /// Moves everything that is due at `now`, in the order in which it was due.
    pub(super) fn run(&mut self, now: Duration) {
        while let Some((at, index, direction)) = self.next_due().filter(|(at, ..)| *at <= now) {
            let host = &mut self.hosts[index];
            match direction {
                Direction::Up => {
                    if let Some(out) = host.up.receive(at) {
                        let behind = host.behind;
                        self.forward(out.at, behind, out.packet);
                    }
                }
                Direction::Down => {
                    if let Some(out) = host.down.receive(at) {
                        self.deliver(out.at, out.packet);
                    }
                }
            }
        }
    }

    /// When something is due next; what is due sooner from now on shows in [`Router::is_due_sooner`].
    pub(super) fn arm(&mut self) -> Option<Duration> {
        self.armed = self.next_due().map(|(at, ..)| at);
        self.armed
    }

    pub(super) fn is_due_sooner(&self) -> bool {
        match (self.next_due(), self.armed) {
            (Some((at, ..)), Some(armed)) => at < armed,
            (Some(_), None) => true,
            (None, _) => false,
        }
    }

    pub(super) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    pub(super) fn stats(&self) -> NetworkStats {
        self.stats
    }

    /// The link on which something happens next. Links for which it is the same time go in the order of their hosts.
    fn next_due(&self) -> Option<(Duration, usize, Direction)> {
        let links = self.hosts.iter().enumerate().flat_map(|(index, host)| {
            let up = host.up.next_timeout().map(|at| (at, index, Direction::Up));
            let down = host.down.next_timeout().map(|at| (at, index, Direction::Down));
            [up, down].into_iter().flatten()
        });
        links.min_by_key(|(at, ..)| *at)
    }

    /// From the core of the network, through translators, to the receiver's link.
    fn forward(&mut self, at: Duration, behind: Option<IpAddr>, mut datagram: Datagram) {
        let neighbour = |hosts: &[HostState], index: usize| {
            behind.is_some() && hosts.get(index).is_some_and(|h| h.behind == behind)
        };
        let mut receiver = self.by_address.get(&datagram.to.ip()).copied();
        let local = receiver.is_some_and(|index| neighbour(&self.hosts, index));
        if !local {
            if let Some(nat) = behind.and_then(|public| self.nats.get_mut(&public)) {
                match nat.outbound(at, datagram.from, datagram.to) {
                    Ok(outer) => datagram.from = outer,
                    Err(_) => return self.stats.refused_by_nat += 1,
                }
            }
            if let Some(nat) = self.nats.get_mut(&datagram.to.ip()) {
                match nat.inbound(at, datagram.from, datagram.to.port()) {
                    Ok(inner) => datagram.to = inner,
                    Err(_) => return self.stats.refused_by_nat += 1,
                }
                receiver = self.by_address.get(&datagram.to.ip()).copied();
            } else {
                receiver = receiver.filter(|index| self.hosts[*index].behind.is_none());
            }
        }
        match receiver.and_then(|index| self.hosts.get_mut(index)) {
            Some(host) => host.down.send(at, datagram.payload.len(), datagram),
            None => self.stats.unroutable += 1,
        }
    }

    fn deliver(&mut self, at: Duration, datagram: Datagram) {
        let Some(socket) = self.sockets.get(&datagram.to) else { return self.stats.no_socket += 1 };
        let digest = [at.as_nanos() as u64, mark(datagram.from.ip()), socket.number];
        match socket.inbox.push(datagram) {
            Ok(waker) => {
                self.wakers.extend(waker);
                self.stats.delivered += 1;
                self.stats.digest = digest.into_iter().fold(self.stats.digest, mix);
            }
            Err(_) => self.stats.inbox_full += 1,
        }
    }

    /// A seed of its own for each link and translator.
    fn stream(&mut self) -> u64 {
        self.streams += 1;
        mix(self.seed, self.streams)
    }
}

/// The `index`th address of 127.`net`.0.0/16, never the network's own nor one that ends in 0 or 255.
fn numbered(net: u8, index: usize) -> IpAddr {
    let [high, low] = [(index / 254) as u8, (index % 254) as u8 + 1];
    IpAddr::V4(Ipv4Addr::new(127, net, high, low))
}

fn mark(ip: IpAddr) -> u64 {
    match ip {
        IpAddr::V4(ip) => u64::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits() as u64,
    }
}

/// SplitMix64's finaliser (Steele, Lea, Flood 2014) over a running value: neighbouring seeds give unrelated streams.
fn mix(state: u64, value: u64) -> u64 {
    let mut z = state.wrapping_add(value.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
