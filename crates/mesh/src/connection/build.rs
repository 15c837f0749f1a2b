use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use async_trait::async_trait;
use rtc::{
    ice::mdns::MulticastDnsMode,
    peer_connection::{
        configuration::{RTCIceTransportPolicy, setting_engine::SctpMaxMessageSize},
        transport::RTCDtlsRole,
    },
};
use tokio::sync::mpsc;
use webrtc::{
    data_channel::DataChannel,
    error::Error,
    media_stream::track_remote::TrackRemote,
    peer_connection::{
        PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCConfigurationBuilder,
        RTCIceConnectionState, RTCIceGatheringState, RTCIceServer, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
        SettingEngine, SettingEngineBuilder,
    },
};

use crate::{
    IceServer, MeshConfig,
    connection::codecs::media_engine,
    wire::{ConnectionRuntime, WireShared, build_registry},
};

/// Bytes that a data channel may hold before `send` waits.
const SEND_BUFFER: usize = 1 << 20;
/// How long a path through routers waits for one without, on a local network.
const ROUTED_WAIT: Duration = Duration::from_millis(100);
/// How long a path through a relay waits for a direct one, which may be half around the earth: whatever is chosen stays.
const RELAY_WAIT: Duration = Duration::from_secs(1);
/// The largest message we take from a peer that does not chunk.
pub(super) const MAX_PLAIN_MESSAGE: u32 = 256 * 1024;

/// What a peer connection reports, with the number of the connection that it comes from.
pub(super) struct PcEvent {
    pub(super) epoch: u64,
    pub(super) what: What,
}

pub(super) enum What {
    Candidate(String),
    GatheringComplete,
    Ice(RTCIceConnectionState),
    State(RTCPeerConnectionState),
    NegotiationNeeded,
    Track(Arc<dyn TrackRemote>),
    DataChannel(Arc<dyn DataChannel>),
}

/// Builds a peer connection whose events go to `events` under the number `epoch`.
pub(super) async fn peer_connection(
    config: &MeshConfig,
    servers: Vec<IceServer>,
    epoch: u64,
    runtime: Arc<ConnectionRuntime>,
    wire: &Arc<WireShared>,
    (events, events_lost): (mpsc::Sender<PcEvent>, Arc<AtomicU64>),
) -> Result<Arc<dyn PeerConnection>, Error> {
    let mut engine = media_engine(config)?;
    let registry = build_registry(&mut engine, wire)?;
    let servers = servers.into_iter().map(|s| RTCIceServer {
        urls: s.urls,
        username: s.username.unwrap_or_default(),
        credential: s.credential.unwrap_or_default(),
    });
    let policy = if config.relay_only { RTCIceTransportPolicy::Relay } else { RTCIceTransportPolicy::All };
    let building = PeerConnectionBuilder::new()
        .with_configuration(
            RTCConfigurationBuilder::new()
                .with_ice_servers(servers.collect())
                .with_ice_transport_policy(policy)
                .build(),
        )
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings(config))
        .with_handler(Arc::new(Handler { epoch, events, events_lost }))
        .with_runtime(runtime)
        .with_data_channel_send_buffer_limit(SEND_BUFFER)
        .with_udp_addrs(bind_addresses(config))
        .build();
    // Boxed: tens of kilobytes until it is built.
    Ok(Arc::new(Box::pin(building).await?))
}

fn settings(config: &MeshConfig) -> SettingEngine {
    let disconnected = (config.ice_timeout / 3).min(Duration::from_secs(5));
    let mdns = if config.resolve_mdns { MulticastDnsMode::QueryOnly } else { MulticastDnsMode::Disabled };
    SettingEngineBuilder::new()
        // 20 ms instead of 200 between checks: most of the time to connect on a fast path is waiting for the next one.
        // Checks go on for four seconds, as long as a try and until a restart is repeated: a path that comes back in
        // between is found at once.
        .with_ice_connection_attempts(Some(Duration::from_millis(20)), Some(200))
        // A browser's first check comes before its candidate has trickled here: waiting for a better pair than that
        // costs an offerer more than a second.
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        // Half a second for a path through routers and two for a relay, otherwise.
        .with_srflx_acceptance_min_wait(Some(ROUTED_WAIT))
        .with_relay_acceptance_min_wait(Some(if config.relay_only { Duration::ZERO } else { RELAY_WAIT }))
        .with_ice_timeouts(Some(disconnected), Some(config.ice_timeout - disconnected), Some(Duration::from_secs(2)))
        .with_multicast_dns_mode(mdns)
        // A client of this stack whose last handshake flight is lost waits for ever: let browsers be the client.
        .with_answering_dtls_role(RTCDtlsRole::Server)
        .with_sctp_max_message_size(SctpMaxMessageSize::Bounded(MAX_PLAIN_MESSAGE))
        .build()
}

/// The configured addresses, or every interface of this machine; loopback if it has no other.
fn bind_addresses(config: &MeshConfig) -> Vec<SocketAddr> {
    if !config.bind.is_empty() {
        return config.bind.clone();
    }
    let interfaces = rtc::shared::ifaces::ifaces().unwrap_or_default();
    let usable = |ip: &IpAddr| match ip {
        IpAddr::V4(ip) => !ip.is_loopback() && !ip.is_link_local() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_loopback() && !ip.is_unspecified() && (ip.segments()[0] & 0xffc0) != 0xfe80,
    };
    let has = |v4: bool| interfaces.iter().filter_map(|i| i.addr).any(|a| a.is_ipv4() == v4 && usable(&a.ip()));
    let mut addresses = Vec::new();
    // The stack binds a wildcard once per interface address of its family, anew on each restart.
    if has(true) {
        addresses.push(SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)));
    }
    if has(false) {
        addresses.push(SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)));
    }
    if addresses.is_empty() {
        addresses.push(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
    }
    addresses
}

/// Runs on the driver's task, so it only hands on: whatever it waited for would stand still.
struct Handler {
    epoch: u64,
    events: mpsc::Sender<PcEvent>,
    events_lost: Arc<AtomicU64>,
}

impl Handler {
    fn send(&self, what: What) {
        // Full only if a peer opens channels by the hundred while the actor is busy.
        if self.events.try_send(PcEvent { epoch: self.epoch, what }).is_err() {
            self.events_lost.fetch_add(1, Relaxed);
        }
    }
}

#[async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_negotiation_needed(&self) {
        self.send(What::NegotiationNeeded);
    }

    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            self.send(What::Candidate(candidate.candidate));
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            self.send(What::GatheringComplete);
        }
    }

    async fn on_ice_connection_state_change(&self, state: RTCIceConnectionState) {
        self.send(What::Ice(state));
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.send(What::State(state));
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        self.send(What::Track(track));
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        self.send(What::DataChannel(channel));
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[test]
    fn what_is_reported_never_holds_the_driver_up_and_what_does_not_fit_is_counted() {
        let (events, mut received) = mpsc::channel(1);
        let handler = Handler { epoch: 3, events, events_lost: Arc::default() };
        for _ in 0..3 {
            handler.on_negotiation_needed().now_or_never().expect("it does not wait");
        }
        handler.on_connection_state_change(RTCPeerConnectionState::Failed).now_or_never().expect("it does not wait");
        assert_eq!(handler.events_lost.load(Relaxed), 3);
        assert!(matches!(received.try_recv(), Ok(PcEvent { epoch: 3, what: What::NegotiationNeeded })));
        drop(received);
        handler.on_negotiation_needed().now_or_never().expect("nor when nobody listens any more");
    }
}
