//! The contract's rules over a real socket: rooms, records, request ids, lengths, reservations, tokens. What takes minutes is
//! shown in virtual time too, by the tests of the state machine.

use std::{sync::Arc, time::Duration};

use remotemedia_signaling::server::{ServerConfig, TokenRefusal, TokenRequest};
use serde_json::{Value, json};

use crate::raw_client::{PATIENCE, RawClient, candidate, description, start};

/// Repeats a call that is refused with `code` until it succeeds, as something that takes time to pass does.
async fn until_ok(client: &mut RawClient, method: &str, params: Value, code: i64) {
    let repeated = async {
        loop {
            let response = client.call(method, params.clone()).await;
            match response.get("error") {
                None => return,
                Some(error) => assert_eq!(error["code"], code, "{error}"),
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, repeated).await.expect("the end of what was in the way");
}

fn announce(peer: &str) -> Value {
    json!({"peer_id": peer, "capabilities": ["audio"]})
}

fn with(mut params: Value, field: &str, value: Value) -> Value {
    params[field] = value;
    params
}

#[tokio::test]
async fn rooms_neither_see_nor_reach_each_other() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::connect(address).await;
    let result = bob.ok("peer.announce", with(announce("bob"), "room", json!("attic"))).await;
    assert_eq!((&result["room"], &result["peers"]), (&json!("attic"), &json!([])));
    assert_eq!(alice.ok("peer.list", json!({})).await, json!({"peers": []}));
    let not_found = (-32000, json!({"reason": "peer_not_found", "peer_id": "bob"}));
    assert_eq!(alice.err("peer.offer", description("alice", "bob", "r")).await, not_found);
    assert_eq!(alice.err("peer.answer", description("alice", "bob", "r")).await, not_found);
    assert_eq!(alice.err("peer.ice_candidate", candidate("alice", "bob", "r")).await, not_found);
    let end = json!({"from": "alice", "to": "bob", "reason": "error"});
    assert_eq!(alice.err("peer.disconnect", end).await, not_found);
    // The same id in the other room is another peer, which only that room hears of.
    let mut other = RawClient::connect(address).await;
    other.ok("peer.announce", with(announce("alice"), "room", json!("attic"))).await;
    assert_eq!(bob.push().await.1["peer_id"], "alice");
    other.ok("peer.leave", json!({})).await;
    assert_eq!(bob.push().await.0, "peer.left");
    // Its answer is the first thing that came to alice since.
    alice.ok("peer.ping", json!({})).await;
    assert!(alice.has_no_push());
}

#[tokio::test]
async fn a_second_announce_updates_the_record_and_never_the_id() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::join(address, "bob").await;
    let updated = json!({"peer_id": "bob", "capabilities": ["video", "data"], "user_data": {"a": [1]}});
    bob.ok("peer.announce", updated.clone()).await;
    assert_eq!(alice.ok("peer.list", json!({})).await["peers"], json!([updated]));
    let refused = (-32006, json!({"reason": "already_registered"}));
    assert_eq!(bob.err("peer.announce", announce("bert")).await, refused);
    assert_eq!(bob.err("peer.announce", with(announce("bob"), "room", json!("attic"))).await, refused);
    // A peer that left may come back as somebody else on the same socket.
    bob.notify("peer.leave", json!({})).await;
    bob.ok("peer.announce", announce("bert")).await;
    let told: Vec<_> = [alice.push().await, alice.push().await, alice.push().await].into_iter().collect();
    assert_eq!(told[0].1["peer_id"], "bob");
    assert_eq!(told[1], ("peer.left".to_owned(), json!({"peer_id": "bob", "reason": "left"})));
    assert_eq!((told[2].0.as_str(), &told[2].1["peer_id"]), ("peer.announced", &json!("bert")));
}

#[tokio::test]
async fn a_request_id_belongs_to_one_pair_until_that_ends_its_connection() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::join(address, "bob").await;
    let mut carol = RawClient::join(address, "carol").await;
    // Candidates of an id that the server does not know yet, or any more, go through.
    alice.ok("peer.ice_candidate", candidate("alice", "bob", "r")).await;
    for _ in 0..2 {
        alice.ok("peer.offer", description("alice", "bob", "r")).await;
        bob.ok("peer.answer", description("bob", "alice", "r")).await;
    }
    let in_use = json!({"reason": "request_id_in_use"});
    assert_eq!(carol.err("peer.offer", description("carol", "bob", "r")).await, (-32002, in_use.clone()));
    assert_eq!(alice.err("peer.offer", description("alice", "carol", "r")).await, (-32002, in_use.clone()));
    assert_eq!(carol.err("peer.ice_candidate", candidate("carol", "bob", "r")).await, (-32004, in_use));
    let no_offer = (-32003, json!({"reason": "no_such_offer"}));
    assert_eq!(carol.err("peer.answer", description("carol", "alice", "r")).await, no_offer);
    let end =
        json!({"from": "bob", "to": "alice", "reason": "timeout", "request_id": "r", "details": "of no interest"});
    bob.notify("peer.disconnect", end).await;
    // The pings before show that the notification was looked at.
    bob.ok("peer.ping", json!({})).await;
    assert_eq!(bob.err("peer.answer", description("bob", "alice", "r")).await, no_offer);
    carol.ok("peer.offer", description("carol", "bob", "r")).await;
    let ended = json!({"from": "bob", "reason": "timeout", "request_id": "r"});
    loop {
        let (method, params) = alice.push().await;
        if method == "peer.disconnected" {
            assert_eq!(params, ended);
            break;
        }
    }
}

#[tokio::test]
async fn a_request_id_ends_when_either_of_its_pair_leaves() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::join(address, "bob").await;
    let mut carol = RawClient::join(address, "carol").await;
    let in_use = (-32002, json!({"reason": "request_id_in_use"}));
    let no_offer = (-32003, json!({"reason": "no_such_offer"}));
    // The offerer leaves.
    alice.ok("peer.offer", description("alice", "bob", "r1")).await;
    assert_eq!(carol.err("peer.offer", description("carol", "bob", "r1")).await, in_use);
    alice.ok("peer.leave", json!({})).await;
    let gone = (-32000, json!({"reason": "peer_not_found", "peer_id": "alice"}));
    assert_eq!(bob.err("peer.answer", description("bob", "alice", "r1")).await, gone);
    // It is back, but not what it asked.
    alice.announce("alice").await;
    assert_eq!(bob.err("peer.answer", description("bob", "alice", "r1")).await, no_offer);
    carol.ok("peer.offer", description("carol", "bob", "r1")).await;
    // The one that should answer leaves.
    alice.ok("peer.offer", description("alice", "bob", "r2")).await;
    assert_eq!(carol.err("peer.offer", description("carol", "bob", "r2")).await, in_use);
    bob.ok("peer.leave", json!({})).await;
    bob.announce("bob").await;
    assert_eq!(bob.err("peer.answer", description("bob", "alice", "r2")).await, no_offer);
    carol.ok("peer.offer", description("carol", "bob", "r2")).await;
}

#[tokio::test]
async fn a_request_id_that_nobody_uses_is_free_again_after_a_while() {
    let config = ServerConfig { request_id_lifetime: Duration::from_millis(200), ..ServerConfig::default() };
    let (_server, address) = start(config).await;
    let mut alice = RawClient::join(address, "alice").await;
    let _bob = RawClient::join(address, "bob").await;
    let mut carol = RawClient::join(address, "carol").await;
    alice.ok("peer.offer", description("alice", "bob", "r")).await;
    until_ok(&mut carol, "peer.offer", description("carol", "bob", "r"), -32002).await;
}

#[tokio::test]
async fn an_id_is_reserved_for_its_key_and_for_no_longer_than_agreed() {
    let config = ServerConfig { reservation: Duration::from_millis(300), ..ServerConfig::default() };
    let (server, address) = start(config).await;
    let mut alice = RawClient::join(address, "alice").await;
    drop(RawClient::join(address, "bob").await);
    assert_eq!(alice.push().await.0, "peer.announced");
    assert_eq!(alice.push().await.1, json!({"peer_id": "bob", "reason": "connection_lost"}));
    let mut successor = RawClient::connect(address).await;
    until_ok(&mut successor, "peer.announce", announce("bob"), -32000).await;
    // It came anew: it took nothing over.
    let (method, params) = alice.push().await;
    assert_eq!((method.as_str(), params.get("resumed")), ("peer.announced", None));
    assert_eq!((server.metrics().reserved, server.metrics().takeovers), (0, 0));
}

#[tokio::test]
async fn what_is_as_long_as_it_may_be_is_taken_and_what_is_longer_is_refused() {
    let (_server, address) = start(ServerConfig::default()).await;
    let longest = "Az09_-".repeat(11)[..64].to_owned();
    let mut alice = RawClient::connect(address).await;
    // With the quotes, the colon and the braces, 1 KiB of JSON.
    let note = json!({"n": "x".repeat(1_024 - 8)});
    assert_eq!(note.to_string().len(), 1_024);
    let params = with(with(announce(&longest), "room", json!(longest)), "user_data", note);
    assert_eq!(alice.ok("peer.announce", params.clone()).await["room"], json!(longest));
    let longer = with(params, "user_data", json!({"n": "x".repeat(1_024 - 7)}));
    assert_eq!(alice.err("peer.announce", longer).await, (-32602, json!({"field": "user_data"})));

    let mut bob = RawClient::connect(address).await;
    bob.ok("peer.announce", with(announce("bob"), "room", json!(longest))).await;
    // 64 characters, which are 128 bytes.
    let request = "ü".repeat(64);
    let sdp = |len: usize| format!("v=0\r\n{}", "x".repeat(len - 5));
    let offer = with(description(&longest, "bob", &request), "sdp", json!(sdp(64 << 10)));
    alice.ok("peer.offer", offer.clone()).await;
    assert_eq!(bob.push().await, ("peer.offer".to_owned(), offer));
    let too_large = json!({"reason": "too_large"});
    let offer = with(description(&longest, "bob", "r"), "sdp", json!(sdp((64 << 10) + 1)));
    assert_eq!(alice.err("peer.offer", offer).await, (-32002, too_large.clone()));
    let answer = with(description("bob", &longest, &request), "sdp", json!(sdp((64 << 10) + 1)));
    assert_eq!(bob.err("peer.answer", answer).await, (-32003, too_large.clone()));
    let answer = with(description("bob", &longest, &request), "sdp", json!("hello"));
    assert_eq!(bob.err("peer.answer", answer).await, (-32003, json!({"reason": "not_sdp"})));
    let line =
        with(candidate("bob", &longest, &request), "candidate", json!(format!("candidate:{}", "1".repeat(5_000))));
    assert_eq!(bob.err("peer.ice_candidate", line).await, (-32004, too_large));
    // The end of candidates is no candidate, but goes through.
    let end = with(candidate("bob", &longest, &request), "candidate", json!(""));
    bob.ok("peer.ice_candidate", end.clone()).await;
    assert_eq!(alice.push().await.0, "peer.announced");
    assert_eq!(alice.push().await, ("peer.ice_candidate".to_owned(), end));
}

#[tokio::test]
async fn a_full_server_and_every_refused_token_say_so() {
    let verifier = |request: &TokenRequest<'_>| match request.token {
        None => Err(TokenRefusal::Missing),
        Some("good") if request.room.as_str() == "default" => Ok(()),
        Some("good") => Err(TokenRefusal::RoomNotAllowed),
        Some(_) => Err(TokenRefusal::Invalid),
    };
    let token_verifier = Some(Arc::new(verifier) as _);
    let (_server, address) = start(ServerConfig { max_peers: 1, token_verifier, ..ServerConfig::default() }).await;
    let mut alice = RawClient::connect(address).await;
    let good = |peer| with(announce(peer), "token", json!("good"));
    for (params, reason) in [
        (announce("alice"), "missing_token"),
        (with(announce("alice"), "token", json!("bad")), "bad_token"),
        (with(good("alice"), "room", json!("vault")), "room_not_allowed"),
    ] {
        assert_eq!(alice.err("peer.announce", params).await, (-32006, json!({"reason": reason})));
    }
    alice.ok("peer.announce", good("alice")).await;
    let mut bob = RawClient::connect(address).await;
    assert_eq!(bob.err("peer.announce", good("bob")).await, (-32001, json!({"limit": 1})));
    // Without a registration nothing is heard of or said, state reports included.
    let report = state("bob", "alice");
    assert_eq!(bob.err("peer.state_changed", report).await, (-32006, json!({"reason": "not_registered"})));
    alice.ok("peer.leave", json!({})).await;
    bob.ok("peer.announce", good("bob")).await;
}

fn state(from: &str, to: &str) -> Value {
    json!({"from": from, "to": to, "connection_state": "connected", "ice_connection_state": "connected",
        "ice_gathering_state": "complete", "signaling_state": "stable", "request_id": "r",
        "timestamp": "2026-01-01T00:00:00Z"})
}

#[tokio::test]
async fn state_reports_are_checked_and_counted_and_go_to_nobody() {
    let (server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::join(address, "bob").await;
    let good = state("bob", "alice");
    for field in good.as_object().unwrap().keys() {
        let bad = with(good.clone(), field, json!([]));
        assert_eq!(bob.err("peer.state_changed", bad).await, (-32602, json!({"field": field})), "{field}");
        let mut missing = good.clone();
        missing.as_object_mut().unwrap().remove(field);
        assert_eq!(bob.err("peer.state_changed", missing).await, (-32602, json!({"field": field})), "{field}");
    }
    let wrong_from = (-32006, json!({"reason": "wrong_from"}));
    assert_eq!(bob.err("peer.state_changed", state("alice", "bob")).await, wrong_from);
    bob.notify("peer.state_changed", good.clone()).await;
    bob.notify("peer.state_changed", with(good, "timestamp", json!(1_767_225_600_000u64))).await;
    bob.ok("peer.ping", json!({})).await;
    assert_eq!(server.metrics().connection_states["connected"], 2);
    assert_eq!(alice.push().await.0, "peer.announced");
    alice.ok("peer.ping", json!({})).await;
    assert!(alice.has_no_push(), "a state report was passed on");
}

#[tokio::test]
async fn params_by_position_are_refused_by_every_method_that_has_any() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    for method in
        ["peer.announce", "peer.offer", "peer.answer", "peer.ice_candidate", "peer.state_changed", "peer.disconnect"]
    {
        let refused = (-32602, json!({"field": "params"}));
        assert_eq!(alice.err(method, json!(["alice", "bob"])).await, refused, "{method}");
    }
}

#[tokio::test]
async fn every_socket_is_pinged_with_websocket_pings() {
    use futures_util::StreamExt;
    use tokio_tungstenite::tungstenite::Message;

    let config = ServerConfig { ping_interval: Duration::from_millis(50), ..ServerConfig::default() };
    let (_server, address) = start(config).await;
    // One that never registers, too.
    let mut client = RawClient::connect(address).await;
    let mut pings = 0;
    while pings < 3 {
        let message = tokio::time::timeout(PATIENCE, client.socket.next()).await.expect("a ping");
        pings += usize::from(matches!(message.unwrap().unwrap(), Message::Ping(_)));
    }
    client.ok("peer.ping", json!({})).await;
}
