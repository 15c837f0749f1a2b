//! Translators map and filter as RFC 4787 names it.
#![allow(clippy::unwrap_used)]

use std::{net::SocketAddr, time::Duration};

use remotemedia_netsim::nat::{MAX_MAPPINGS, Nat, NatConfig, NatRefusal};

const T0: Duration = Duration::ZERO;

fn addr(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn nat(config: impl FnOnce(std::net::IpAddr) -> NatConfig) -> Nat {
    Nat::new(config("203.0.113.1".parse().unwrap()), 7)
}

/// Sends from inside to `known`, then reports whether it, another port of its host, and another host get in.
fn open_to(nat: &mut Nat) -> [bool; 3] {
    let known = addr("198.51.100.1:6000");
    let outer = nat.outbound(T0, addr("10.0.0.2:5000"), known).unwrap();
    [known, addr("198.51.100.1:6001"), addr("198.51.100.2:6000")]
        .map(|from| nat.inbound(T0, from, outer.port()).is_ok())
}

#[test]
fn each_kind_lets_in_whom_its_filtering_names() {
    assert_eq!(open_to(&mut nat(NatConfig::full_cone)), [true, true, true]);
    assert_eq!(open_to(&mut nat(NatConfig::address_restricted_cone)), [true, true, false]);
    assert_eq!(open_to(&mut nat(NatConfig::port_restricted_cone)), [true, false, false]);
    assert_eq!(open_to(&mut nat(NatConfig::symmetric)), [true, false, false]);
}

#[test]
fn cones_keep_one_outer_port_and_symmetric_ones_do_not() {
    let remotes = ["198.51.100.1:1", "198.51.100.1:2", "198.51.100.2:1"].map(addr);
    let ports = |mut nat: Nat| remotes.map(|to| nat.outbound(T0, addr("10.0.0.2:5000"), to).unwrap().port());
    assert_eq!(ports(nat(NatConfig::port_restricted_cone)), [5000; 3]);
    let [a, b, c] = ports(nat(NatConfig::symmetric));
    assert!(a != b && b != c && a != c);
}

#[test]
fn two_inner_hosts_with_the_same_port_get_different_outer_ones() {
    let mut nat = nat(NatConfig::full_cone);
    let remote = addr("198.51.100.1:1");
    let [a, b] = ["10.0.0.2:5000", "10.0.0.3:5000"].map(|inner| nat.outbound(T0, addr(inner), remote).unwrap());
    assert_ne!(a, b);
    assert_eq!(nat.inbound(T0, remote, a.port()), Ok(addr("10.0.0.2:5000")));
    assert_eq!(nat.inbound(T0, remote, b.port()), Ok(addr("10.0.0.3:5000")));
}

#[test]
fn a_mapping_lasts_as_long_as_the_inside_refreshes_it() {
    let mut nat = nat(NatConfig::port_restricted_cone);
    let (inner, remote) = (addr("10.0.0.2:5000"), addr("198.51.100.1:6000"));
    nat.outbound(T0, inner, remote).unwrap();
    nat.outbound(Duration::from_secs(100), inner, remote).unwrap();
    assert_eq!(nat.inbound(Duration::from_secs(219), remote, 5000), Ok(inner));
    // What comes in does not refresh (RFC 4787, REQ-6).
    assert_eq!(nat.inbound(Duration::from_secs(220), remote, 5000), Err(NatRefusal::NoMapping(5000)));
}

#[test]
fn hairpinning_is_off_unless_asked_for() {
    let inner = addr("10.0.0.2:5000");
    let own = addr("203.0.113.1:5001");
    assert_eq!(nat(NatConfig::full_cone).outbound(T0, inner, own), Err(NatRefusal::Hairpin));
    let mut nat = nat(|public| NatConfig { hairpin: true, ..NatConfig::full_cone(public) });
    assert!(nat.outbound(T0, inner, own).is_ok());
}

#[test]
fn the_mapping_table_is_bounded_and_the_idlest_gives_way() {
    let mut nat = nat(NatConfig::symmetric);
    let inner = addr("10.0.0.2:5000");
    let remote = |n: usize| SocketAddr::new("198.51.100.1".parse().unwrap(), n as u16 + 1);
    let first = nat.outbound(T0, inner, remote(0)).unwrap().port();
    for n in 1..=MAX_MAPPINGS {
        nat.outbound(Duration::from_millis(n as u64), inner, remote(n)).unwrap();
    }
    let now = Duration::from_secs(10);
    assert_eq!(nat.inbound(now, remote(0), first), Err(NatRefusal::NoMapping(first)));
}

#[test]
fn a_restart_forgets_every_mapping() {
    let mut nat = nat(NatConfig::full_cone);
    let port = nat.outbound(T0, addr("10.0.0.2:5000"), addr("198.51.100.1:1")).unwrap().port();
    nat.restart();
    assert_eq!(nat.inbound(T0, addr("198.51.100.1:1"), port), Err(NatRefusal::NoMapping(port)));
}
