//! A network address translator for UDP, without I/O: addresses and times in, addresses out.
//!
//! Behaviours are named as in RFC 4787; the constructors carry the older names of RFC 3489.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use rand::{Rng, SeedableRng, rngs::SmallRng};

/// How many mappings a translator holds. Beyond, the one that was idle longest gives way.
pub const MAX_MAPPINGS: usize = 4_096;

/// How many remote endpoints a mapping lets in. Beyond, the one that was idle longest is forgotten.
pub const MAX_PERMISSIONS: usize = 256;

/// How a translator behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NatConfig {
    /// The address that the outside sees.
    pub public: IpAddr,
    /// When two flows of one inner socket share an outer port.
    pub mapping: Mapping,
    /// Whose packets a mapping lets in.
    pub filtering: Filtering,
    /// How long a mapping or a permission lasts without a packet from inside. Default: 120 s (RFC 4787, REQ-5).
    pub lifetime: Duration,
    /// Whether inner hosts reach each other by their outer addresses. Default: `false`, as on most home routers.
    pub hairpin: bool,
}

impl NatConfig {
    /// Endpoint-independent mapping and filtering: whoever knows the outer port gets in.
    pub const fn full_cone(public: IpAddr) -> Self {
        Self::new(public, Mapping::EndpointIndependent, Filtering::EndpointIndependent)
    }

    /// Endpoint-independent mapping, address-dependent filtering.
    pub const fn address_restricted_cone(public: IpAddr) -> Self {
        Self::new(public, Mapping::EndpointIndependent, Filtering::AddressDependent)
    }

    /// Endpoint-independent mapping, address- and port-dependent filtering: Linux masquerading, in practice.
    pub const fn port_restricted_cone(public: IpAddr) -> Self {
        Self::new(public, Mapping::EndpointIndependent, Filtering::AddressAndPortDependent)
    }

    /// Address- and port-dependent mapping and filtering: each remote endpoint sees another port.
    pub const fn symmetric(public: IpAddr) -> Self {
        Self::new(public, Mapping::AddressAndPortDependent, Filtering::AddressAndPortDependent)
    }

    const fn new(public: IpAddr, mapping: Mapping, filtering: Filtering) -> Self {
        Self { public, mapping, filtering, lifetime: Duration::from_secs(120), hairpin: false }
    }
}

/// When two flows of one inner socket share an outer port (RFC 4787, section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mapping {
    /// Always. The outer port is the inner one where it is free.
    EndpointIndependent,
    /// When they go to the same address.
    AddressDependent,
    /// When they go to the same address and port. Outer ports are random.
    AddressAndPortDependent,
}

/// Whose packets a mapping lets in (RFC 4787, section 5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filtering {
    /// Everyone's.
    EndpointIndependent,
    /// Those of addresses that the inner socket has sent to.
    AddressDependent,
    /// Those of addresses and ports that the inner socket has sent to.
    AddressAndPortDependent,
}

/// Why a packet did not get through a translator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NatRefusal {
    /// No inner socket has that outer port.
    #[error("no inner socket holds the outer port {0}: it has to send first, and again within the mapping's lifetime")]
    NoMapping(u16),
    /// The mapping does not let that sender in.
    #[error("the mapping lets {0} in only after the inner socket has sent to it")]
    Filtered(SocketAddr),
    /// An inner host sent to the outer address of its own translator.
    #[error("the translator does not hairpin: inner hosts do not reach each other by outer addresses")]
    Hairpin,
}

/// A translator.
///
/// ```
/// use std::{net::SocketAddr, time::Duration};
/// use remotemedia_netsim::nat::{Nat, NatConfig, NatRefusal};
///
/// let mut nat = Nat::new(NatConfig::port_restricted_cone("203.0.113.1".parse().unwrap()), 7);
/// let [inner, remote, stranger] =
///     ["10.0.0.2:5000", "198.51.100.1:6000", "198.51.100.2:6000"].map(|a| a.parse::<SocketAddr>().unwrap());
/// let outer = nat.outbound(Duration::ZERO, inner, remote).unwrap();
/// assert_eq!(outer.to_string(), "203.0.113.1:5000");
/// assert_eq!(nat.inbound(Duration::ZERO, remote, 5000), Ok(inner));
/// assert_eq!(nat.inbound(Duration::ZERO, stranger, 5000), Err(NatRefusal::Filtered(stranger)));
/// ```
#[derive(Debug)]
pub struct Nat {
    config: NatConfig,
    rng: SmallRng,
    by_flow: BTreeMap<Flow, u16>,
    by_port: BTreeMap<u16, Entry>,
}

/// What shares an outer port: the inner socket, and as much of the remote endpoint as the mapping depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flow {
    inner: SocketAddr,
    address: Option<IpAddr>,
    port: Option<u16>,
}

#[derive(Debug)]
struct Entry {
    flow: Flow,
    used: Duration,
    permissions: BTreeMap<SocketAddr, Duration>,
}

impl Nat {
    /// A translator without mappings. The seed decides the random ports.
    pub fn new(config: NatConfig, seed: u64) -> Self {
        Self { config, rng: SmallRng::seed_from_u64(seed), by_flow: BTreeMap::new(), by_port: BTreeMap::new() }
    }

    /// How it behaves.
    pub fn config(&self) -> &NatConfig {
        &self.config
    }

    /// A packet from inside: answers the sender that the outside sees, and opens or refreshes the way back.
    ///
    /// # Errors
    ///
    /// [`NatRefusal::Hairpin`] if it goes to this translator and those do not get through.
    pub fn outbound(&mut self, now: Duration, inner: SocketAddr, remote: SocketAddr) -> Result<SocketAddr, NatRefusal> {
        if remote.ip() == self.config.public && !self.config.hairpin {
            return Err(NatRefusal::Hairpin);
        }
        self.expire(now);
        let flow = Flow {
            inner,
            address: (self.config.mapping != Mapping::EndpointIndependent).then_some(remote.ip()),
            port: (self.config.mapping == Mapping::AddressAndPortDependent).then_some(remote.port()),
        };
        let port = match self.by_flow.get(&flow) {
            Some(port) => *port,
            None => self.open(now, flow),
        };
        if let Some(entry) = self.by_port.get_mut(&port) {
            entry.used = now;
            entry.permissions.insert(remote, now);
            if entry.permissions.len() > MAX_PERMISSIONS {
                let oldest = entry.permissions.iter().min_by_key(|(_, used)| **used).map(|(remote, _)| *remote);
                oldest.map(|remote| entry.permissions.remove(&remote));
            }
        }
        Ok(SocketAddr::new(self.config.public, port))
    }

    /// A packet from `remote` to one of the outer ports: answers the inner socket that gets it.
    ///
    /// # Errors
    ///
    /// [`NatRefusal::NoMapping`] and [`NatRefusal::Filtered`].
    pub fn inbound(&mut self, now: Duration, remote: SocketAddr, port: u16) -> Result<SocketAddr, NatRefusal> {
        self.expire(now);
        let entry = self.by_port.get(&port).ok_or(NatRefusal::NoMapping(port))?;
        let open = match self.config.filtering {
            Filtering::EndpointIndependent => true,
            Filtering::AddressDependent => entry.permissions.keys().any(|known| known.ip() == remote.ip()),
            Filtering::AddressAndPortDependent => entry.permissions.contains_key(&remote),
        };
        if open { Ok(entry.flow.inner) } else { Err(NatRefusal::Filtered(remote)) }
    }

    /// Forgets every mapping, as a restarted router does.
    pub fn restart(&mut self) {
        self.by_flow.clear();
        self.by_port.clear();
    }

    fn expire(&mut self, now: Duration) {
        let lifetime = self.config.lifetime;
        let fresh = |used: Duration| now.saturating_sub(used) < lifetime;
        let by_flow = &mut self.by_flow;
        self.by_port.retain(|_, entry| {
            entry.permissions.retain(|_, used| fresh(*used));
            let keep = fresh(entry.used);
            if !keep {
                by_flow.remove(&entry.flow);
            }
            keep
        });
    }

    fn open(&mut self, now: Duration, flow: Flow) -> u16 {
        if self.by_port.len() >= MAX_MAPPINGS {
            let idle = self.by_port.iter().min_by_key(|(_, entry)| entry.used).map(|(port, _)| *port);
            if let Some(entry) = idle.and_then(|port| self.by_port.remove(&port)) {
                self.by_flow.remove(&entry.flow);
            }
        }
        let random = self.config.mapping == Mapping::AddressAndPortDependent;
        let mut port = if random { self.random_port() } else { flow.inner.port() };
        // There are many more ports than mappings, so this ends.
        while self.by_port.contains_key(&port) {
            port = self.random_port();
        }
        self.by_flow.insert(flow, port);
        self.by_port.insert(port, Entry { flow, used: now, permissions: BTreeMap::new() });
        port
    }

    fn random_port(&mut self) -> u16 {
        self.rng.random_range(1_024..=u16::MAX)
    }
}
