use std::net::SocketAddr;

use anyhow::{Context, Result};
use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use serde_json::json;
use tokio::net::TcpListener;

use crate::{output::say, shutdown};

/// Run a signaling server.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    remotemedia signal\n  \
    remotemedia signal --listen 0.0.0.0:9000\n  \
    remotemedia signal --listen 127.0.0.1:0 --json")]
pub(crate) struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
}

pub(crate) async fn run(args: Args) -> Result<()> {
    let stop = shutdown::listen()?;
    let listener = bind(args.listen).await?;
    let url = format!("ws://{}", listener.local_addr()?);
    let ready = json!({"event": "ready", "signaling_url": url});
    say(args.json, &ready, &format!("Signaling at {url} (Ctrl-C ends it)"))?;
    let server = SignalingServer::new(ServerConfig::default());
    tokio::select! {
        () = server.serve(listener) => {}
        () = stop => server.shutdown().await,
    }
    Ok(())
}

/// Listens on `address`, with an error that says what to do about it.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: if another program has that port, end it or choose one with --listen \
             (port 0 takes a free one)"
        )
    })
}
