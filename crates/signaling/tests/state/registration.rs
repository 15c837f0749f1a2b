//! Registering, resuming and leaving, in virtual time.

use std::time::Duration;

use crate::virtual_server::{VirtualServer, offer};
use remotemedia_signaling::{
    protocol::{CloseCode, RoomId},
    state::{ServerFull, StateConfig, TokenRefusal, TokenRequest},
};
use serde_json::json;

fn server() -> VirtualServer {
    VirtualServer::new(StateConfig::default())
}

#[test]
fn the_announce_result_has_the_contracts_shape() {
    let mut server = server();
    let alice = server.connect();
    let params = json!({"peer_id": "alice", "capabilities": ["audio", "video"], "user_data": {"name": "Alice"}});
    let result = server.ok(alice, "peer.announce", params);
    assert_eq!(result["status"], "registered");
    assert_eq!(result["peer_id"], "alice");
    assert_eq!(result["room"], "default");
    assert_eq!(result["server_time"], "1970-01-01T00:00:00Z");
    assert_eq!(result["session_key"].as_str().unwrap().len(), 32, "128 bits in hexadecimal");
    assert_eq!(result["peers"], json!([]));
    assert_eq!(result["ice_servers"], json!([]));

    server.advance(Duration::from_millis(1500));
    let bob = server.connect();
    let result = server.announce(bob, "bob");
    let record = json!({"peer_id": "alice", "capabilities": ["audio", "video"], "user_data": {"name": "Alice"}});
    assert_eq!(result["peers"], json!([record]));
    let push = json!({"jsonrpc": "2.0", "method": "peer.announced", "params":
        {"peer_id": "bob", "capabilities": ["audio"], "announced_at": "1970-01-01T00:00:01.5Z"}});
    assert_eq!(server.inbox(alice), [push]);
    assert_eq!(server.inbox(bob), [] as [serde_json::Value; 0]);
    assert_eq!(server.ok(bob, "peer.list", json!({}))["peers"], json!([record]));
}

#[test]
fn rooms_neither_see_nor_reach_each_other() {
    let mut server = server();
    let alice = server.join("alice");
    let bob = server.connect();
    let result = server.ok(bob, "peer.announce", json!({"peer_id": "bob", "capabilities": ["data"], "room": "attic"}));
    assert_eq!(result["room"], "attic");
    assert_eq!(result["peers"], json!([]));
    assert!(server.inbox(alice).is_empty());
    let error = server.err(alice, "peer.offer", offer("alice", "bob", "r"));
    assert_eq!((error["code"].as_i64(), &error["data"]["reason"]), (Some(-32000), &json!("peer_not_found")));
    // The same id in another room is another peer.
    let other = server.connect();
    server.ok(other, "peer.announce", json!({"peer_id": "alice", "capabilities": ["data"], "room": "attic"}));
}

#[test]
fn a_second_announce_with_the_same_id_updates_the_record() {
    let mut server = server();
    let alice = server.join("alice");
    let bob = server.join("bob");
    server.inbox(alice);
    server.ok(bob, "peer.announce", json!({"peer_id": "bob", "capabilities": ["video"]}));
    assert_eq!(server.ok(alice, "peer.list", json!({}))["peers"][0]["capabilities"], json!(["video"]));
    assert!(server.inbox(alice).is_empty(), "peer.announced names each peer once");
    for params in [
        json!({"peer_id": "bert", "capabilities": ["audio"]}),
        json!({"peer_id": "bob", "capabilities": ["audio"], "room": "attic"}),
    ] {
        let error = server.err(bob, "peer.announce", params);
        assert_eq!((error["code"].as_i64(), &error["data"]["reason"]), (Some(-32006), &json!("already_registered")));
    }
}

#[test]
fn a_peer_that_leaves_is_gone_and_its_socket_is_not() {
    let mut server = server();
    let alice = server.join("alice");
    let bob = server.join("bob");
    server.inbox(alice);
    assert_eq!(server.ok(bob, "peer.leave", json!({}))["status"], "left");
    assert_eq!(server.inbox(alice)[0]["params"], json!({"peer_id": "bob", "reason": "left"}));
    assert_eq!(server.err(bob, "peer.list", json!({}))["data"]["reason"], "not_registered");
    server.announce(bob, "bert");
    let taker = server.connect();
    server.announce(taker, "bob");
}

#[test]
fn a_lost_connection_reserves_the_id_for_60_seconds() {
    let mut server = server();
    let alice = server.join("alice");
    let bob = server.connect();
    let key = server.announce(bob, "bob")["session_key"].clone();
    server.inbox(alice);
    server.hang_up(bob);
    assert_eq!(server.inbox(alice)[0]["params"], json!({"peer_id": "bob", "reason": "connection_lost"}));
    assert_eq!(server.ok(alice, "peer.list", json!({}))["peers"], json!([]));
    assert_eq!(server.err(alice, "peer.offer", offer("alice", "bob", "r"))["data"]["reason"], "peer_not_found");

    server.advance(Duration::from_millis(59_999));
    let thief = server.connect();
    for key in [None, Some(json!("0".repeat(32))), Some(json!(""))] {
        let error = server.err(
            thief,
            "peer.announce",
            json!({"peer_id": "bob", "capabilities": ["audio"], "session_key": key}),
        );
        assert_eq!(error["code"], -32000);
        assert_eq!(error["data"], json!({"reason": "peer_exists", "peer_id": "bob"}));
    }
    let back = server.connect();
    let params = json!({"peer_id": "bob", "capabilities": ["audio"], "session_key": key});
    let result = server.ok(back, "peer.announce", params.clone());
    assert_ne!(result["session_key"], key, "a key is good once");
    let push = &server.inbox(alice)[0];
    assert_eq!((&push["method"], &push["params"]["resumed"]), (&json!("peer.announced"), &json!(true)));
    assert_eq!(server.err(thief, "peer.announce", params)["code"], -32000, "an old key opens nothing");

    server.hang_up(back);
    server.advance(Duration::from_secs(60));
    server.announce(thief, "bob");
    assert_eq!(server.state.metrics().reserved, 0);
}

#[test]
fn a_session_key_takes_a_live_registration_over() {
    let mut server = server();
    let alice = server.join("alice");
    let old = server.connect();
    let key = server.announce(old, "bob")["session_key"].clone();
    server.inbox(alice);
    let new = server.connect();
    let result =
        server.ok(new, "peer.announce", json!({"peer_id": "bob", "capabilities": ["data"], "session_key": key}));
    assert_eq!(result["peers"][0]["peer_id"], "alice");
    assert_eq!(server.closed[&old], CloseCode::TakenOver);
    let pushes = server.inbox(alice);
    assert_eq!(pushes[0]["params"], json!({"peer_id": "bob", "reason": "replaced"}));
    assert_eq!((&pushes[1]["method"], &pushes[1]["params"]["resumed"]), (&json!("peer.announced"), &json!(true)));

    server.hang_up(old); // late
    assert!(server.inbox(alice).is_empty());
    server.ok(alice, "peer.offer", offer("alice", "bob", "r"));
    assert_eq!(server.inbox(new)[0]["method"], "peer.offer");
    assert!(server.inbox(old).is_empty());
}

#[test]
fn a_key_that_nothing_is_held_for_is_no_obstacle() {
    let mut server = server();
    let bob = server.connect();
    let params = json!({"peer_id": "bob", "capabilities": ["audio"], "session_key": "from before the restart"});
    server.ok(bob, "peer.announce", params);
}

#[test]
fn a_peer_that_answers_no_ping_is_gone_after_45_seconds() {
    let mut server = server();
    let alice = server.join("alice");
    let bob = server.join("bob");
    server.inbox(alice);
    server.advance(Duration::from_secs(20)); // bob answered the ping at 15 s
    server.answers_pings.insert(bob, false);
    server.advance(Duration::from_millis(39_999));
    assert!(server.closed.is_empty() && server.inbox(alice).is_empty());
    server.advance(Duration::from_millis(1));
    assert_eq!(server.closed[&bob], CloseCode::GoingAway);
    assert_eq!(server.inbox(alice)[0]["params"], json!({"peer_id": "bob", "reason": "timeout"}));
    assert_eq!(server.state.connections(), 1);
}

#[test]
fn full_rooms_and_servers_say_how_many_fit() {
    let config = StateConfig { max_peers_per_room: 2, max_peers: 3, max_connections: 5, ..StateConfig::default() };
    let mut server = VirtualServer::new(config);
    server.join("a");
    let b = server.join("b");
    let late = server.connect();
    let error = server.err(late, "peer.announce", json!({"peer_id": "c", "capabilities": ["audio"]}));
    assert_eq!((error["code"].as_i64(), &error["data"]), (Some(-32001), &json!({"limit": 2})));
    server.ok(late, "peer.announce", json!({"peer_id": "c", "capabilities": ["audio"], "room": "second"}));
    let last = server.connect();
    let error = server.err(last, "peer.announce", json!({"peer_id": "d", "capabilities": ["audio"], "room": "third"}));
    assert_eq!((error["code"].as_i64(), &error["data"]), (Some(-32001), &json!({"limit": 3})));
    server.ok(b, "peer.leave", json!({}));
    server.announce(last, "d");
    server.connect();
    assert_eq!(server.state.open(server.now).unwrap_err(), ServerFull::Connections { limit: 5 });
}

#[test]
fn tokens_decide_who_gets_in() {
    let verifier = |request: &TokenRequest<'_>| match request.token {
        None => Err(TokenRefusal::Missing),
        Some("good") if request.room.as_str() == "default" => Ok(()),
        Some("good") => Err(TokenRefusal::RoomNotAllowed),
        Some("old") => Err(TokenRefusal::Expired),
        Some(_) => Err(TokenRefusal::Invalid),
    };
    let config = StateConfig { token_verifier: Some(std::sync::Arc::new(verifier)), ..StateConfig::default() };
    let mut server = VirtualServer::new(config);
    let bob = server.connect();
    let announce = |token, room| json!({"peer_id": "bob", "capabilities": ["audio"], "token": token, "room": room});
    for (token, room, reason) in [
        (None, "default", "missing_token"),
        (Some("bad"), "default", "bad_token"),
        (Some("old"), "default", "expired_token"),
        (Some("good"), "vault", "room_not_allowed"),
    ] {
        let error = server.err(bob, "peer.announce", announce(token, room));
        assert_eq!((error["code"].as_i64(), &error["data"]), (Some(-32006), &json!({"reason": reason})));
    }
    server.ok(bob, "peer.announce", announce(Some("good"), "default"));
}

#[test]
fn what_a_panicking_token_verifier_says_is_for_the_operator_alone() {
    let verifier = |request: &TokenRequest<'_>| -> Result<(), TokenRefusal> {
        match request.token {
            Some("text") => panic!("no text"),
            Some(token) => panic!("no such token as {token}"),
            None => std::panic::panic_any(5),
        }
    };
    let config = StateConfig { token_verifier: Some(std::sync::Arc::new(verifier)), ..StateConfig::default() };
    let mut server = VirtualServer::new(config);
    let bob = server.connect();
    for (token, said) in
        [(Some("text"), "no text"), (Some("s3cret"), "no such token as s3cret"), (None, "a value that is no text")]
    {
        let announce = json!({"peer_id": "bob", "capabilities": ["audio"], "token": token});
        let error = server.err(bob, "peer.announce", announce.clone());
        assert_eq!((error["code"].as_i64(), error.get("data")), (Some(-32603), None));
        assert!(!error["message"].as_str().unwrap().contains(said), "{error}");
        // One that wants no answer is told to the operator, too.
        server.notify(bob, "peer.announce", announce);
        let told = (bob, said.to_owned());
        assert_eq!(std::mem::take(&mut server.panics), [told.clone(), told]);
    }
    assert!(server.closed.is_empty());
    assert_eq!((server.state.metrics().peers, server.state.metrics().errors[&-32603]), (0, 3));
}

#[test]
fn an_operator_can_remove_a_peer() {
    let mut server = server();
    let alice = server.join("alice");
    let bob = server.join("bob");
    server.inbox(alice);
    assert!(server.state.kick(server.now, &RoomId::default(), &"bob".parse().unwrap()));
    server.drain();
    assert_eq!(server.closed[&bob], CloseCode::Policy);
    assert_eq!(server.inbox(alice)[0]["params"], json!({"peer_id": "bob", "reason": "kicked"}));
    assert!(!server.state.kick(server.now, &RoomId::default(), &"bob".parse().unwrap()));
    server.join("bob");
}

#[test]
fn the_same_seed_makes_the_same_keys_and_each_key_differs() {
    let keys = || {
        let mut server = server();
        ["a", "b"].map(|peer| {
            let connection = server.connect();
            server.announce(connection, peer)["session_key"].clone()
        })
    };
    assert_eq!(keys(), keys());
    assert_ne!(keys()[0], keys()[1]);
}
