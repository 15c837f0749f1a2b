use std::time::Duration;

use remotemedia_codecs::test_media::{Clip, draw_number};
use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use remotemedia_webrtc::{Codec, VideoCodec, VideoFrame, WebRtcTransport, WebRtcTransportConfig};
use tokio::net::TcpListener;

use crate::Error;

/// The codecs that are compared, by the names of the figures.
pub(crate) const CODECS: [(&str, Codec); 3] = [("h264", Codec::H264), ("vp8", Codec::Vp8), ("vp9", Codec::Vp9)];

/// Starts a signaling server that lives as long as the process.
pub(crate) async fn signaling() -> Result<String, Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}", listener.local_addr()?);
    tokio::spawn(async move { SignalingServer::new(ServerConfig::default()).serve(listener).await });
    Ok(url)
}

pub(crate) fn config(url: &str, peer_id: &str) -> WebRtcTransportConfig {
    WebRtcTransportConfig {
        signaling_url: url.into(),
        peer_id: peer_id.into(),
        stun_servers: vec![],
        local_addresses: vec![[127, 0, 0, 1].into()],
        ..Default::default()
    }
}

pub(crate) fn with_codec(url: &str, peer_id: &str, codec: &str) -> WebRtcTransportConfig {
    let video_codec = match codec {
        "h264" => VideoCodec::h264(),
        "vp8" => VideoCodec::vp8(),
        _ => VideoCodec::vp9(),
    };
    WebRtcTransportConfig { video_codec, ..config(url, peer_id) }
}

pub(crate) async fn start(config: WebRtcTransportConfig) -> Result<WebRtcTransport, Error> {
    let transport = WebRtcTransport::new(config)?;
    transport.start().await?;
    Ok(transport)
}

/// Waits until `peer` is connected, whoever called.
pub(crate) async fn wait_for(transport: &WebRtcTransport, peer: &str) -> Result<(), Error> {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while !transport.list_peers().await?.iter().any(|p| p.peer_id == peer) {
        if tokio::time::Instant::now() > deadline {
            return Err(format!("{peer} did not connect").into());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// `count` pictures of the seeded 720p clip with pan, texture and noise, each with its number drawn in.
pub(crate) fn numbered_clip(count: u16) -> Result<Vec<VideoFrame>, Error> {
    let clip = Clip::new(7, 1280, 720);
    (0..count).map(|n| Ok(draw_number(&clip.frame(n.into()), n)?)).collect()
}
