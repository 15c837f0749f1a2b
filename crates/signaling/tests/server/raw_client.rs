//! A WebSocket and JSON, like a browser has.

use std::{collections::VecDeque, net::SocketAddr, time::Duration};

use futures_util::{SinkExt, StreamExt};
use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

/// Far above what anything takes: a test that waits this long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) async fn start(config: ServerConfig) -> (SignalingServer, SocketAddr) {
    let server = SignalingServer::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let serving = server.clone();
    tokio::spawn(async move { serving.serve(listener).await });
    (server, address)
}

pub(crate) struct RawClient {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    /// Notifications that came before a reply.
    pushes: VecDeque<Value>,
    next_id: u64,
}

impl RawClient {
    pub(crate) async fn connect(address: SocketAddr) -> Self {
        let (socket, _) = connect_async(format!("ws://{address}/")).await.unwrap();
        Self { socket, pushes: VecDeque::new(), next_id: 0 }
    }

    /// Connected and registered.
    pub(crate) async fn join(address: SocketAddr, peer: &str) -> Self {
        let mut client = Self::connect(address).await;
        client.announce(peer).await;
        client
    }

    pub(crate) async fn announce(&mut self, peer: &str) -> Value {
        self.ok("peer.announce", json!({"peer_id": peer, "capabilities": ["audio"]})).await
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    pub(crate) async fn notify(&mut self, method: &str, params: Value) {
        self.send(json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string()).await;
    }

    /// The next frame.
    pub(crate) async fn frame(&mut self) -> Value {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a frame") {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).unwrap(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// The next notification: its method and its params.
    pub(crate) async fn push(&mut self) -> (String, Value) {
        let mut frame = match self.pushes.pop_front() {
            Some(frame) => frame,
            None => self.frame().await,
        };
        assert_eq!(frame["jsonrpc"], "2.0");
        assert!(frame.get("id").is_none(), "{frame}");
        (frame["method"].as_str().unwrap().to_owned(), frame["params"].take())
    }

    /// Whether no notification came before the last reply that has not been taken.
    pub(crate) fn has_no_push(&self) -> bool {
        self.pushes.is_empty()
    }

    /// The close code; what comes before is passed over.
    pub(crate) async fn close_code(&mut self) -> u16 {
        loop {
            match tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a close frame") {
                Some(Ok(Message::Close(Some(frame)))) => return frame.code.into(),
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.next_id += 1;
        let id = self.next_id;
        self.send(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()).await;
        loop {
            let frame = self.frame().await;
            if frame["id"] == id {
                return frame;
            }
            self.pushes.push_back(frame);
        }
    }

    /// The result, which must be one.
    pub(crate) async fn ok(&mut self, method: &str, params: Value) -> Value {
        let response = self.call(method, params).await;
        assert!(response.get("error").is_none(), "{method}: {response}");
        response["result"].clone()
    }

    /// Code and data of the error, which it must be.
    pub(crate) async fn err(&mut self, method: &str, params: Value) -> (i64, Value) {
        let response = self.call(method, params).await;
        assert!(response.get("result").is_none(), "{method}: {response}");
        assert!(response["error"]["message"].is_string());
        (response["error"]["code"].as_i64().unwrap(), response["error"]["data"].clone())
    }
}

pub(crate) fn description(from: &str, to: &str, request_id: &str) -> Value {
    json!({"from": from, "to": to, "sdp": "v=0\r\n", "can_trickle_ice_candidates": true, "request_id": request_id})
}

pub(crate) fn candidate(from: &str, to: &str, request_id: &str) -> Value {
    json!({"from": from, "to": to, "candidate": "candidate:1 1 udp 1 127.0.0.1 9 typ host", "sdp_mid": "0",
        "sdp_m_line_index": 0, "request_id": request_id})
}
