use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use remotemedia_jitter as jitter;
use remotemedia_media::{Bitrate, PeerId, without_password};
use remotemedia_mesh::{BitrateBounds, DataChannelMode as MeshDataChannelMode, IceServer, MeshConfig};

use crate::{
    codec_config::{self, AudioCodec, AudioSettings, VideoCodec, VideoSettings, invalid},
    error::Result,
};

/// How a transport is set up. Write the fields that differ and `..Default::default()` for the rest.
///
/// ```
/// use remotemedia_webrtc::{VideoCodec, WebRtcTransportConfig};
///
/// let config = WebRtcTransportConfig {
///     peer_id: "alice".to_string(),
///     video_codec: VideoCodec::vp8().size(640, 360).bitrate_kbps(500),
///     ..Default::default()
/// };
/// # let _ = config;
/// ```
#[derive(Clone)]
pub struct WebRtcTransportConfig {
    /// WebSocket address of the signaling server, `ws://` or `wss://`. Default `ws://localhost:8080`.
    pub signaling_url: String,
    /// This peer's name, unique in its room: 1 to 64 characters of `[A-Za-z0-9_-]`. Default: a random UUID.
    pub peer_id: String,
    /// The room to join: the same alphabet. Peers in different rooms do not see each other. Default `default`.
    pub room: String,
    /// Token that the signaling server asks for, if it asks for one. Default none.
    pub signaling_token: Option<String>,
    /// STUN servers as `stun:host:port` (RFC 7064), which tell the address that a peer behind a router is seen at. One that
    /// does not answer delays nothing. May be empty on a local network. Default: Google's public ones.
    pub stun_servers: Vec<String>,
    /// TURN servers, for networks that let no direct path through. A server that refuses is told by
    /// [`TransportEvent::IceServerFailed`](crate::TransportEvent::IceServerFailed). Default none.
    pub turn_servers: Vec<TurnServer>,
    /// Whether media goes through TURN servers only, whatever other paths there are, so that peers do not learn this side's
    /// addresses. Needs a server in `turn_servers`, or one that the signaling server recommends. Default false.
    pub relay_only: bool,
    /// Local addresses to use. Default: empty, which means those of every interface.
    pub local_addresses: Vec<IpAddr>,
    /// Most peers connected at a time, 1 to 256. Default 10.
    pub max_peers: usize,
    /// Whether audio is sent and received. Default true.
    pub enable_audio: bool,
    /// Whether video is sent and received. Default true.
    pub enable_video: bool,
    /// Whether there is a data channel for messages. Default true.
    pub enable_data_channel: bool,
    /// Whether messages are delivered for certain and in order, or at best. Default reliable.
    pub data_channel_mode: DataChannelMode,
    /// The audio codec. Default Opus, 48 kHz, mono, 32 kbit/s.
    pub audio_codec: AudioCodec,
    /// The preferred video codec. Where the two sides of a connection prefer different ones, that of the side whose offer
    /// was answered is used, which is the one that called `connect_peer`. Default VP9, 1280x720, 30 frames per second, 2,000 kbit/s.
    pub video_codec: VideoCodec,
    /// Whether the other video codecs of this build are negotiated where a peer does not take `video_codec`. Without it such a
    /// call has no video, which [`TransportEvent::VideoUnavailable`](crate::TransportEvent::VideoUnavailable) tells, but
    /// audio and messages. Default true.
    pub video_fallback: bool,
    /// Whether bitrates follow what the network carries. Default true.
    pub adaptive_bitrate_enabled: bool,
    /// Where the playout delay of received audio starts, in milliseconds, 0 to 1,000. It is also the floor while losses
    /// or late packets were seen in the last 30 s, if it is above 50. Default 50.
    pub jitter_buffer_size_ms: u32,
    /// The least the playout delay goes down to, in milliseconds. Default 0.
    pub jitter_buffer_min_ms: u32,
    /// The most the playout delay goes up to, in milliseconds, up to 5,000. Default 500.
    pub jitter_buffer_max_ms: u32,
    /// Whether the playout delay follows the network. Default adaptive.
    pub jitter_mode: JitterMode,
    /// Audio that `send_to_peer` and `broadcast` take ahead of real time before they wait, in milliseconds, 20 to
    /// 60,000. Default 200.
    pub audio_queue_ms: u32,
    /// How long a connection attempt may take, in seconds, 1 to 300. Default 10.
    pub ice_timeout_secs: u32,
}

impl Default for WebRtcTransportConfig {
    fn default() -> Self {
        Self {
            signaling_url: "ws://localhost:8080".into(),
            peer_id: uuid::Uuid::new_v4().to_string(),
            room: "default".into(),
            signaling_token: None,
            stun_servers: vec!["stun:stun.l.google.com:19302".into(), "stun:stun1.l.google.com:19302".into()],
            turn_servers: Vec::new(),
            relay_only: false,
            local_addresses: Vec::new(),
            max_peers: 10,
            enable_audio: true,
            enable_video: true,
            enable_data_channel: true,
            data_channel_mode: DataChannelMode::Reliable,
            audio_codec: AudioCodec::default(),
            video_codec: VideoCodec::default(),
            video_fallback: true,
            adaptive_bitrate_enabled: true,
            jitter_buffer_size_ms: 50,
            jitter_buffer_min_ms: 0,
            jitter_buffer_max_ms: 500,
            jitter_mode: JitterMode::Adaptive,
            audio_queue_ms: 200,
            ice_timeout_secs: 10,
        }
    }
}

/// A TURN server and the credentials for it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct TurnServer {
    /// Its addresses, as `turn:host:port` (RFC 7065). It is reached over UDP: `turns:` and `?transport=tcp` are refused.
    pub urls: Vec<String>,
    /// The user name.
    pub username: String,
    /// The password.
    pub credential: String,
}

impl fmt::Debug for TurnServer {
    /// Without the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let urls: Vec<String> = self.urls.iter().map(|url| without_password(url)).collect();
        f.debug_struct("TurnServer").field("urls", &urls).field("username", &self.username).finish_non_exhaustive()
    }
}

/// Whether messages on the data channel are delivered for certain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DataChannelMode {
    /// Every message arrives, in order.
    #[default]
    Reliable,
    /// A lost message is not repeated, and messages may overtake each other.
    Unreliable,
}

/// Whether the playout delay follows the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum JitterMode {
    /// It goes down on a calm network and up on a restless one.
    #[default]
    Adaptive,
    /// It stays at `jitter_buffer_size_ms`.
    Fixed,
}

/// What [`configure`](crate::WebRtcTransport::configure) changes on live connections; `None` leaves a setting as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigOptions {
    /// Whether bitrates follow what the network carries.
    pub adaptive_bitrate_enabled: Option<bool>,
    /// Most the video encoders send, in kbit/s, 30 to 50,000.
    pub target_bitrate_kbps: Option<u32>,
    /// Bitrate of the audio encoders, in kbit/s, 6 to 510.
    pub audio_bitrate_kbps: Option<u32>,
    /// Most pictures sent of a source a second, 1 to 60; what is faster is thinned out evenly.
    pub video_framerate: Option<u32>,
    /// As [`WebRtcTransportConfig::jitter_buffer_size_ms`], for connections that are made from now on and live ones.
    pub jitter_buffer_size_ms: Option<u32>,
}

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) signaling_url: url::Url,
    pub(crate) peer_id: PeerId,
    pub(crate) room: String,
    pub(crate) signaling_token: Option<String>,
    pub(crate) audio: Option<AudioSettings>,
    pub(crate) video: Option<VideoSettings>,
    pub(crate) data_channel: Option<DataChannelMode>,
    pub(crate) adaptive_bitrate: bool,
    pub(crate) playout: jitter::PlayoutConfig,
    pub(crate) audio_queue: Duration,
    pub(crate) mesh: MeshConfig,
}

impl Settings {
    pub(crate) fn parse(config: &WebRtcTransportConfig) -> Result<Self> {
        let signaling_url = parse_signaling_url(&config.signaling_url)?;
        let peer_id = PeerId::new(&config.peer_id)?;
        PeerId::new(&config.room)
            .map_err(|_| invalid("room", &config.room, "1 to 64 characters out of A-Z, a-z, 0-9, '_' and '-'"))?;
        if !(1..=256).contains(&config.max_peers) {
            return Err(invalid("max_peers", config.max_peers, "1 to 256"));
        }
        if !(1..=300).contains(&config.ice_timeout_secs) {
            return Err(invalid("ice_timeout_secs", config.ice_timeout_secs, "1 to 300"));
        }
        if !(20..=60_000).contains(&config.audio_queue_ms) {
            return Err(invalid("audio_queue_ms", config.audio_queue_ms, "20 to 60000"));
        }
        let audio = config.enable_audio.then(|| AudioSettings::parse(&config.audio_codec)).transpose()?;
        let video = config.enable_video.then(|| VideoSettings::parse(&config.video_codec)).transpose()?;
        let video_codecs = match video {
            Some(_) => codec_config::offered_video_codecs(config.video_codec.codec(), config.video_fallback),
            None => Vec::new(),
        };
        let data_channel = config.enable_data_channel.then_some(config.data_channel_mode);
        let timeout = Duration::from_secs(config.ice_timeout_secs.into());
        let mut mesh = MeshConfig::new(peer_id.clone());
        mesh.ice_servers = ice_servers(config)?;
        mesh.relay_only = config.relay_only;
        mesh.bind = config.local_addresses.iter().map(|&ip| SocketAddr::new(ip, 0)).collect();
        mesh.max_peers = config.max_peers;
        mesh.audio = audio.is_some();
        mesh.video = video_codecs;
        mesh.data_channel = data_channel.map(|mode| match mode {
            DataChannelMode::Reliable => MeshDataChannelMode::Reliable,
            DataChannelMode::Unreliable => MeshDataChannelMode::Unreliable,
        });
        mesh.connect_timeout = timeout;
        mesh.bitrate = bitrate_bounds(config.adaptive_bitrate_enabled, audio, video, (0, 0));
        Ok(Self {
            signaling_url,
            peer_id,
            room: config.room.clone(),
            signaling_token: config.signaling_token.clone(),
            audio,
            video,
            data_channel,
            adaptive_bitrate: config.adaptive_bitrate_enabled,
            playout: playout(config)?,
            audio_queue: Duration::from_millis(config.audio_queue_ms.into()),
            mesh,
        })
    }
}

/// What the congestion controller may do: with adaptation, from next to nothing up to what the codecs may send;
/// without, it is held at that. A peer is sent so many named streams of audio and of video, beside the main ones.
pub(crate) fn bitrate_bounds(
    adaptive: bool,
    audio: Option<AudioSettings>,
    video: Option<VideoSettings>,
    (named_audio, named_video): (u32, u32),
) -> BitrateBounds {
    let all = |each: Bitrate, named: u32| each.scale(f64::from(named) + 1.0);
    let audio = audio.map(|a| all(a.bitrate, named_audio));
    let video = video.map(|v| all(v.bitrate, named_video));
    // Headers, retransmissions and messages come on top of what the encoders make.
    let media: Bitrate = audio.into_iter().chain(video).sum();
    let max = media.scale(1.5) + Bitrate::from_kbps(200);
    if adaptive {
        let start = max.min(Bitrate::from_kbps(1_500));
        BitrateBounds { min: Bitrate::from_kbps(50).min(max), start, max }
    } else {
        BitrateBounds { min: max, start: max, max }
    }
}

pub(crate) fn check_jitter_size(ms: u32) -> Result<Duration> {
    if ms > 1_000 {
        return Err(invalid("jitter_buffer_size_ms", ms, "0 to 1000"));
    }
    Ok(Duration::from_millis(ms.into()))
}

fn parse_signaling_url(text: &str) -> Result<url::Url> {
    const ALLOWED: &str = "a WebSocket address such as ws://localhost:8080 or wss://example.com/signal";
    match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "ws" | "wss") && url.has_host() => Ok(url),
        _ => Err(invalid("signaling_url", without_password(text), ALLOWED)),
    }
}

fn ice_servers(config: &WebRtcTransportConfig) -> Result<Vec<IceServer>> {
    let mut servers = Vec::new();
    if !config.stun_servers.is_empty() {
        if let Some(bad) = config.stun_servers.iter().find(|url| !is_server(url, "stun:")) {
            return Err(invalid(
                "stun_servers",
                without_password(bad),
                "addresses such as stun:stun.example.com:3478, reached over UDP (not stuns:)",
            ));
        }
        servers.push(IceServer { urls: config.stun_servers.clone(), username: None, credential: None });
    }
    for server in &config.turn_servers {
        if server.urls.is_empty() {
            return Err(invalid("turn_servers.urls", "", "one address or more"));
        }
        if let Some(bad) = server.urls.iter().find(|url| !is_server(url, "turn:")) {
            return Err(invalid(
                "turn_servers.urls",
                without_password(bad),
                "addresses such as turn:turn.example.com:3478, reached over UDP (not TCP or TLS)",
            ));
        }
        for (field, text) in
            [("turn_servers.username", &server.username), ("turn_servers.credential", &server.credential)]
        {
            if text.is_empty() {
                return Err(invalid(field, "", "not empty: TURN servers ask for it"));
            }
        }
        servers.push(IceServer {
            urls: server.urls.clone(),
            username: Some(server.username.clone()),
            credential: Some(server.credential.clone()),
        });
    }
    Ok(servers)
}

fn is_server(url: &str, scheme: &str) -> bool {
    url.starts_with(scheme) && IceServer::is_supported(url)
}

fn playout(config: &WebRtcTransportConfig) -> Result<jitter::PlayoutConfig> {
    let start = check_jitter_size(config.jitter_buffer_size_ms)?;
    if config.jitter_buffer_max_ms > 5_000 {
        return Err(invalid("jitter_buffer_max_ms", config.jitter_buffer_max_ms, "0 to 5000"));
    }
    if config.jitter_buffer_min_ms > config.jitter_buffer_max_ms {
        return Err(invalid("jitter_buffer_min_ms", config.jitter_buffer_min_ms, "0 to jitter_buffer_max_ms"));
    }
    let min = Duration::from_millis(config.jitter_buffer_min_ms.into());
    let max = Duration::from_millis(config.jitter_buffer_max_ms.into());
    if !(min..=max).contains(&start) {
        return Err(invalid(
            "jitter_buffer_size_ms",
            config.jitter_buffer_size_ms,
            "between jitter_buffer_min_ms and jitter_buffer_max_ms",
        ));
    }
    let mode = match config.jitter_mode {
        JitterMode::Adaptive => jitter::PlayoutMode::Adaptive,
        JitterMode::Fixed => jitter::PlayoutMode::Fixed,
    };
    let AudioCodec::Opus { channels, .. } = config.audio_codec;
    Ok(jitter::PlayoutConfig { start, min, max, mode, ..jitter::PlayoutConfig::opus(channels) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use remotemedia_media::Codec;

    use crate::error::WebRtcError;

    fn field_of(config: WebRtcTransportConfig) -> &'static str {
        match Settings::parse(&config) {
            Err(WebRtcError::InvalidConfig { field, .. }) => field,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_range_is_held_and_names_its_field() {
        let base = WebRtcTransportConfig::default;
        for url in ["invalid-url", "http://localhost", "ws://", ""] {
            assert_eq!(field_of(WebRtcTransportConfig { signaling_url: url.into(), ..base() }), "signaling_url");
        }
        assert_eq!(field_of(WebRtcTransportConfig { room: "a b".into(), ..base() }), "room");
        assert_eq!(field_of(WebRtcTransportConfig { max_peers: 0, ..base() }), "max_peers");
        assert_eq!(field_of(WebRtcTransportConfig { ice_timeout_secs: 0, ..base() }), "ice_timeout_secs");
        assert_eq!(field_of(WebRtcTransportConfig { audio_queue_ms: 19, ..base() }), "audio_queue_ms");
        assert_eq!(field_of(WebRtcTransportConfig { jitter_buffer_size_ms: 1_001, ..base() }), "jitter_buffer_size_ms");
        assert_eq!(field_of(WebRtcTransportConfig { jitter_buffer_min_ms: 60, ..base() }), "jitter_buffer_size_ms");
        assert_eq!(field_of(WebRtcTransportConfig { jitter_buffer_max_ms: 5_001, ..base() }), "jitter_buffer_max_ms");
        for url in ["stun:", "stuns:x", "turn:x", "stun:x?transport=udp"] {
            assert_eq!(field_of(WebRtcTransportConfig { stun_servers: vec![url.into()], ..base() }), "stun_servers");
        }
        for url in ["http://x", "turns:x:443", "turn:x:3478?transport=tcp"] {
            let turn = vec![TurnServer { urls: vec![url.into()], ..Default::default() }];
            assert_eq!(field_of(WebRtcTransportConfig { turn_servers: turn, ..base() }), "turn_servers.urls");
        }
        for (username, credential, field) in
            [("", "secret", "turn_servers.username"), ("user", "", "turn_servers.credential")]
        {
            let (username, credential) = (username.into(), credential.into());
            let turn = vec![TurnServer { urls: vec!["turn:x".into()], username, credential }];
            assert!(!format!("{turn:?}").contains("secret"));
            assert_eq!(field_of(WebRtcTransportConfig { turn_servers: turn, ..base() }), field);
        }
        let audio = AudioCodec::opus().sample_rate(44_100);
        assert_eq!(field_of(WebRtcTransportConfig { audio_codec: audio, ..base() }), "audio_codec.sample_rate");
        let video = VideoCodec::default().bitrate_kbps(1);
        assert_eq!(field_of(WebRtcTransportConfig { video_codec: video, ..base() }), "video_codec.bitrate_kbps");
    }

    #[test]
    fn media_that_is_off_is_not_checked_and_not_offered() {
        let config = WebRtcTransportConfig {
            enable_video: false,
            video_codec: VideoCodec::default().framerate(0),
            stun_servers: vec![],
            ..Default::default()
        };
        let settings = Settings::parse(&config).unwrap();
        assert!(settings.mesh.video.is_empty());
        assert!(settings.mesh.ice_servers.is_empty());
    }

    #[test]
    fn the_configured_codec_is_offered_first() {
        let config = WebRtcTransportConfig { video_codec: VideoCodec::h264(), ..Default::default() };
        let settings = Settings::parse(&config).unwrap();
        assert_eq!(settings.mesh.video, [Codec::H264, Codec::Vp9, Codec::Vp8]);
        let alone = Settings::parse(&WebRtcTransportConfig { video_fallback: false, ..config }).unwrap();
        assert_eq!(alone.mesh.video, [Codec::H264]);
    }
}
