//! What the integration tests share: a real signaling server on a free port, and transports that use it.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "a module of tests: it fails by panicking")]

use std::time::Duration;

use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use remotemedia_webrtc::{WebRtcTransport, WebRtcTransportConfig};

/// A signaling server that runs until it is dropped.
pub struct Signaling {
    pub url: String,
    server: tokio::task::JoinHandle<()>,
}

impl Signaling {
    pub async fn start() -> Self {
        Self::with(ServerConfig::default()).await
    }

    pub async fn with(config: ServerConfig) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let server = SignalingServer::new(config);
        let server = tokio::spawn(async move { server.serve(listener).await });
        Self { url, server }
    }

    pub fn config(&self, peer_id: &str) -> WebRtcTransportConfig {
        WebRtcTransportConfig {
            signaling_url: self.url.clone(),
            peer_id: peer_id.to_string(),
            stun_servers: vec![],
            local_addresses: vec![[127, 0, 0, 1].into()],
            ..Default::default()
        }
    }

    pub async fn transport(&self, peer_id: &str) -> WebRtcTransport {
        let transport = WebRtcTransport::new(self.config(peer_id)).unwrap();
        transport.start().await.unwrap();
        transport
    }
}

impl Drop for Signaling {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Fails a test that hangs instead of letting it hang; far above what anything takes.
pub async fn in_time<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(Duration::from_secs(30), future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} did not happen within 30 s"),
    }
}
