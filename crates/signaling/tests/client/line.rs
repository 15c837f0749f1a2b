//! A line to the server that can be cut, and led to another server.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use remotemedia_signaling::{
    client::{Announcement, Backoff, ClientConfig, ClientEvent, SignalingClient},
    protocol::Capability,
    server::{ServerConfig, SignalingServer},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};

/// Far above what anything takes: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Line {
    pub(crate) address: SocketAddr,
    backend: Arc<Mutex<Option<SocketAddr>>>,
    cuts: watch::Sender<u64>,
}

impl Line {
    pub(crate) async fn to(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend = Arc::new(Mutex::new(Some(backend)));
        let (cuts, cut) = watch::channel(0);
        let target = Arc::clone(&backend);
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let Some(backend) = *target.lock().unwrap() else { continue };
                let mut cut = cut.clone();
                cut.mark_unchanged();
                tokio::spawn(async move {
                    let Ok(mut far) = TcpStream::connect(backend).await else { return };
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { address, backend, cuts }
    }

    /// Breaks every connection, without a word of WebSocket.
    pub(crate) fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Leads new connections elsewhere, or nowhere.
    pub(crate) fn lead_to(&self, backend: Option<SocketAddr>) {
        *self.backend.lock().unwrap() = backend;
    }
}

pub(crate) async fn start(config: ServerConfig) -> (SignalingServer, SocketAddr) {
    let server = SignalingServer::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    (server, address)
}

pub(crate) fn config(address: SocketAddr, peer: &str) -> ClientConfig {
    let mut config = ClientConfig::new(format!("ws://{address}"), peer.parse().unwrap());
    config.backoff = Backoff { first: Duration::from_millis(20), longest: Duration::from_millis(200) };
    config
}

pub(crate) fn audio() -> Announcement {
    Announcement::new([Capability::Audio])
}

/// Registered, with the first `Connected` read.
pub(crate) async fn join(address: SocketAddr, peer: &str) -> SignalingClient {
    let client = SignalingClient::new(config(address, peer)).unwrap();
    client.announce(audio()).await.unwrap();
    assert!(matches!(next(&client).await, ClientEvent::Connected { .. }));
    client
}

pub(crate) async fn next(client: &SignalingClient) -> ClientEvent {
    tokio::time::timeout(PATIENCE, client.next_event()).await.expect("an event").expect("a client that lives")
}

/// The next event that is not about the connection to the server.
pub(crate) async fn next_of_peers(client: &SignalingClient) -> ClientEvent {
    loop {
        match next(client).await {
            ClientEvent::Connected { .. } | ClientEvent::Disconnected { .. } => {}
            event => return event,
        }
    }
}

pub(crate) async fn until_connected(client: &SignalingClient) {
    while !matches!(next(client).await, ClientEvent::Connected { .. }) {}
}
