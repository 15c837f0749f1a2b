use std::{
    io::ErrorKind,
    net::{SocketAddr, ToSocketAddrs},
};

use anyhow::Result;
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
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// Print one JSON object a line: first `ready`, or what failed as `error`.
    #[arg(long)]
    pub(crate) json: bool,
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

/// An address with its port, or a name that has one.
pub(crate) fn address(text: &str) -> Result<SocketAddr, String> {
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    let found: Vec<SocketAddr> = text.to_socket_addrs().map(Iterator::collect).unwrap_or_default();
    let first = found.iter().find(|address| address.is_ipv4()).or(found.first()).copied();
    first
        .ok_or_else(|| "give an address of this machine with a port, such as localhost:8080 or 0.0.0.0:8080".to_owned())
}

/// Listens on `address`, with an error that says what to do about it.
pub(crate) async fn bind(address: SocketAddr) -> Result<TcpListener> {
    let remedy = |kind| match kind {
        ErrorKind::AddrInUse => {
            "end the program that has that port, or choose one with --listen (port 0 takes a free one)"
        }
        ErrorKind::PermissionDenied => "choose a port from 1024 on with --listen",
        _ => "choose an address of this machine with --listen",
    };
    let listener = TcpListener::bind(address).await;
    listener.map_err(|error| anyhow::anyhow!("cannot listen on {address}: {error}; {}", remedy(error.kind())))
}
