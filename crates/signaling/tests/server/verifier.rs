//! A token verifier that fails.

use std::sync::Arc;

use remotemedia_signaling::server::{ServerConfig, TokenRefusal, TokenRequest};
use serde_json::{Value, json};

use crate::raw_client::{RawClient, start};

#[tokio::test]
async fn a_token_verifier_that_panics_is_answered_with_32603_and_its_socket_lives_on() {
    let verifier = |request: &TokenRequest<'_>| -> Result<(), TokenRefusal> {
        assert_ne!(request.token, Some("thorny"), "s3cret");
        Ok(())
    };
    let config = ServerConfig { token_verifier: Some(Arc::new(verifier)), ..ServerConfig::default() };
    let (server, address) = start(config).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::connect(address).await;
    let thorny = json!({"peer_id": "bob", "capabilities": ["audio"], "token": "thorny"});
    for _ in 0..2 {
        let error = bob.call("peer.announce", thorny.clone()).await["error"].take();
        assert_eq!((&error["code"], error.get("data")), (&json!(-32603), None));
        let message = error["message"].as_str().unwrap();
        assert!(message.contains("token verifier panicked") && message.contains("try again"), "{message}");
        assert!(!message.contains("s3cret"), "what the panic says is for the server's log: {message}");
    }
    // What stands before and behind it in a batch is answered.
    let ping = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "peer.ping"});
    let announce = json!({"jsonrpc": "2.0", "id": "b", "method": "peer.announce", "params": thorny});
    bob.send(json!([ping(101), announce, ping(102)]).to_string()).await;
    let replies = bob.frame().await;
    let outcomes: Vec<_> = replies.as_array().unwrap().iter().map(|r| (&r["id"], &r["error"]["code"])).collect();
    let expected = [(&json!(101), &Value::Null), (&json!("b"), &json!(-32603)), (&json!(102), &Value::Null)];
    assert_eq!(outcomes, expected);

    assert_eq!(bob.err("peer.list", json!({})).await, (-32006, json!({"reason": "not_registered"})));
    assert_eq!(bob.announce("bob").await["peers"][0]["peer_id"], "alice");
    // A registration stays what it is if a later token trips the verifier.
    assert_eq!(bob.err("peer.announce", thorny).await, (-32603, Value::Null));
    assert_eq!(bob.ok("peer.list", json!({})).await["peers"][0]["peer_id"], "alice");
    alice.ok("peer.ping", json!({})).await;
    let (method, params) = alice.push().await;
    assert_eq!((method.as_str(), &params["peer_id"]), ("peer.announced", &json!("bob")));
    assert!(alice.has_no_push());
    let metrics = server.metrics();
    assert_eq!((metrics.errors[&-32603], metrics.connections, metrics.connections_opened), (4, 2, 2));
}
