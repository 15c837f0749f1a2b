//! A signaling server beside a page: `cargo run -p remotemedia-signaling --example signaling_server [ADDRESS]`.
//!
//! Clients connect to `ws://ADDRESS/signal`; a browser gets the page and needs no library to speak the protocol.

use axum::{Router, response::Html, routing::get};
use remotemedia_signaling::{SignalingServer, server::ServerConfig};
use tokio::net::TcpListener;

const PAGE: &str = "<!doctype html><title>signaling</title><pre id=log></pre><script>
const socket = new WebSocket(location.href.replace(/^http/, 'ws') + 'signal');
socket.onmessage = (event) => log.append(event.data + '\\n');
const params = { peer_id: 'tab-' + Math.random().toString(36).slice(2), capabilities: ['audio'] };
socket.onopen = () => socket.send(JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'peer.announce', params }));
</script>";

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = TcpListener::bind(address).await?;
    println!("open http://{}/", listener.local_addr()?);

    let server = SignalingServer::new(ServerConfig::default());
    let signal = {
        let server = server.clone();
        get(move |request| async move { server.handle(request) })
    };
    let router = Router::new().route("/", get(|| async { Html(PAGE) })).route("/signal", signal);

    tokio::select! {
        () = server.serve_router(listener, router) => {}
        result = tokio::signal::ctrl_c() => result?,
    }
    server.shutdown().await; // after this every socket is closed
    Ok(())
}
