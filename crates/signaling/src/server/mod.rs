//! The signaling server: WebSockets in front of the [state machine](crate::state).
//!
//! [`SignalingServer::router`] is an axum router to mount beside your own routes; [`SignalingServer::serve`] runs it on a
//! listener. See the crate's [first page](crate) for an example.

mod connection;
mod http;
mod serve;
mod shared;

use std::{fmt, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::any,
};
use remotemedia_media::PeerId;

use crate::protocol::RoomId;
pub use crate::state::{Metrics, RateLimit, StateConfig as ServerConfig, TokenRefusal, TokenRequest, TokenVerifier};
use shared::Shared;

/// A signaling server. Clones are handles to the same one; dropping the last, routers included, closes its sockets.
#[derive(Clone)]
pub struct SignalingServer {
    owner: Arc<Owner>,
}

/// What the handles share: the sockets' tasks hold the inside only, and so do not keep the server alive.
struct Owner {
    shared: Arc<Shared>,
}

impl Drop for Owner {
    fn drop(&mut self) {
        self.shared.stop();
    }
}

/// How long [`SignalingServer::shutdown`] lets clients answer the closing of their sockets.
const SHUTDOWN_GRACE: Duration = Duration::from_millis(800);

impl SignalingServer {
    /// A server without sockets. Needs no runtime and spawns nothing.
    pub fn new(config: ServerConfig) -> Self {
        Self { owner: Arc::new(Owner { shared: Arc::new(Shared::new(config)) }) }
    }

    /// Routes `/` and `/signal` to this server, which is where clients look for one. To mount it elsewhere, or to share `/`
    /// with a page, call [`handle`](Self::handle) from a route of your own.
    pub fn router(&self) -> Router {
        let route = || {
            let server = self.clone();
            any(move |request: Request| async move { server.handle(request) })
        };
        Router::new().route("/", route()).route("/signal", route())
    }

    /// Whether a request wants a WebSocket, and so is one for [`handle`](Self::handle).
    pub fn is_upgrade(request: &Request) -> bool {
        http::is_upgrade(request.headers())
    }

    /// Answers a WebSocket upgrade and runs the socket in a task of its own. Any other request gets 426; one too many
    /// gets 503. Must be called within a tokio runtime.
    pub fn handle(&self, request: Request) -> Response {
        match http::accept(request) {
            Err(refusal) => refusal.into_response(),
            Ok(upgrade) => match self.owner.shared.open() {
                Err(full) => http::unavailable(&full),
                Ok(opened) => {
                    let response = upgrade.response();
                    self.owner.shared.tasks.spawn(connection::run(opened, upgrade));
                    response
                }
            },
        }
    }

    /// Serves [`router`](Self::router) on a listener until [`shutdown`](Self::shutdown).
    pub async fn serve(&self, listener: tokio::net::TcpListener) {
        self.serve_router(listener, self.router()).await;
    }

    /// Serves a router of yours, with this server mounted in it, until [`shutdown`](Self::shutdown). Unlike
    /// `axum::serve` it closes connections that send no request for 10 s, and holds at most 1,024 that are not
    /// WebSockets.
    pub async fn serve_router(&self, listener: tokio::net::TcpListener, router: Router) {
        serve::run(&self.owner.shared, listener, router).await;
    }

    /// Closes every socket with 1001, ends [`serve`](Self::serve), and waits until all is closed, at most 1 s.
    /// Idempotent; sockets that come later are turned away.
    pub async fn shutdown(&self) {
        let shared = &self.owner.shared;
        shared.stop();
        if tokio::time::timeout(SHUTDOWN_GRACE, shared.tasks.wait()).await.is_err() {
            shared.abort.cancel();
            // Every task waits for that, so this is short; the bound is for a runtime that is short of threads.
            let _ = tokio::time::timeout(Duration::from_millis(200), shared.tasks.wait()).await;
        }
    }

    /// Removes a peer: its socket is closed with 1008, the others get `peer.left` with `kicked`, and its session key is
    /// void. `false` if there is no such peer.
    pub fn kick(&self, room: &RoomId, peer: &PeerId) -> bool {
        self.owner.shared.with(|state, now| state.kick(now, room, peer))
    }

    /// What the server did so far and holds now.
    pub fn metrics(&self) -> Metrics {
        self.owner.shared.with(|state, _| state.metrics())
    }
}

impl fmt::Debug for SignalingServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SignalingServer").finish_non_exhaustive()
    }
}
