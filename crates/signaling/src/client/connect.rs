//! TCP, TLS and the WebSocket handshake.

use std::{io, sync::Arc};

use remotemedia_media::without_password;
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{self, protocol::WebSocketConfig},
};
use url::{Host, Url};

use super::{ClientConfig, ClientError};
use crate::protocol::MAX_QUEUED_BYTES;

/// TCP, or TLS on it.
pub(super) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

pub(super) type Socket = WebSocketStream<Box<dyn Io>>;

pub(super) fn parse_url(text: &str) -> Result<Url, ClientError> {
    let invalid = |problem: String| ClientError::InvalidUrl { url: without_password(text), problem };
    let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
    if !matches!(url.scheme(), "ws" | "wss") {
        return Err(invalid(format!("the scheme is {:?}", url.scheme())));
    }
    match url.host() {
        Some(_) => Ok(url),
        None => Err(invalid("there is no host".to_owned())),
    }
}

/// Opens a WebSocket, within the configured time.
pub(super) async fn connect(config: &ClientConfig, url: &Url) -> Result<Socket, ClientError> {
    let after = config.request_timeout;
    match tokio::time::timeout(after, connect_at_leisure(config, url)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(ClientError::ConnectTimeout { url: without_password(url.as_str()), after }),
    }
}

async fn connect_at_leisure(config: &ClientConfig, url: &Url) -> Result<Socket, ClientError> {
    let unreachable = |source| ClientError::Unreachable { url: without_password(url.as_str()), source };
    let port = url.port_or_known_default().unwrap_or(80);
    let tcp = match url.host() {
        Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
        Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
        Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
        None => Err(io::Error::from(io::ErrorKind::InvalidInput)),
    }
    .map_err(unreachable)?;
    tcp.set_nodelay(true).map_err(unreachable)?;
    let io: Box<dyn Io> = if url.scheme() == "wss" {
        let tls = tls(config, url, tcp)
            .await
            .map_err(|source| ClientError::Tls { url: without_password(url.as_str()), source })?;
        Box::new(tls)
    } else {
        Box::new(tcp)
    };
    // A batch of room lists is the largest thing that a server sends.
    let limits = WebSocketConfig::default()
        .max_message_size(Some(MAX_QUEUED_BYTES))
        .max_frame_size(Some(MAX_QUEUED_BYTES))
        .read_buffer_size(16 * 1024)
        .write_buffer_size(16 * 1024);
    match client_async_with_config(url.as_str(), io, Some(limits)).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => {
            Err(ClientError::NotAWebSocket { url: without_password(url.as_str()), status: response.status().as_u16() })
        }
        Err(source) => Err(ClientError::WebSocket { url: without_password(url.as_str()), source: source.into() }),
    }
}

async fn tls(config: &ClientConfig, url: &Url, tcp: TcpStream) -> io::Result<impl Io + use<>> {
    let host = match url.host() {
        Some(Host::Domain(name)) => ServerName::try_from(name.to_owned()).map_err(io::Error::other)?,
        Some(Host::Ipv4(address)) => ServerName::IpAddress(std::net::IpAddr::from(address).into()),
        Some(Host::Ipv6(address)) => ServerName::IpAddress(std::net::IpAddr::from(address).into()),
        None => return Err(io::Error::from(io::ErrorKind::InvalidInput)),
    };
    let tls = match &config.tls {
        Some(tls) => Arc::clone(tls),
        // Reads files.
        None => tokio::task::spawn_blocking(system_trust).await.map_err(io::Error::other)??,
    };
    TlsConnector::from(tls).connect(host, tcp).await
}

fn system_trust() -> io::Result<Arc<rustls::ClientConfig>> {
    let mut roots = rustls::RootCertStore::empty();
    let loaded = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(loaded.certs);
    if roots.is_empty() {
        let first = loaded.errors.into_iter().next();
        return Err(first.map_or_else(|| io::Error::other("this system has no trusted certificates"), io::Error::other));
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
