//! Address translators of every kind, as far as they can be passed without a relay.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use crate::world::{MS, ONE_WAY, Participant, SECOND, World, begun, media_both_ways, report, sees, soon};
use async_trait::async_trait;
use remotemedia_media::PeerId;
use remotemedia_mesh::{IceServer, MeshError, Signaler, SignalingError, SignalingEvent, SignalingMessage};
use remotemedia_netsim::{
    link::LinkConfig,
    nat::NatConfig,
    virt::{VirtualSignaler, VirtualSocket, run_virtual},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

type Kind = fn(std::net::IpAddr) -> NatConfig;

const FULL: Kind = NatConfig::full_cone;
const ADDRESS: Kind = NatConfig::address_restricted_cone;
const PORT: Kind = NatConfig::port_restricted_cone;
const SYMMETRIC: Kind = NatConfig::symmetric;

/// Answers STUN binding requests with the address that they came from (RFC 8489, section 14.2).
async fn stun_server(socket: VirtualSocket) {
    const COOKIE: u32 = 0x2112_a442;
    loop {
        let (request, from) = socket.recv_from().await;
        let binding_request = request.len() >= 20 && request[..2] == [0, 1] && request[4..8] == COOKIE.to_be_bytes();
        let SocketAddr::V4(from) = from else { continue };
        if binding_request {
            let mut response = vec![0x01, 0x01, 0, 12];
            response.extend(&request[4..20]);
            response.extend([0x00, 0x20, 0, 8, 0, 1]);
            response.extend((from.port() ^ (COOKIE >> 16) as u16).to_be_bytes());
            response.extend((from.ip().to_bits() ^ COOKIE).to_be_bytes());
            socket.send_to(&response, from.into()).unwrap();
        }
    }
}

/// Two peers behind those translators (`None`: behind none). How long they took to connect, or the failure, is judged in
/// here, where a failure tells the seed.
fn attempt(kinds: [Option<Kind>; 2], stun: bool, judge: impl FnOnce(Result<Duration, MeshError>) + Send + 'static) {
    run_virtual(1, move |net| async move {
        let world = World::new(net, 0.0);
        let server = world.net.add_host(LinkConfig::default(), LinkConfig::default()).socket(3_478).unwrap();
        let urls = vec![format!("stun:{}", server.address())];
        tokio::spawn(stun_server(server));
        let mut peers: Vec<Participant> = Vec::new();
        for (name, kind) in ["alice", "bob"].into_iter().zip(kinds) {
            let urls = urls.clone();
            let change = |config: &mut remotemedia_mesh::MeshConfig| {
                config.connect_timeout = SECOND * 12;
                if stun {
                    config.ice_servers = vec![IceServer { urls, ..IceServer::default() }];
                }
            };
            peers.push(match kind {
                Some(kind) => world.join_behind(&world.net.add_gateway(kind), name, change).await,
                None => world.join_with(name, change).await,
            });
        }
        let started = Instant::now();
        if let Err(failed) = soon("connect", peers[0].mesh.connect(&peers[1].id)).await {
            return judge(Err(failed));
        }
        sees(&peers[1], &peers[0]).await;
        let time = started.elapsed();
        media_both_ways(&peers[0], &peers[1]).await;
        judge(Ok(time));
    });
}

#[test]
fn a_peer_behind_any_translator_reaches_one_behind_none_without_a_server() {
    let _running = begun();
    for kind in [FULL, ADDRESS, PORT, SYMMETRIC] {
        for kinds in [[Some(kind), None], [None, Some(kind)]] {
            attempt(kinds, false, |outcome| {
                let time = outcome.unwrap();
                assert!(time <= SECOND, "{time:?}");
            });
        }
    }
}

#[test]
fn cones_reach_each_other_with_a_stun_server() {
    let _running = begun();
    for here in [FULL, ADDRESS, PORT] {
        for there in [FULL, ADDRESS, PORT] {
            attempt([Some(here), Some(there)], true, |outcome| {
                let time = outcome.unwrap();
                report(&format!("cone to cone in {time:?}"));
                assert!(time <= SECOND * 2, "{time:?}");
            });
        }
    }
}

#[test]
fn a_symmetric_translator_is_passed_towards_address_filtering_but_not_towards_port_filtering() {
    let _running = begun();
    for kinds in [[SYMMETRIC, FULL], [FULL, SYMMETRIC], [SYMMETRIC, ADDRESS], [ADDRESS, SYMMETRIC]] {
        attempt(kinds.map(Some), true, |outcome| {
            outcome.unwrap();
        });
    }
    for kinds in [[SYMMETRIC, PORT], [SYMMETRIC, SYMMETRIC]] {
        attempt(kinds.map(Some), true, |outcome| {
            let failed = outcome.unwrap_err();
            let MeshError::ConnectFailed { report, .. } = failed else { panic!("{failed}") };
            assert!(!report.local_candidates.is_empty() && !report.remote_candidates.is_empty(), "{report:?}");
        });
    }
}

#[test]
fn without_a_server_two_cones_do_not_reach_each_other() {
    let _running = begun();
    attempt([Some(PORT), Some(PORT)], false, |outcome| {
        assert!(matches!(outcome, Err(MeshError::ConnectFailed { .. })), "{outcome:?}");
    });
}

/// Signaling that comes to name other ICE servers.
struct Naming {
    signaler: Arc<VirtualSignaler>,
    servers: tokio::sync::Mutex<watch::Receiver<Vec<IceServer>>>,
}

#[async_trait]
impl Signaler for Naming {
    async fn send(&self, to: &PeerId, message: SignalingMessage) -> Result<(), SignalingError> {
        self.signaler.send(to, message).await
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        let mut servers = self.servers.lock().await;
        tokio::select! {
            biased;
            Ok(()) = servers.changed() => Some(SignalingEvent::IceServers(servers.borrow_and_update().clone())),
            event = self.signaler.next_event() => event,
        }
    }
}

#[test]
fn connections_that_begin_later_use_the_servers_that_signaling_has_come_to_name() {
    let _running = begun();
    run_virtual(1, move |net| async move {
        let world = World::new(net, 0.0);
        let socket = world.net.add_host(LinkConfig::default(), LinkConfig::default()).socket(3_478).unwrap();
        let server = |url: String| IceServer { urls: vec![url], ..IceServer::default() };
        // The first cannot be reached by anybody, which must not keep the second from being asked.
        let named = vec![server("turns:relay.invalid".into()), server(format!("stun:{}", socket.address()))];
        tokio::spawn(stun_server(socket));
        let (name, servers) = watch::channel(Vec::new());
        let join = async |id| {
            let host = world.net.add_gateway(PORT).add_host(LinkConfig::with_delay(ONE_WAY), LinkConfig::default());
            let change = |config: &mut remotemedia_mesh::MeshConfig| config.connect_timeout = SECOND * 12;
            let servers = servers.clone().into();
            world.join_through(host, id, change, |signaler| Arc::new(Naming { signaler, servers })).await
        };
        let (alice, bob) = (join("alice").await, join("bob").await);
        let failed = soon("the failure", alice.mesh.connect(&bob.id)).await;
        assert!(matches!(failed, Err(MeshError::ConnectFailed { .. })), "{failed:?}");
        name.send(named).unwrap();
        sleep(MS).await;
        soon("the connection", alice.mesh.connect(&bob.id)).await.unwrap();
        sees(&bob, &alice).await;
        media_both_ways(&alice, &bob).await;
    });
}
