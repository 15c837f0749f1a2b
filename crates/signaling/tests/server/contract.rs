//! Every method, notification and error code of the contract.

use futures_util::{SinkExt, StreamExt};
use remotemedia_signaling::{
    protocol::IceServer,
    server::{RateLimit, ServerConfig, TokenRefusal, TokenRequest},
};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use crate::raw_client::{PATIENCE, RawClient, candidate, description, start};

#[tokio::test]
async fn a_call_is_set_up_and_ended_as_the_contract_says() {
    let ice_servers = vec![IceServer { urls: vec!["stun:stun.example:3478".into()], username: None, credential: None }];
    let (_server, address) = start(ServerConfig { ice_servers, ..ServerConfig::default() }).await;
    let mut alice = RawClient::connect(address).await;
    let params = json!({"peer_id": "alice", "capabilities": ["audio", "video"], "user_data": {"n": 1}, "later": true});
    let result = alice.ok("peer.announce", params).await;
    for (field, expected) in [
        ("status", json!("registered")),
        ("peer_id", json!("alice")),
        ("room", json!("default")),
        ("peers", json!([])),
        ("ice_servers", json!([{"urls": ["stun:stun.example:3478"]}])),
    ] {
        assert_eq!(result[field], expected);
    }
    assert!(result["server_time"].as_str().unwrap().ends_with('Z'));
    assert_eq!(result["session_key"].as_str().unwrap().len(), 32);

    let mut bob = RawClient::connect(address).await;
    let peers = bob.announce("bob").await["peers"].clone();
    let record = json!({"peer_id": "alice", "capabilities": ["audio", "video"], "user_data": {"n": 1}});
    assert_eq!(peers, json!([record]));
    let (method, params) = alice.push().await;
    assert_eq!((method.as_str(), &params["peer_id"]), ("peer.announced", &json!("bob")));
    assert!(params["announced_at"].is_string() && params.get("resumed").is_none());
    assert_eq!(bob.ok("peer.list", Value::Null).await, json!({"peers": [record]}));

    let forwarded = json!({"status": "forwarded", "request_id": "r"});
    assert_eq!(bob.ok("peer.offer", description("bob", "alice", "r")).await, forwarded);
    assert_eq!(alice.push().await, ("peer.offer".to_owned(), description("bob", "alice", "r")));
    assert_eq!(alice.ok("peer.answer", description("alice", "bob", "r")).await, forwarded);
    assert_eq!(bob.push().await, ("peer.answer".to_owned(), description("alice", "bob", "r")));
    assert_eq!(alice.ok("peer.ice_candidate", candidate("alice", "bob", "r")).await, forwarded);
    alice.notify("peer.ice_candidate", candidate("alice", "bob", "r")).await;
    for _ in 0..2 {
        assert_eq!(bob.push().await, ("peer.ice_candidate".to_owned(), candidate("alice", "bob", "r")));
    }
    let disconnect = json!({"from": "alice", "to": "bob", "reason": "user_requested", "request_id": "r"});
    assert_eq!(alice.ok("peer.disconnect", disconnect).await, json!({"status": "forwarded"}));
    let params = json!({"from": "alice", "reason": "user_requested", "request_id": "r"});
    assert_eq!(bob.push().await, ("peer.disconnected".to_owned(), params));
    assert_eq!(alice.ok("peer.ping", Value::Null).await, json!({}));
    assert_eq!(alice.ok("peer.leave", json!({})).await, json!({"status": "left"}));
    assert_eq!(bob.push().await, ("peer.left".to_owned(), json!({"peer_id": "alice", "reason": "left"})));
}

#[tokio::test]
async fn requests_that_are_none_are_told_apart() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut client = RawClient::connect(address).await;
    for (text, id, code) in [
        ("{", Value::Null, -32700),
        ("garbage \u{1F4A9}", Value::Null, -32700),
        ("[1,", Value::Null, -32700),
        ("5", Value::Null, -32600),
        ("{}", Value::Null, -32600),
        ("[]", Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":3}"#, json!(3), -32600),
        (r#"{"jsonrpc":"1.0","id":3,"method":"peer.ping"}"#, json!(3), -32600),
        (r#"{"jsonrpc":"2.0","id":-3,"method":"peer.ping"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":1.5,"method":"peer.ping"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"peer.ping"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":null,"method":"peer.ping"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":true,"method":"peer.ping"}"#, Value::Null, -32600),
        (r#"{"jsonrpc":"2.0","id":4,"method":"peer.ping","params":7}"#, json!(4), -32600),
        (r#"{"jsonrpc":"2.0","id":"x","method":"peer.dance"}"#, json!("x"), -32601),
        (r#"{"jsonrpc":"2.0","id":"x","method":"peer.announce","params":["a"]}"#, json!("x"), -32602),
    ] {
        client.send(text).await;
        let response = client.frame().await;
        assert_eq!((&response["id"], &response["error"]["code"]), (&id, &json!(code)), "{text}: {response}");
        assert_eq!(response["jsonrpc"], "2.0");
    }
    client.ok("peer.ping", json!({})).await;
}

#[tokio::test]
async fn ids_come_back_as_they_were() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut client = RawClient::connect(address).await;
    for id in [json!(0), json!(u64::MAX), json!(""), json!("0"), json!("ü\n")] {
        for _ in 0..2 {
            // Even twice: what ids mean is the caller's business.
            client.send(json!({"jsonrpc": "2.0", "id": id, "method": "peer.ping"}).to_string()).await;
            assert_eq!(client.frame().await, json!({"jsonrpc": "2.0", "id": id, "result": {}}));
        }
    }
}

#[tokio::test]
async fn batches_are_answered_in_order_and_notifications_not_at_all() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut client = RawClient::connect(address).await;
    let ping = |id: u64| json!({"jsonrpc": "2.0", "id": id, "method": "peer.ping"});
    let note = json!({"jsonrpc": "2.0", "method": "peer.ping"});
    let announce = json!({"jsonrpc": "2.0", "id": 9, "method": "peer.announce",
        "params": {"peer_id": "a", "capabilities": ["data"]}});
    let batch = json!([ping(1), note, 5, announce, {"jsonrpc": "2.0", "id": 2, "method": "peer.list"}, ping(3)]);
    client.send(batch.to_string()).await;
    let replies = client.frame().await;
    let ids: Vec<_> = replies.as_array().unwrap().iter().map(|reply| reply["id"].clone()).collect();
    assert_eq!(ids, [json!(1), Value::Null, json!(9), json!(2), json!(3)]);
    assert_eq!(replies[1]["error"]["code"], -32600);
    assert_eq!(replies[3]["result"]["peers"], json!([]));

    client.send(json!([note, note]).to_string()).await;
    client.send(json!({"jsonrpc": "2.0", "method": "no.such.method"}).to_string()).await;
    client.send(Value::from((0..32).map(ping).collect::<Vec<_>>()).to_string()).await;
    assert_eq!(client.frame().await.as_array().unwrap().len(), 32, "the first thing to come back");
    client.send(Value::from((0..33).map(ping).collect::<Vec<_>>()).to_string()).await;
    let refused = client.frame().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&Value::Null, &json!(-32600)));
}

#[tokio::test]
async fn a_missing_or_ill_typed_field_is_named() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let announce = json!({"peer_id": "alice", "capabilities": ["audio"]});
    let offer = description("alice", "bob", "r");
    let ice = candidate("alice", "bob", "r");
    let disconnect = json!({"from": "alice", "to": "bob", "reason": "error"});
    let long = "x".repeat(65);
    let big = json!({"x": "y".repeat(1024)});
    let cases = [
        ("peer.announce", &announce, "peer_id", vec![json!(5), json!(""), json!("a b"), json!(long), Value::Null]),
        (
            "peer.announce",
            &announce,
            "capabilities",
            vec![json!([]), json!("audio"), json!(["smell"]), json!([1]), Value::Null],
        ),
        ("peer.announce", &announce, "room", vec![json!(1), json!(""), json!("a/b"), json!(long)]),
        ("peer.announce", &announce, "user_data", vec![json!(1), json!("x"), json!([]), big]),
        ("peer.announce", &announce, "token", vec![json!(1)]),
        ("peer.announce", &announce, "session_key", vec![json!(1)]),
        ("peer.offer", &offer, "from", vec![json!(1), json!("ü")]),
        ("peer.offer", &offer, "to", vec![json!({}), json!("")]),
        ("peer.offer", &offer, "sdp", vec![json!(1), Value::Null]),
        ("peer.offer", &offer, "can_trickle_ice_candidates", vec![json!("yes"), json!(1)]),
        ("peer.offer", &offer, "request_id", vec![json!(1), json!(""), json!(long)]),
        ("peer.answer", &offer, "sdp", vec![json!(1)]),
        ("peer.ice_candidate", &ice, "candidate", vec![json!(1), Value::Null]),
        ("peer.ice_candidate", &ice, "sdp_mid", vec![json!(1)]),
        ("peer.ice_candidate", &ice, "sdp_m_line_index", vec![json!("0"), json!(-1), json!(0.5), json!(65536)]),
        ("peer.ice_candidate", &ice, "user_fragment", vec![json!(1)]),
        ("peer.ice_candidate", &ice, "request_id", vec![json!([])]),
        ("peer.disconnect", &disconnect, "reason", vec![json!(1), json!("")]),
        ("peer.disconnect", &disconnect, "details", vec![json!(1)]),
        ("peer.disconnect", &disconnect, "request_id", vec![json!(1), json!("")]),
    ];
    let optional = ["room", "user_data", "token", "session_key", "user_fragment", "details"];
    for (method, good, field, bad) in cases {
        for value in bad {
            let mut params = good.clone();
            params[field] = value;
            assert_eq!(alice.err(method, params.clone()).await, (-32602, json!({"field": field})), "{method} {params}");
        }
        if !optional.contains(&field) && (method, field) != ("peer.disconnect", "request_id") {
            let mut params = good.clone();
            params.as_object_mut().unwrap().remove(field);
            assert_eq!(alice.err(method, params).await, (-32602, json!({"field": field})), "{method} without {field}");
        }
    }
}

#[tokio::test]
async fn refusals_carry_the_contracts_codes_and_data() {
    let verifier = |request: &TokenRequest<'_>| match request.token {
        Some("expired") => Err(TokenRefusal::Expired),
        _ => Ok(()),
    };
    let config = ServerConfig {
        max_peers_per_room: 2,
        token_verifier: Some(std::sync::Arc::new(verifier)),
        ..ServerConfig::default()
    };
    let (_server, address) = start(config).await;
    let mut stranger = RawClient::connect(address).await;
    let not_registered = (-32006, json!({"reason": "not_registered"}));
    for method in ["peer.list", "peer.offer", "peer.answer", "peer.ice_candidate", "peer.disconnect", "peer.leave"] {
        assert_eq!(stranger.err(method, json!({})).await, not_registered, "{method}");
    }
    let expired = json!({"peer_id": "x", "capabilities": ["audio"], "token": "expired"});
    assert_eq!(stranger.err("peer.announce", expired).await, (-32006, json!({"reason": "expired_token"})));

    let mut alice = RawClient::join(address, "alice").await;
    let _bob = RawClient::join(address, "bob").await;
    let taken = json!({"peer_id": "alice", "capabilities": ["audio"]});
    let exists = (-32000, json!({"reason": "peer_exists", "peer_id": "alice"}));
    assert_eq!(stranger.err("peer.announce", taken).await, exists);
    let third = json!({"peer_id": "carol", "capabilities": ["audio"]});
    assert_eq!(stranger.err("peer.announce", third).await, (-32001, json!({"limit": 2})));

    let not_found = (-32000, json!({"reason": "peer_not_found", "peer_id": "nobody"}));
    assert_eq!(alice.err("peer.offer", description("alice", "nobody", "r")).await, not_found);
    let wrong_from = (-32006, json!({"reason": "wrong_from"}));
    assert_eq!(alice.err("peer.offer", description("bob", "alice", "r")).await, wrong_from);
    let mut junk = description("alice", "bob", "r");
    junk["sdp"] = json!("m=audio");
    assert_eq!(alice.err("peer.offer", junk).await, (-32002, json!({"reason": "not_sdp"})));
    let no_offer = (-32003, json!({"reason": "no_such_offer"}));
    assert_eq!(alice.err("peer.answer", description("alice", "bob", "r")).await, no_offer);
    let mut junk = candidate("alice", "bob", "r");
    junk["candidate"] = json!("a=candidate:1");
    assert_eq!(alice.err("peer.ice_candidate", junk).await, (-32004, json!({"reason": "not_a_candidate"})));
}

#[tokio::test]
async fn who_sends_too_fast_is_told_when_to_go_on() {
    let rate_limit = RateLimit { per_second: 20.0, burst: 5 };
    let (server, address) = start(ServerConfig { rate_limit, ..ServerConfig::default() }).await;
    let mut client = RawClient::connect(address).await;
    let (code, data) = loop {
        let response = client.call("peer.ping", json!({})).await;
        if response.get("error").is_some() {
            break (response["error"]["code"].clone(), response["error"]["data"].clone());
        }
    };
    assert_eq!(code, -32005);
    let wait = data["retry_after_ms"].as_u64().unwrap();
    assert!((1..=50).contains(&wait), "{wait}");
    tokio::time::sleep(std::time::Duration::from_millis(wait)).await;
    client.ok("peer.ping", json!({})).await;
    assert_eq!(server.metrics().errors[&-32005], 1);
}

#[tokio::test]
async fn concurrent_joins_name_each_peer_exactly_once() {
    const PEERS: usize = 24;
    let (_server, address) = start(ServerConfig::default()).await;
    let barrier = std::sync::Arc::new(tokio::sync::Barrier::new(PEERS));
    let joins = (0..PEERS).map(|n| {
        let barrier = barrier.clone();
        tokio::spawn(async move {
            let mut client = RawClient::connect(address).await;
            barrier.wait().await;
            client
                .send(
                    json!({"jsonrpc": "2.0", "id": 1, "method": "peer.announce",
                "params": {"peer_id": format!("p{n}"), "capabilities": ["audio"]}})
                    .to_string(),
                )
                .await;
            let reply = client.frame().await;
            assert_eq!(reply["id"], 1, "nothing precedes the announce reply: {reply}");
            let mut named: Vec<String> = reply["result"]["peers"]
                .as_array()
                .unwrap()
                .iter()
                .map(|peer| peer["peer_id"].as_str().unwrap().to_owned())
                .collect();
            while named.len() < PEERS - 1 {
                let (method, params) = client.push().await;
                assert_eq!(method, "peer.announced");
                named.push(params["peer_id"].as_str().unwrap().to_owned());
            }
            // The end of the list is the end of what was said: the next frame is the reply.
            client.send(r#"{"jsonrpc":"2.0","id":2,"method":"peer.ping"}"#).await;
            assert_eq!(client.frame().await["id"], 2);
            named.sort();
            (n, named, client)
        })
    });
    let joins: Vec<_> = joins.collect();
    for join in joins {
        let (me, named, _client) = join.await.unwrap();
        let mut expected: Vec<_> = (0..PEERS).filter(|n| *n != me).map(|n| format!("p{n}")).collect();
        expected.sort();
        assert_eq!(named, expected);
    }
}

#[tokio::test]
async fn requests_sent_without_waiting_are_all_answered_in_order() {
    const REQUESTS: u64 = 20_000;
    let rate_limit = RateLimit { per_second: 1e9, burst: 1_000_000 };
    let (_server, address) = start(ServerConfig { rate_limit, ..ServerConfig::default() }).await;
    let (mut sink, mut stream) = RawClient::connect(address).await.socket.split();
    let sending = tokio::spawn(async move {
        for id in 0..REQUESTS {
            let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"peer.ping"}}"#);
            sink.send(Message::text(text)).await.unwrap();
        }
    });
    for id in 0..REQUESTS {
        let reply = tokio::time::timeout(PATIENCE, stream.next()).await.expect("a reply").unwrap().unwrap();
        let reply: Value = serde_json::from_str(reply.to_text().unwrap()).unwrap();
        assert_eq!(reply["id"], id);
    }
    sending.await.unwrap();
}

#[tokio::test]
async fn a_burst_in_one_write_is_answered_to_its_last_call() {
    // Within the burst of the default rate, and far more than may be queued.
    const REQUESTS: u64 = 960;
    let (_server, address) = start(ServerConfig::default()).await;
    let mut client = RawClient::connect(address).await;
    for id in 0..REQUESTS {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"peer.ping"}}"#);
        client.socket.feed(Message::text(text)).await.unwrap();
    }
    client.socket.flush().await.unwrap();
    for id in 0..REQUESTS {
        assert_eq!(client.frame().await, json!({"jsonrpc": "2.0", "id": id, "result": {}}));
    }
}
