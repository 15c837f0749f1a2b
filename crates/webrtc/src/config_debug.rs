use std::fmt;

use remotemedia_media::without_password;

use crate::config::WebRtcTransportConfig;

impl fmt::Debug for WebRtcTransportConfig {
    /// Without passwords and tokens, since configurations are logged.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // In full, so that no field that is added later is forgotten here.
        let Self {
            signaling_url,
            peer_id,
            room,
            signaling_token,
            stun_servers,
            turn_servers,
            relay_only,
            local_addresses,
            max_peers,
            enable_audio,
            enable_video,
            enable_data_channel,
            data_channel_mode,
            audio_codec,
            video_codec,
            video_fallback,
            adaptive_bitrate_enabled,
            jitter_buffer_size_ms,
            jitter_buffer_min_ms,
            jitter_buffer_max_ms,
            jitter_mode,
            audio_queue_ms,
            ice_timeout_secs,
        } = self;
        let stun_servers: Vec<String> = stun_servers.iter().map(|url| without_password(url)).collect();
        f.debug_struct("WebRtcTransportConfig")
            .field("signaling_url", &without_password(signaling_url))
            .field("peer_id", peer_id)
            .field("room", room)
            .field("signaling_token", &signaling_token.as_ref().map(|_| "…"))
            .field("stun_servers", &stun_servers)
            .field("turn_servers", turn_servers)
            .field("relay_only", relay_only)
            .field("local_addresses", local_addresses)
            .field("max_peers", max_peers)
            .field("enable_audio", enable_audio)
            .field("enable_video", enable_video)
            .field("enable_data_channel", enable_data_channel)
            .field("data_channel_mode", data_channel_mode)
            .field("audio_codec", audio_codec)
            .field("video_codec", video_codec)
            .field("video_fallback", video_fallback)
            .field("adaptive_bitrate_enabled", adaptive_bitrate_enabled)
            .field("jitter_buffer_size_ms", jitter_buffer_size_ms)
            .field("jitter_buffer_min_ms", jitter_buffer_min_ms)
            .field("jitter_buffer_max_ms", jitter_buffer_max_ms)
            .field("jitter_mode", jitter_mode)
            .field("audio_queue_ms", audio_queue_ms)
            .field("ice_timeout_secs", ice_timeout_secs)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{WebRtcTransport, config::TurnServer};

    #[test]
    fn passwords_are_in_no_printed_configuration_and_in_no_refusal_of_it() {
        let turn =
            TurnServer { urls: vec!["turn:u:s3cret@h".into()], username: "u".into(), credential: "s3cret".into() };
        let config = WebRtcTransportConfig {
            signaling_url: "ws://u:s3cret@localhost".into(),
            signaling_token: Some("s3cret".into()),
            stun_servers: vec!["stun:u:s3cret@h".into()],
            turn_servers: vec![turn],
            ..Default::default()
        };
        let printed = format!("{config:?}");
        assert!(printed.contains("ws://u:…@localhost") && !printed.contains("s3cret"), "{printed}");
        let none = || WebRtcTransportConfig { stun_servers: vec![], turn_servers: vec![], ..config.clone() };
        for wrong in [
            WebRtcTransportConfig { signaling_url: "http://u:s3cret@localhost".into(), ..none() },
            WebRtcTransportConfig { stun_servers: config.stun_servers.clone(), ..none() },
            WebRtcTransportConfig { turn_servers: config.turn_servers.clone(), ..none() },
        ] {
            let refusal = WebRtcTransport::new(wrong).err().unwrap();
            let printed = format!("{refusal} {refusal:?}");
            assert!(printed.contains("u:…@") && !printed.contains("s3cret"), "{printed}");
        }
    }
}
