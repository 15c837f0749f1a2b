//! Whom a call is held with, and through which server.

use remotemedia_signaling::{
    client::{Announcement, ClientConfig, ClientEvent, SignalingClient},
    protocol::Capability,
};

use crate::process::{PATIENCE, Process};

/// A signaling server on a free port, ended with the test.
pub(crate) struct Signaling {
    _process: Process,
    pub(crate) url: String,
}

impl Signaling {
    pub(crate) fn start() -> Self {
        let process = Process::remotemedia("signal", &["signal", "--listen", "localhost:0", "--json"]);
        let url = process.event("ready", PATIENCE)["signaling_url"].as_str().unwrap().to_owned();
        Self { _process: process, url }
    }

    /// A participant called `name`.
    pub(crate) fn call(&self, name: &str, further: &[&str]) -> Process {
        Process::remotemedia("call", &[&["call", "--signaling", &self.url, "--peer-id", name], further].concat())
    }

    /// A client in the same room that is no participant of a call yet.
    pub(crate) async fn client(&self, name: &str) -> SignalingClient {
        let client = SignalingClient::new(ClientConfig::new(&self.url, name.parse().unwrap())).unwrap();
        client.announce(Announcement::new([Capability::Data])).await.unwrap();
        client
    }
}

/// Waits until `name` is in the room of the client.
pub(crate) async fn meets(client: &SignalingClient, name: &str) {
    let is_there = async || client.list().await.unwrap().iter().any(|peer| peer.peer_id == *name);
    let meeting = async {
        while !is_there().await {
            // The server tells who comes.
            client.next_event().await.unwrap();
        }
    };
    tokio::time::timeout(PATIENCE, meeting).await.unwrap();
}

/// What the client hears first that `wanted` knows.
pub(crate) async fn hears<T>(client: &SignalingClient, wanted: impl Fn(ClientEvent) -> Option<T>) -> T {
    let hearing = async {
        loop {
            if let Some(heard) = wanted(client.next_event().await.unwrap()) {
                return heard;
            }
        }
    };
    tokio::time::timeout(PATIENCE, hearing).await.unwrap()
}
