use std::{net::SocketAddr, time::Duration};

use remotemedia_media::{Bitrate, Codec, MediaKind, PeerId};

use crate::{IceServer, MeshError};

/// What a [`Mesh`](crate::Mesh) is to do.
///
/// [`MeshConfig::new`] gives working defaults; change fields before handing it over.
///
/// ```
/// # use remotemedia_mesh::MeshConfig;
/// # use remotemedia_media::Codec;
/// let mut config = MeshConfig::new("alice".parse().unwrap());
/// config.video = vec![Codec::Vp9, Codec::Vp8];
/// assert!(config.audio);
/// ```
#[derive(Clone, Debug)]
pub struct MeshConfig {
    /// This participant's name in its room.
    pub local_id: PeerId,
    /// STUN and TURN servers, until signaling names others by [`SignalingEvent::IceServers`](crate::SignalingEvent::IceServers);
    /// empty for a LAN. Gathering never delays a connection by waiting for one.
    pub ice_servers: Vec<IceServer>,
    /// Whether media goes through TURN servers only, whatever other paths there are. Peers do not learn the addresses of
    /// this machine then.
    pub relay_only: bool,
    /// Local addresses to bind, port 0 for any. Empty: every interface of this machine, and loopback if it has no other.
    pub bind: Vec<SocketAddr>,
    /// How many peers may be connected or connecting at a time, 1 to 1,000. Offers beyond it are turned away.
    pub max_peers: usize,
    /// Whether connections carry audio, as Opus.
    pub audio: bool,
    /// Video codecs in order of preference; empty for none.
    pub video: Vec<Codec>,
    /// The channel for messages; `None` for none.
    pub data_channel: Option<DataChannelMode>,
    /// How long a connection may be without any sign of the peer before it is given up, 3 s to 120 s. After a third of
    /// this time (5 s at most) an ICE restart is tried; each begins this time anew, for a minute altogether or as long as this if
    /// that is more.
    pub ice_timeout: Duration,
    /// How long one call of [`Mesh::connect`](crate::Mesh::connect) may take, 1 s to 300 s.
    pub connect_timeout: Duration,
    /// How long one try inside that time may take until it is given up for a fresh one, 500 ms to 60 s.
    pub attempt_timeout: Duration,
    /// How often a heartbeat goes over the control channel, 50 ms to 10 s.
    pub heartbeat_interval: Duration,
    /// The bounds of the bandwidth estimate of each connection.
    pub bitrate: BitrateBounds,
    /// Whether to look up the `.local` names that browsers put in the place of addresses. Costs one socket on the mDNS
    /// port per connection; without it such a peer is still reached by its own checks.
    pub resolve_mdns: bool,
}

/// How the message channel delivers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataChannelMode {
    /// Everything arrives, in order.
    #[default]
    Reliable,
    /// Each message is sent once and may be lost or overtaken. A message must fit the peer's largest SCTP message.
    Unreliable,
}

/// Bounds of a bandwidth estimate: media and its overhead, per peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BitrateBounds {
    /// Never below.
    pub min: Bitrate,
    /// Where a new connection starts.
    pub start: Bitrate,
    /// Never above.
    pub max: Bitrate,
}

impl Default for BitrateBounds {
    fn default() -> Self {
        Self { min: Bitrate::from_kbps(60), start: Bitrate::from_kbps(1_200), max: Bitrate::from_kbps(10_000) }
    }
}

impl MeshConfig {
    /// Audio, VP8, a reliable message channel, up to 10 peers, no ICE servers.
    pub fn new(local_id: PeerId) -> Self {
        Self {
            local_id,
            ice_servers: Vec::new(),
            relay_only: false,
            bind: Vec::new(),
            max_peers: 10,
            audio: true,
            video: vec![Codec::Vp8],
            data_channel: Some(DataChannelMode::Reliable),
            ice_timeout: Duration::from_secs(15),
            connect_timeout: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(4),
            heartbeat_interval: Duration::from_millis(500),
            bitrate: BitrateBounds::default(),
            resolve_mdns: false,
        }
    }

    pub(crate) fn validate(&self) -> Result<(), MeshError> {
        fn check(field: &'static str, value: impl ToString, allowed: &'static str, ok: bool) -> Result<(), MeshError> {
            if ok { Ok(()) } else { Err(MeshError::InvalidConfig { field, value: value.to_string(), allowed }) }
        }
        fn time(field: &'static str, value: Duration, allowed: &'static str, ms: [u64; 2]) -> Result<(), MeshError> {
            let ok = (Duration::from_millis(ms[0])..=Duration::from_millis(ms[1])).contains(&value);
            check(field, format!("{value:?}"), allowed, ok)
        }
        check("max_peers", self.max_peers, "1 to 1000", (1..=1_000).contains(&self.max_peers))?;
        time("ice_timeout", self.ice_timeout, "3 s to 120 s", [3_000, 120_000])?;
        time("connect_timeout", self.connect_timeout, "1 s to 300 s", [1_000, 300_000])?;
        time("attempt_timeout", self.attempt_timeout, "500 ms to 60 s", [500, 60_000])?;
        time("heartbeat_interval", self.heartbeat_interval, "50 ms to 10 s", [50, 10_000])?;
        for (index, codec) in self.video.iter().enumerate() {
            let ok = codec.kind() == MediaKind::Video && !self.video[..index].contains(codec);
            check("video", codec, "video codecs, each at most once", ok)?;
        }
        for server in &self.ice_servers {
            server.validate()?;
        }
        let has_turn = self.ice_servers.iter().any(IceServer::is_turn);
        check("relay_only", self.relay_only, "true only with a TURN server", has_turn || !self.relay_only)?;
        self.bitrate.validate()
    }
}

impl BitrateBounds {
    pub(crate) fn validate(&self) -> Result<(), MeshError> {
        let allowed = "min <= start <= max, each 10 kbit/s to 1 Gbit/s";
        let value = format!("{} <= {} <= {}", self.min, self.start, self.max);
        let ordered = self.min <= self.start && self.start <= self.max;
        if ordered && self.min >= Bitrate::from_kbps(10) && self.max <= Bitrate::from_kbps(1_000_000) {
            Ok(())
        } else {
            Err(MeshError::InvalidConfig { field: "bitrate", value, allowed })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> MeshConfig {
        MeshConfig::new("alice".parse().unwrap())
    }

    #[test]
    fn the_defaults_are_valid() {
        config().validate().unwrap();
    }

    #[test]
    fn a_value_out_of_range_is_named() {
        type Change = fn(&mut MeshConfig);
        let changes: [(&str, Change); 9] = [
            ("max_peers", |c| c.max_peers = 0),
            ("ice_timeout", |c| c.ice_timeout = Duration::from_secs(1)),
            ("connect_timeout", |c| c.connect_timeout = Duration::ZERO),
            ("heartbeat_interval", |c| c.heartbeat_interval = Duration::ZERO),
            ("video", |c| c.video = vec![Codec::Opus]),
            ("video", |c| c.video = vec![Codec::Vp8, Codec::Vp8]),
            ("ice_servers", |c| {
                c.ice_servers = vec![IceServer { urls: vec!["http://x".into()], ..Default::default() }]
            }),
            ("relay_only", |c| c.relay_only = true),
            ("bitrate", |c| c.bitrate.max = Bitrate::ZERO),
        ];
        for (name, change) in changes {
            let mut config = config();
            change(&mut config);
            match config.validate() {
                Err(MeshError::InvalidConfig { field, .. }) => assert_eq!(field, name),
                other => panic!("{name}: {other:?}"),
            }
        }
    }
}
