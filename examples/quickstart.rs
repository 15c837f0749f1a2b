//! The guide's first call: Alice connects to Bob and sends him ten pictures.
//!
//! It starts its own signaling server and its own Bob, so that it needs nothing else: `cargo run --example quickstart`.

use std::{sync::Arc, time::Duration};

use remotemedia_runtime_core::data::{RuntimeData, VideoFrame};
use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use remotemedia_webrtc::transport::{TransportEvent, WebRtcTransport, WebRtcTransportConfig};
use tokio::sync::oneshot;

type Error = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    tracing_subscriber::fmt().with_env_filter(tracing_subscriber::EnvFilter::from_default_env()).init();

    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let signaling_url = format!("ws://{}", listener.local_addr()?);
    tokio::spawn(async move { SignalingServer::new(ServerConfig::default()).serve(listener).await });
    let (seen, first_picture) = oneshot::channel();
    let bob = tokio::spawn(run_bob(signaling_url.clone(), seen));

    let config = WebRtcTransportConfig {
        signaling_url,
        peer_id: "alice".to_string(),
        stun_servers: vec![], // Both peers are on this machine.
        turn_servers: vec![],
        max_peers: 10,
        enable_data_channel: true,
        jitter_buffer_size_ms: 50,
        ..Default::default()
    };
    let transport = WebRtcTransport::new(config)?;
    println!("Transport created");

    let mut events = transport.events();
    transport.start().await?;
    println!("Connected to signaling server");

    // Bob is in the room already, or comes in a moment: signaling announces him either way.
    while let Some(event) = events.next().await {
        if matches!(&event, TransportEvent::PeerDiscovered { peer } if *peer == "bob") {
            break;
        }
    }
    let peer_id = transport.connect_peer("bob").await?;
    println!("Connected to peer: {peer_id}");

    let mut clock = tokio::time::interval(Duration::from_millis(33)); // ~30 fps
    for i in 0..10u8 {
        clock.tick().await;
        let grey = vec![128 + 8 * i; 1280 * 720 * 3 / 2];
        let frame = VideoFrame::i420(1280, 720, grey)?;
        transport.send_to_peer("bob", &RuntimeData::Video { frame: Arc::new(frame) }).await?;
        println!("Sent frame {i}");
    }

    let (width, height) = first_picture.await?;
    transport.disconnect_peer("bob").await?;
    transport.shutdown().await?;
    println!("Shutdown complete");
    bob.await??;
    eprintln!("(Bob saw pictures of {width}x{height})");
    Ok(())
}

/// The other side: waits for a call and looks at it until the caller leaves. Tells the size of the first picture.
async fn run_bob(signaling_url: String, seen: oneshot::Sender<(u32, u32)>) -> Result<(), Error> {
    let config =
        WebRtcTransportConfig { signaling_url, peer_id: "bob".to_string(), stun_servers: vec![], ..Default::default() };
    let bob = WebRtcTransport::new(config)?;
    let mut events = bob.events();
    bob.start().await?;
    while let Some(event) = events.next().await {
        if let TransportEvent::PeerConnected { peer } = event {
            let mut seen = Some(seen);
            while let Some(frame) = bob.recv_video(&peer).await? {
                if let Some(seen) = seen.take() {
                    // Alice may have given up waiting.
                    let _ = seen.send((frame.width(), frame.height()));
                }
            }
            return Ok(bob.shutdown().await?);
        }
    }
    Err("the transport ended".into())
}
