//! Rates and queues, in virtual time.

use std::time::Duration;

use remotemedia_signaling::{
    protocol::CloseCode,
    state::{RateLimit, StateConfig},
};
use serde_json::{Value, json};

use crate::virtual_server::{VirtualServer, offer};

fn limited(per_second: f64, burst: u32) -> VirtualServer {
    VirtualServer::new(StateConfig { rate_limit: RateLimit { per_second, burst }, ..StateConfig::default() })
}

#[test]
fn a_rate_is_kept_per_socket_and_the_wait_is_exact() {
    let mut server = limited(10.0, 3);
    let (eager, calm) = (server.connect(), server.connect());
    for _ in 0..3 {
        server.ok(eager, "peer.ping", json!({}));
    }
    let error = server.err(eager, "peer.ping", json!({}));
    assert_eq!((error["code"].as_i64(), &error["data"]), (Some(-32005), &json!({"retry_after_ms": 100})));
    server.ok(calm, "peer.ping", json!({}));
    server.advance(Duration::from_millis(99));
    assert_eq!(server.err(eager, "peer.ping", json!({}))["data"]["retry_after_ms"], 1);
    server.advance(Duration::from_millis(1));
    server.ok(eager, "peer.ping", json!({}));
}

#[test]
fn each_call_of_a_batch_counts_and_so_does_junk() {
    let mut server = limited(10.0, 3);
    let socket = server.connect();
    server.text(socket, "junk");
    let ping = |id| json!({"jsonrpc": "2.0", "id": id, "method": "peer.ping"});
    server.text(socket, &json!([ping(1), ping(2), ping(3), ping(4)]).to_string());
    let frames = server.inbox(socket);
    assert_eq!(frames[0]["error"]["code"], -32700);
    let codes: Vec<_> = frames[1].as_array().unwrap().iter().map(|reply| reply["error"]["code"].clone()).collect();
    assert_eq!(codes, [Value::Null, Value::Null, json!(-32005), json!(-32005)]);
}

#[test]
fn large_frames_cost_more_than_small_ones() {
    let mut server = limited(10.0, 10);
    let socket = server.connect();
    let params = json!({"pad": "x".repeat(8 * 65536)});
    server.ok(socket, "peer.ping", params.clone());
    assert_eq!(server.err(socket, "peer.ping", params)["code"], -32005);
    server.ok(socket, "peer.ping", json!({}));
}

#[test]
fn a_socket_above_its_rate_is_to_be_left_unread() {
    let mut server = limited(10.0, 1);
    let socket = server.connect();
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"peer.ping"}"#;
    assert_eq!(server.state.text(server.now, socket, ping), Duration::ZERO);
    assert!(server.state.text(server.now, socket, ping) > Duration::ZERO);
}

#[test]
fn a_queue_of_256_messages_is_full_and_one_more_closes_the_socket() {
    let mut server = limited(1e6, 100_000);
    let slow = server.join("slow");
    let fast = server.join("fast");
    let third = server.join("third");
    server.inbox(slow);
    server.inbox(third);
    server.stalled.push(slow);
    for n in 0..256 {
        server.ok(fast, "peer.offer", offer("fast", "slow", &format!("r{}", n % 8)));
    }
    assert!(server.closed.is_empty());
    assert_eq!(server.inbox(slow).len(), 256);
    server.ok(fast, "peer.offer", offer("fast", "slow", "r0"));
    assert_eq!(server.closed[&slow], CloseCode::TryAgainLater);
    assert_eq!(server.inbox(third)[0]["params"], json!({"peer_id": "slow", "reason": "connection_lost"}));
    assert_eq!(server.err(fast, "peer.offer", offer("fast", "slow", "r0"))["data"]["reason"], "peer_not_found");
}

#[test]
fn a_queue_of_4_mib_is_full_whatever_the_number_of_messages() {
    let mut server = limited(1e6, 100_000);
    let slow = server.join("slow");
    let fast = server.join("fast");
    server.inbox(slow);
    server.stalled.push(slow);
    let mut params = offer("fast", "slow", "r");
    params["sdp"] = json!(format!("v=0{}", "x".repeat(64 * 1024 - 3)));
    let mut bytes = 0;
    while server.closed.is_empty() {
        server.ok(fast, "peer.offer", params.clone());
        bytes += server.inbox(slow).iter().map(|frame| frame.to_string().len()).sum::<usize>();
    }
    assert!((4 << 20) - 66_000 < bytes && bytes <= 4 << 20, "{bytes} bytes were queued");
}

#[test]
fn a_broadcast_that_fills_several_queues_closes_each_and_tells_the_rest() {
    let mut server = limited(1e6, 100_000);
    let peers: Vec<_> = (0..6).map(|n| server.join(&format!("p{n}"))).collect();
    for peer in &peers {
        server.inbox(*peer);
    }
    server.stalled.extend(&peers[..3]);
    let guest = server.connect();
    while server.closed.is_empty() {
        server.announce(guest, "guest");
        server.ok(guest, "peer.leave", json!({}));
    }
    assert_eq!(server.closed.len(), 3);
    let told: Vec<_> =
        server.inbox(peers[5]).into_iter().filter(|frame| frame["params"]["reason"] == "connection_lost").collect();
    assert_eq!(told.len(), 3);
    assert_eq!(server.ok(peers[5], "peer.list", json!({}))["peers"].as_array().unwrap().len(), 2);
}
