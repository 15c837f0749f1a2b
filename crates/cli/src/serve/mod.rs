//! `remotemedia serve`.

mod api;
mod bot;
mod lossy;
mod page;
mod pipelines;
mod tuning;

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::PathBuf,
    sync::Arc,
};

use anyhow::Result;
use clap::value_parser;
use remotemedia_signaling::{
    protocol::IceServer,
    server::{ServerConfig, SignalingServer},
};
use serde_json::json;

use self::{bot::Bot, pipelines::Pipelines};
use crate::{
    arguments::name,
    output::say,
    shutdown,
    signal::{address, bind},
};

/// Run a whole service: signaling, a page for browsers, and a bot that sends media back through a pipeline.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    remotemedia serve\n  \
    remotemedia serve --manifest examples/pipelines/mirror.yaml --manifest examples/conference.yaml\n  \
    remotemedia serve --listen 0.0.0.0:8080 --stun stun:stun.example.com:3478\n  \
    remotemedia serve --listen 127.0.0.1:0 --json")]
pub(crate) struct Args {
    /// Address and port to listen on; port 0 takes a free one. Browsers give camera and microphone to http://localhost and to
    /// https:// pages only.
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8080", value_parser = address)]
    listen: SocketAddr,
    /// Pipeline for what peers send, as a YAML or JSON file. Given several times, the first is what peers get until they
    /// choose another on the page. Default: an echo.
    #[arg(long, value_name = "FILE")]
    manifest: Vec<PathBuf>,
    /// The bot's name.
    #[arg(long, value_name = "NAME", default_value = "remotemedia", value_parser = name)]
    peer_id: String,
    /// The room the bot is in.
    #[arg(long, default_value = "default", value_parser = name)]
    room: String,
    /// Most peers the bot talks to at a time, 1 to 256.
    #[arg(long, value_name = "COUNT", default_value_t = 32, value_parser = value_parser!(u16).range(1..=256))]
    #[arg(allow_negative_numbers = true)]
    max_peers: u16,
    /// STUN server for the bot and the browsers, such as stun:stun.example.com:3478. None is needed on one network.
    #[arg(long, value_name = "URL")]
    stun: Vec<String>,
    /// Loses this fraction of the bot's media packets, each way, from 0 to 0.5: to see how a call fares on a bad network.
    #[arg(long, value_name = "FRACTION", value_parser = fraction, allow_negative_numbers = true)]
    drop: Option<f64>,
    /// Print one JSON object a line: first `ready`, then who comes and goes, and what failed as `error`.
    #[arg(long)]
    pub(crate) json: bool,
}

fn fraction(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(fraction) if (0.0..=0.5).contains(&fraction) => Ok(fraction),
        _ => Err("give a fraction from 0 to 0.5".to_owned()),
    }
}

pub(crate) async fn run(args: Args) -> Result<()> {
    // A manifest with a mistake is better learned before a port is taken.
    let pipelines = Arc::new(Pipelines::load(&args.manifest)?);
    let stop = shutdown::listen()?;
    let listener = bind(args.listen).await?;
    let address = reachable(listener.local_addr()?);
    let mut config = ServerConfig::default();
    if !args.stun.is_empty() {
        config.ice_servers.push(IceServer { urls: args.stun.clone(), username: None, credential: None });
    }
    let server = SignalingServer::new(config);
    let bot = Arc::new(Bot::new(&args, format!("ws://{address}/signal"), Arc::clone(&pipelines))?);
    let router = api::router(server.clone(), Arc::clone(&bot));
    let serving = {
        let server = server.clone();
        tokio::spawn(async move { server.serve_router(listener, router).await })
    };
    let events = bot.events();
    bot.start().await?;
    let page = format!("http://{}/", localhost(address));
    let ready = json!({
        "event": "ready",
        "signaling_url": format!("ws://{address}"),
        "page_url": format!("http://{address}/"),
    });
    say(args.json, &ready, &format!("Open {page} in a browser (Ctrl-C ends it)"))?;
    tokio::select! {
        result = bot.report(events, args.json) => result?,
        () = stop => {}
    }
    bot.shutdown().await;
    server.shutdown().await;
    serving.await?;
    Ok(())
}

/// The address under which this machine reaches what listens on `address`.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        address.set_ip(match address.ip() {
            IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        });
    }
    address
}

/// As a person types it.
fn localhost(address: SocketAddr) -> String {
    if address.ip() == Ipv4Addr::LOCALHOST { format!("localhost:{}", address.port()) } else { address.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_mean_every_interface_are_reached_on_this_machine() {
        for (given, reached, typed) in [
            ("0.0.0.0:80", "127.0.0.1:80", "localhost:80"),
            ("[::]:80", "[::1]:80", "[::1]:80"),
            ("192.0.2.1:80", "192.0.2.1:80", "192.0.2.1:80"),
        ] {
            let address = reachable(given.parse().unwrap());
            assert_eq!((address.to_string().as_str(), localhost(address).as_str()), (reached, typed));
        }
    }
}
