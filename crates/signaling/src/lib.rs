//! JSON-RPC 2.0 signaling for WebRTC over WebSocket: protocol, client and embeddable server.
