//! `turn_servers`, `stun_servers` and `relay_only`, against coturn on loopback.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use remotemedia_signaling::{
    SignalingServer,
    client::{Announcement, ClientConfig, ClientEvent, SignalingClient},
    protocol::{Capability, IceServer},
    server::ServerConfig,
};
use remotemedia_webrtc::{
    ConnectionStage, DataChannelMessage, Environment, IceServerOutcome, IceServerReport, IceServerRole, Network,
    TransportEvent, TransportEvents, TurnServer, WebRtcError, WebRtcTransport, WebRtcTransportConfig,
};
use tokio::{net::TcpListener, task::JoinHandle, time::interval};

use crate::{
    coturn::{Coturn, Firewall},
    support::{Signaling, in_time},
    world::{level, tone},
};

/// A transport that runs on the network, or else on the system's.
async fn join(
    signaling: &Signaling,
    name: &str,
    network: Option<&Firewall>,
    change: impl FnOnce(&mut WebRtcTransportConfig),
) -> WebRtcTransport {
    let mut config = WebRtcTransportConfig { enable_video: false, ..signaling.config(name) };
    change(&mut config);
    let network = network.map(|network| Arc::new(network.clone()) as Arc<dyn Network>);
    let environment = Environment { network, ..Environment::default() };
    let transport = WebRtcTransport::with_environment(config, environment).unwrap();
    transport.start().await.unwrap();
    transport
}

/// Sound from one to the other, until it is heard, and a message.
async fn talk(from: &WebRtcTransport, to: &WebRtcTransport) {
    let (sender, name) = (from.clone(), to.peer_id().to_string());
    let microphone = tokio::spawn(async move {
        let mut clock = interval(Duration::from_millis(20));
        for chunk in 0.. {
            clock.tick().await;
            if sender.send_to_peer(&name, &tone(48_000, chunk * 960, 960, &[0.3])).await.is_err() {
                return;
            }
        }
    });
    let heard = async {
        let mut loud = 0;
        while loud < 25 {
            let frame = to.recv_audio(from.peer_id()).await.unwrap().expect("the peer is connected");
            loud += usize::from(level(frame.samples()) > 0.1);
        }
    };
    in_time("half a second of sound", heard).await;
    microphone.abort();
    let hello = DataChannelMessage::Text { payload: "hello".into() };
    from.send_data_channel_message(to.peer_id(), &hello).await.unwrap();
    let (sender, came) = in_time("the message", to.recv_data_channel_message()).await.unwrap().unwrap();
    assert_eq!((&sender, came), (from.peer_id(), hello));
}

async fn a_call(alice: &WebRtcTransport, bob: &WebRtcTransport) {
    in_time("the connection", alice.connect_peer("bob")).await.unwrap();
    in_time("the other side's connection", async {
        while bob.list_peers().await.unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    talk(alice, bob).await;
    talk(bob, alice).await;
}

/// A call of alice, behind a firewall and with a TURN server, and bob, who has neither.
struct Relayed {
    alice: WebRtcTransport,
    bob: WebRtcTransport,
    firewall: Firewall,
    _servers: (Coturn, Signaling),
}

impl Relayed {
    async fn begin(
        firewall: fn(SocketAddr) -> Firewall,
        change: impl FnOnce(&mut WebRtcTransportConfig, &Coturn),
    ) -> Self {
        let (coturn, signaling) = (Coturn::start(), Signaling::start().await);
        let firewall = firewall(coturn.address);
        let alice = join(&signaling, "alice", Some(&firewall), |c| {
            c.turn_servers = vec![coturn.server()];
            change(c, &coturn);
        })
        .await;
        let bob = join(&signaling, "bob", None, |_| {}).await;
        a_call(&alice, &bob).await;
        Self { alice, bob, firewall, _servers: (coturn, signaling) }
    }

    async fn end(self) {
        self.alice.shutdown().await.unwrap();
        self.bob.shutdown().await.unwrap();
    }
}

/// The next failure of an ICE server.
async fn failure(events: &mut TransportEvents) -> IceServerReport {
    in_time("the failure of a server", async {
        loop {
            if let Some(TransportEvent::IceServerFailed { peer, server }) = events.next().await {
                assert_eq!(peer, "bob");
                return server;
            }
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_nothing_but_a_turn_server_can_be_reached_a_call_goes_through_it() {
    let (coturn, signaling) = (Coturn::start(), Signaling::start().await);
    let firewalls = [Firewall::shut(coturn.address), Firewall::shut(coturn.address)];
    let with_turn = |c: &mut WebRtcTransportConfig| c.turn_servers = vec![coturn.server()];
    let alice = join(&signaling, "alice", Some(&firewalls[0]), with_turn).await;
    let bob = join(&signaling, "bob", Some(&firewalls[1]), with_turn).await;
    a_call(&alice, &bob).await;
    assert!(firewalls[0].elsewhere() > 0, "the direct path was not even tried");
    let path = alice.list_peers().await.unwrap()[0].metrics.connect_time;
    println!("connected through the relay in {path:?}");
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_turn_server_of_one_side_is_enough() {
    let call = Relayed::begin(Firewall::shut, |_, _| {}).await;
    // A fresh path is one through the relay again.
    call.alice.restart_ice("bob").await.unwrap();
    talk(&call.alice, &call.bob).await;
    call.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relay_only_sends_nothing_past_the_turn_server() {
    let call = Relayed::begin(Firewall::open, |c, coturn| {
        // Its answer is an address of this side, which a peer must not learn.
        c.stun_servers = vec![format!("stun:{}", coturn.address)];
        c.relay_only = true;
    })
    .await;
    assert_eq!(call.firewall.elsewhere(), 0, "datagrams went past the server, which show this side's address");
    call.end().await;
}

#[tokio::test]
async fn relay_only_without_a_turn_server_is_refused() {
    let signaling = Signaling::start().await;
    let config = WebRtcTransportConfig { relay_only: true, ..signaling.config("alice") };
    let refused = WebRtcTransport::new(config).unwrap().start().await.unwrap_err();
    assert!(matches!(refused, WebRtcError::InvalidConfig { field: "relay_only", .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_credentials_are_told_at_once_and_named_in_the_diagnosis() {
    let (coturn, signaling) = (Coturn::start(), Signaling::start().await);
    let firewall = Firewall::shut(coturn.address);
    let alice = join(&signaling, "alice", Some(&firewall), |c| {
        c.turn_servers = vec![TurnServer { credential: "wrong".into(), ..coturn.server() }];
        c.ice_timeout_secs = 2;
    })
    .await;
    let _bob = join(&signaling, "bob", None, |_| {}).await;
    let mut events = alice.events();
    let error = in_time("the end of the attempt", alice.connect_peer("bob")).await.unwrap_err();
    assert!(matches!(error, WebRtcError::NatTraversalFailed), "{error:?}");
    let server = failure(&mut events).await;
    assert_eq!((server.server.as_str(), server.role), (&*coturn.address.to_string(), Some(IceServerRole::Turn)));
    assert!(matches!(server.outcome, IceServerOutcome::Refused { code: 401, .. }), "{server:?}");
    let report = alice.diagnosis("bob").unwrap();
    assert_eq!((report.stage, &report.ice_servers), (ConnectionStage::Checking, &vec![server]));
    let expected = format!("the TURN server {} refused the user name or password (401)", coturn.address);
    assert!(report.summary().contains(&expected), "{}", report.summary());
    // Once per attempt, however many tries it took.
    while let Some(event) = events.next().await {
        match event {
            TransportEvent::IceServerFailed { server, .. } => panic!("told twice: {server}"),
            TransportEvent::PeerFailed { .. } => break,
            _ => {}
        }
    }
    alice.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_server_that_refuses_does_not_keep_a_call_from_its_direct_path() {
    let (coturn, signaling) = (Coturn::start(), Signaling::start().await);
    let alice = join(&signaling, "alice", None, |c| {
        c.turn_servers = vec![TurnServer { username: "nobody".into(), ..coturn.server() }];
    })
    .await;
    let bob = join(&signaling, "bob", None, |_| {}).await;
    let mut events = alice.events();
    a_call(&alice, &bob).await;
    assert!(matches!(failure(&mut events).await.outcome, IceServerOutcome::Refused { code: 401, .. }));
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_turn_server_that_does_not_answer_or_does_not_exist_is_named_in_the_diagnosis() {
    let signaling = Signaling::start().await;
    // Somebody has the port, and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    let silent_address = silent.local_addr().unwrap();
    let server = |url: String| TurnServer { urls: vec![url], username: "u".into(), credential: "p".into() };
    let alice = join(&signaling, "alice", None, |c| {
        // A name that no resolver knows (RFC 6761, section 6.4).
        c.turn_servers = vec![server(format!("turn:{silent_address}")), server("turn:no.such.host.invalid".into())];
        c.relay_only = true;
        c.ice_timeout_secs = 2;
    })
    .await;
    let _bob = join(&signaling, "bob", None, |_| {}).await;
    let mut events = alice.events();
    let error = in_time("the end of the attempt", alice.connect_peer("bob")).await.unwrap_err();
    assert!(matches!(error, WebRtcError::NatTraversalFailed), "{error:?}");
    let unresolved = failure(&mut events).await;
    assert_eq!((unresolved.server.as_str(), unresolved.role), ("no.such.host.invalid:3478", None));
    assert!(matches!(unresolved.outcome, IceServerOutcome::Unresolved { .. }), "{unresolved:?}");
    let servers = alice.diagnosis("bob").unwrap().ice_servers;
    let silent = servers.iter().find(|s| s.server == silent_address.to_string()).unwrap();
    assert_eq!((silent.role, &silent.outcome), (Some(IceServerRole::Turn), &IceServerOutcome::NoAnswer));
    assert!(servers.contains(&unresolved), "{servers:?}");
    alice.shutdown().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stun_and_turn_servers_give_candidates_that_the_peer_is_told() {
    let (coturn, signaling) = (Coturn::start(), Signaling::start().await);
    let alice = join(&signaling, "alice", None, |c| {
        c.stun_servers = vec![format!("stun:{}", coturn.address)];
        c.turn_servers = vec![coturn.server()];
    })
    .await;
    // A peer that only looks at what it is sent.
    let bob = SignalingClient::new(ClientConfig::new(signaling.url.clone(), "bob".parse().unwrap())).unwrap();
    bob.announce(Announcement::new([Capability::Audio])).await.unwrap();
    let calling = tokio::spawn({
        let alice = alice.clone();
        async move { alice.connect_peer("bob").await }
    });
    let mut wanted = vec!["host", "srflx", "relay"];
    in_time("candidates of every kind", async {
        while !wanted.is_empty() {
            if let Some(ClientEvent::Candidate(candidate)) = bob.next_event().await {
                println!("{}", candidate.candidate);
                wanted.retain(|kind| !candidate.candidate.contains(&format!(" typ {kind}")));
            }
        }
    })
    .await;
    calling.abort();
    alice.shutdown().await.unwrap();
    bob.shutdown().await;
}

/// A signaling server that recommends a TURN server of that name.
/// The server, and what ends when its address is free again.
fn recommend(turn: &str, listener: TcpListener) -> (SignalingServer, JoinHandle<()>) {
    let urls = vec![format!("turn:{turn}")];
    let ice_servers = vec![IceServer { urls, username: Some("u".into()), credential: Some("p".into()) }];
    let server = SignalingServer::new(ServerConfig { ice_servers, ..ServerConfig::default() });
    let serving = server.clone();
    let task = tokio::spawn(async move { serving.serve(listener).await });
    (server, task)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_signaling_server_recommends_when_it_comes_back_is_what_the_next_connection_uses() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    // Names that no resolver knows, so that each which is used is told as a failure.
    let (first, serving) = recommend("first.invalid", listener);
    let join = async |name: &str| {
        let own = TurnServer { urls: vec!["turn:own.invalid".into()], username: "u".into(), credential: "p".into() };
        let transport = WebRtcTransport::new(WebRtcTransportConfig {
            signaling_url: format!("ws://{address}"),
            peer_id: name.into(),
            stun_servers: vec![],
            turn_servers: vec![own],
            local_addresses: vec![address.ip()],
            ..Default::default()
        })
        .unwrap();
        transport.start().await.unwrap();
        transport
    };
    let (alice, bob) = (join("alice").await, join("bob").await);
    let mut events = alice.events();
    first.shutdown().await;
    serving.await.unwrap();
    let (second, _serving) = recommend("second.invalid", TcpListener::bind(address).await.unwrap());
    in_time("the return of alice", async {
        let mut was_away = false;
        loop {
            match events.next().await {
                Some(TransportEvent::SignalingState { connected: false }) => was_away = true,
                Some(TransportEvent::SignalingState { connected: true }) if was_away => break,
                _ => {}
            }
        }
    })
    .await;
    in_time("the return of bob", async {
        while second.metrics().peers < 2 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
    in_time("the connection", alice.connect_peer("bob")).await.unwrap();
    let mut used = [failure(&mut events).await.server, failure(&mut events).await.server];
    used.sort();
    assert_eq!(used, ["own.invalid:3478", "second.invalid:3478"]);
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
    second.shutdown().await;
}
