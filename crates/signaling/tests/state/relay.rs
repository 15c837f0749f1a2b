//! Offers, answers, candidates and disconnects between peers, in virtual time.

use std::time::Duration;

use crate::virtual_server::{VirtualServer, candidate, offer};
use remotemedia_signaling::state::StateConfig;
use serde_json::{Value, json};

fn three() -> (VirtualServer, [remotemedia_signaling::state::ConnectionId; 3]) {
    let mut server = VirtualServer::new(StateConfig::default());
    let peers = ["alice", "bob", "carol"].map(|peer| server.join(peer));
    for peer in peers {
        server.inbox(peer);
    }
    (server, peers)
}

fn push(method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "method": method, "params": params})
}

#[test]
fn messages_arrive_as_they_were_sent() {
    let (mut server, [alice, bob, carol]) = three();
    let mut params = offer("alice", "bob", "r1");
    params["x_unknown"] = json!({"kept": true});
    let forwarded = json!({"status": "forwarded", "request_id": "r1"});
    assert_eq!(server.ok(alice, "peer.offer", params.clone()), forwarded);
    assert_eq!(server.ok(bob, "peer.answer", offer("bob", "alice", "r1")), forwarded);
    assert_eq!(server.ok(alice, "peer.ice_candidate", candidate("alice", "bob", "r1")), forwarded);
    let end = json!({"from": "alice", "to": "bob", "candidate": "", "sdp_mid": null, "sdp_m_line_index": null,
        "user_fragment": "abcd", "request_id": "r1"});
    server.notify(alice, "peer.ice_candidate", end.clone());
    let expected = [
        push("peer.offer", params),
        push("peer.ice_candidate", candidate("alice", "bob", "r1")),
        push("peer.ice_candidate", end),
    ];
    assert_eq!(server.inbox(bob), expected);
    assert_eq!(server.inbox(alice), [push("peer.answer", offer("bob", "alice", "r1"))]);
    assert!(server.inbox(carol).is_empty());
}

#[test]
fn a_disconnect_reaches_the_other_peer_without_its_details() {
    let (mut server, [alice, bob, _]) = three();
    let params = json!({"from": "alice", "to": "bob", "reason": "user_requested", "details": "bye", "request_id": "r"});
    assert_eq!(server.ok(alice, "peer.disconnect", params), json!({"status": "forwarded"}));
    server.notify(alice, "peer.disconnect", json!({"from": "alice", "to": "bob", "reason": "timeout"}));
    let expected = [
        push("peer.disconnected", json!({"from": "alice", "reason": "user_requested", "request_id": "r"})),
        push("peer.disconnected", json!({"from": "alice", "reason": "timeout"})),
    ];
    assert_eq!(server.inbox(bob), expected);
}

#[test]
fn an_answer_needs_an_offer_and_offers_and_candidates_do_not() {
    let (mut server, [alice, bob, _]) = three();
    let error = server.err(bob, "peer.answer", offer("bob", "alice", "unknown"));
    assert_eq!((error["code"].as_i64(), &error["data"]), (Some(-32003), &json!({"reason": "no_such_offer"})));
    server.ok(alice, "peer.ice_candidate", candidate("alice", "bob", "before the restart"));
    server.ok(alice, "peer.offer", offer("alice", "bob", "r"));
    let error = server.err(alice, "peer.answer", offer("alice", "bob", "r"));
    assert_eq!(error["code"], -32003, "nobody answers its own offer");
    server.ok(bob, "peer.answer", offer("bob", "alice", "r"));
}

#[test]
fn a_request_id_belongs_to_its_pair_and_is_reused_by_it() {
    let (mut server, [alice, bob, carol]) = three();
    server.ok(alice, "peer.offer", offer("alice", "bob", "r"));
    server.ok(bob, "peer.answer", offer("bob", "alice", "r"));
    server.ok(alice, "peer.offer", offer("alice", "bob", "r")); // renegotiation
    server.ok(bob, "peer.answer", offer("bob", "alice", "r"));

    let error = server.err(carol, "peer.offer", offer("carol", "bob", "r"));
    assert_eq!((error["code"].as_i64(), &error["data"]), (Some(-32002), &json!({"reason": "request_id_in_use"})));
    assert_eq!(server.err(alice, "peer.offer", offer("alice", "carol", "r"))["code"], -32002);
    let error = server.err(carol, "peer.ice_candidate", candidate("carol", "bob", "r"));
    assert_eq!((error["code"].as_i64(), &error["data"]), (Some(-32004), &json!({"reason": "request_id_in_use"})));
    assert_eq!(server.err(carol, "peer.answer", offer("carol", "alice", "r"))["code"], -32003);
}

#[test]
fn a_disconnect_ends_the_request_id() {
    for ended_by in [json!("r"), Value::Null] {
        let (mut server, [alice, bob, carol]) = three();
        server.ok(alice, "peer.offer", offer("alice", "bob", "r"));
        let params = json!({"from": "bob", "to": "alice", "reason": "error", "request_id": ended_by});
        server.ok(bob, "peer.disconnect", params);
        assert_eq!(server.err(bob, "peer.answer", offer("bob", "alice", "r"))["code"], -32003);
        server.ok(carol, "peer.offer", offer("carol", "bob", "r"));
    }
}

#[test]
fn a_disconnect_of_strangers_ends_nothing() {
    let (mut server, [alice, bob, carol]) = three();
    server.ok(alice, "peer.offer", offer("alice", "bob", "r"));
    let params = json!({"from": "carol", "to": "alice", "reason": "error", "request_id": "r"});
    server.ok(carol, "peer.disconnect", params);
    server.ok(bob, "peer.answer", offer("bob", "alice", "r"));
}

#[test]
fn leaving_ends_the_request_id_and_a_lost_connection_does_not() {
    let (mut server, [alice, bob, carol]) = three();
    server.ok(alice, "peer.offer", offer("alice", "bob", "r"));
    server.ok(alice, "peer.leave", json!({}));
    server.ok(carol, "peer.offer", offer("carol", "bob", "r"));

    let dave = server.connect();
    let key = server.announce(dave, "dave")["session_key"].clone();
    server.ok(dave, "peer.offer", offer("dave", "bob", "r2"));
    server.hang_up(dave);
    let dave = server.connect();
    server.ok(dave, "peer.announce", json!({"peer_id": "dave", "capabilities": ["audio"], "session_key": key}));
    server.ok(bob, "peer.answer", offer("bob", "dave", "r2"));
}

#[test]
fn ten_minutes_of_silence_end_the_request_id_and_any_use_keeps_it() {
    let (mut server, [alice, bob, carol]) = three();
    server.ok(alice, "peer.offer", offer("alice", "bob", "r"));
    server.advance(Duration::from_secs(599));
    server.ok(bob, "peer.ice_candidate", candidate("bob", "alice", "r"));
    server.advance(Duration::from_secs(599));
    server.ok(bob, "peer.answer", offer("bob", "alice", "r"));
    server.advance(Duration::from_secs(600));
    assert_eq!(server.err(bob, "peer.answer", offer("bob", "alice", "r"))["code"], -32003);
    server.ok(carol, "peer.offer", offer("carol", "bob", "r"));
}

#[test]
fn request_ids_are_bounded_per_peer() {
    let config = StateConfig {
        rate_limit: remotemedia_signaling::state::RateLimit { per_second: 1e6, burst: 10_000 },
        ..StateConfig::default()
    };
    let mut server = VirtualServer::new(config);
    let alice = server.join("alice");
    let bob = server.join("bob");
    for n in 0..1024 {
        server.ok(alice, "peer.offer", offer("alice", "bob", &format!("r{n}")));
    }
    let error = server.err(alice, "peer.offer", offer("alice", "bob", "one more"));
    assert_eq!((error["code"].as_i64(), &error["data"]["reason"]), (Some(-32002), &json!("too_many_request_ids")));
    server.ok(alice, "peer.offer", offer("alice", "bob", "r5"));
    server.ok(bob, "peer.offer", offer("bob", "alice", "of bob"));
    server.ok(alice, "peer.disconnect", json!({"from": "alice", "to": "bob", "reason": "error"}));
    server.ok(alice, "peer.offer", offer("alice", "bob", "one more"));
}

#[test]
fn contents_are_checked() {
    let (mut server, [alice, ..]) = three();
    let mut big = offer("alice", "bob", "r");
    big["sdp"] = json!(format!("v=0{}", "x".repeat(64 * 1024 - 3)));
    server.ok(alice, "peer.offer", big.clone());
    big["sdp"] = json!(format!("v=0{}", "x".repeat(64 * 1024 - 2)));
    let mut junk = offer("alice", "bob", "r");
    junk["sdp"] = json!("hello");
    for (method, code) in [("peer.offer", -32002), ("peer.answer", -32003)] {
        let error = server.err(alice, method, big.clone());
        assert_eq!((error["code"].as_i64(), &error["data"]["reason"]), (Some(code), &json!("too_large")));
        let error = server.err(alice, method, junk.clone());
        assert_eq!((error["code"].as_i64(), &error["data"]["reason"]), (Some(code), &json!("not_sdp")));
    }
    for (text, reason) in [
        ("a=candidate:1", "not_a_candidate"),
        ("candidate:1\r\na=evil", "not_a_candidate"),
        ("hello", "not_a_candidate"),
        (&format!("candidate:{}", "1".repeat(5000)), "too_large"),
    ] {
        let mut params = candidate("alice", "bob", "r");
        params["candidate"] = json!(text);
        let error = server.err(alice, "peer.ice_candidate", params);
        assert_eq!((error["code"].as_i64(), &error["data"]["reason"]), (Some(-32004), &json!(reason)), "{text}");
    }
}

#[test]
fn nobody_speaks_for_someone_else_or_to_itself() {
    let (mut server, [alice, bob, _]) = three();
    let disconnect = |from, to| json!({"from": from, "to": to, "reason": "error"});
    for (method, params) in [
        ("peer.offer", offer("bob", "carol", "r")),
        ("peer.answer", offer("bob", "carol", "r")),
        ("peer.ice_candidate", candidate("bob", "carol", "r")),
        ("peer.disconnect", disconnect("bob", "carol")),
    ] {
        let error = server.err(alice, method, params);
        assert_eq!(
            (error["code"].as_i64(), &error["data"]["reason"]),
            (Some(-32006), &json!("wrong_from")),
            "{method}"
        );
    }
    let error = server.err(alice, "peer.offer", offer("alice", "alice", "r"));
    assert_eq!((error["code"].as_i64(), &error["data"]["field"]), (Some(-32602), &json!("to")));
    assert!(server.inbox(bob).is_empty());
}

#[test]
fn state_reports_feed_the_metrics_and_go_no_further() {
    let (mut server, [alice, bob, _]) = three();
    let report = |from: &str, state: &str| {
        json!({"from": from, "to": "bob", "connection_state": state, "ice_connection_state": "connected",
            "ice_gathering_state": "complete", "signaling_state": "stable", "request_id": "r", "timestamp": 1})
    };
    server.notify(alice, "peer.state_changed", report("alice", "connected"));
    server.notify(alice, "peer.state_changed", report("alice", "no state of this world"));
    server.notify(alice, "peer.state_changed", report("carol", "failed"));
    let metrics = server.state.metrics();
    assert_eq!(metrics.connection_states, [("connected", 1), ("other", 1)].into());
    assert_eq!(metrics.notifications_ignored, 1);
    assert!(server.inbox(alice).is_empty() && server.inbox(bob).is_empty());
}
