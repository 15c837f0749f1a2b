//! The ten lines of the README: a picture goes to the bot of `cargo xtask demo`, and comes back through its pipeline.
//!
//! An argument, such as `ws://localhost:9000`, names another signaling server.

use remotemedia_runtime_core::data::{RuntimeData, VideoFrame};
use remotemedia_webrtc::{WebRtcTransport, WebRtcTransportConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = WebRtcTransportConfig { peer_id: "alice".into(), ..server() }; // ws://localhost:8080
    let transport = WebRtcTransport::new(config)?;
    transport.start().await?;
    transport.connect_peer("remotemedia").await?;
    let grey = VideoFrame::i420(640, 360, vec![128; 640 * 360 * 3 / 2])?;
    transport.send_to_peer("remotemedia", &RuntimeData::from(grey)).await?;
    let frame = transport.recv_video("remotemedia").await?.ok_or("the bot has gone")?;
    println!("{}x{} pixels came back", frame.width(), frame.height());
    Ok(transport.shutdown().await?)
}

fn server() -> WebRtcTransportConfig {
    let default = WebRtcTransportConfig::default();
    WebRtcTransportConfig { signaling_url: std::env::args().nth(1).unwrap_or(default.signaling_url.clone()), ..default }
}
