//! From an HTTP request to a WebSocket (RFC 6455 section 4.2).
//!
//! By hand rather than by axum's extractor, which keeps the stream under the WebSocket to itself: a client that is
//! cut off in the middle of a large message reads the close code only if the rest of its message is taken in.

use axum::{
    body::Body,
    extract::Request,
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    response::{IntoResponse, Response},
};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        handshake::derive_accept_key,
        protocol::{Role, WebSocketConfig},
    },
};

use crate::{protocol::MAX_MESSAGE_BYTES, state::ServerFull};

/// The stream under a WebSocket.
pub(super) type Io = TokioIo<hyper::upgrade::Upgraded>;

/// A request that is going to be a WebSocket.
pub(super) struct Upgrade {
    accept_key: String,
    on_upgrade: OnUpgrade,
}

/// Why a request does not become a WebSocket.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("this is a WebSocket: connect with ws:// or wss://")]
    NotAnUpgrade,
    #[error("the upgrade needs GET, HTTP/1.1, Sec-WebSocket-Version: 13 and a Sec-WebSocket-Key")]
    BadHandshake,
}

pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    has_token(headers, &header::CONNECTION, "upgrade") && has_token(headers, &header::UPGRADE, "websocket")
}

pub(super) fn accept(mut request: Request) -> Result<Upgrade, Refusal> {
    if !is_upgrade(request.headers()) {
        return Err(Refusal::NotAnUpgrade);
    }
    let headers = request.headers();
    let is_version_13 = headers.get(header::SEC_WEBSOCKET_VERSION).is_some_and(|version| version == "13");
    let key = headers.get(header::SEC_WEBSOCKET_KEY).map(|key| derive_accept_key(key.as_bytes()));
    let is_get = request.method() == Method::GET;
    let on_upgrade = request.extensions_mut().remove::<OnUpgrade>();
    match (key, on_upgrade) {
        (Some(accept_key), Some(on_upgrade)) if is_version_13 && is_get => Ok(Upgrade { accept_key, on_upgrade }),
        _ => Err(Refusal::BadHandshake),
    }
}

pub(super) fn unavailable(full: &ServerFull) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], format!("{full}\n")).into_response()
}

impl Upgrade {
    /// The 101 to send.
    pub(super) fn response(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
        if let Ok(key) = HeaderValue::from_str(&self.accept_key) {
            headers.insert(header::SEC_WEBSOCKET_ACCEPT, key);
        }
        response
    }

    /// The WebSocket, once the 101 is out.
    pub(super) async fn finish(self) -> Result<WebSocketStream<Io>, hyper::Error> {
        let io = TokioIo::new(self.on_upgrade.await?);
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES))
            .read_buffer_size(16 * 1024)
            .write_buffer_size(16 * 1024);
        Ok(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self {
            Self::NotAnUpgrade => StatusCode::UPGRADE_REQUIRED,
            Self::BadHandshake => StatusCode::BAD_REQUEST,
        };
        let headers = [(header::UPGRADE, "websocket"), (header::SEC_WEBSOCKET_VERSION, "13")];
        (status, headers, format!("{self}\n")).into_response()
    }
}

/// Whether a comma-separated header holds a token, whatever its case.
fn has_token(headers: &HeaderMap, name: &header::HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|value| value.trim().eq_ignore_ascii_case(token))
}
