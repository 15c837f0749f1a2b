//! Input that no honest client sends.

use std::time::Duration;

use futures_util::SinkExt;
use remotemedia_signaling::server::{RateLimit, ServerConfig};
use serde_json::json;
use tokio::{io::AsyncWriteExt, net::TcpStream};
use tokio_tungstenite::tungstenite::{
    Message,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

use crate::raw_client::{RawClient, candidate, description, start};

const UNLIMITED: RateLimit = RateLimit { per_second: 1e9, burst: 1_000_000 };

#[tokio::test]
async fn a_message_over_1_mib_closes_the_socket_with_1009() {
    let (server, address) = start(ServerConfig::default()).await;
    for bytes in [(1 << 20) + 1, 10 << 20] {
        let mut client = RawClient::connect(address).await;
        // Sent whole before anything is read, as a client without a second thread does.
        client.socket.send(Message::text("x".repeat(bytes))).await.unwrap();
        assert_eq!(client.close_code().await, 1009, "{bytes}");
    }
    let mut client = RawClient::connect(address).await;
    let pad = "x".repeat((1 << 20) - 57);
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"peer.ping","params":{{}}}}{pad}"#).replace('x', " ");
    assert_eq!(text.len(), 1 << 20);
    client.send(text).await;
    assert_eq!(client.frame().await["result"], json!({}), "1 MiB itself is allowed");
    assert_eq!(server.metrics().closes[&1009], 2);
}

#[tokio::test]
async fn a_message_over_1_mib_in_small_fragments_closes_the_socket_too() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut client = RawClient::connect(address).await;
    let chunk = "x".repeat(64 << 10);
    for n in 0..32 {
        let opcode = OpCode::Data(if n == 0 { Data::Text } else { Data::Continue });
        let frame = Frame::message(chunk.clone().into_bytes(), opcode, false);
        if client.socket.send(Message::Frame(frame)).await.is_err() {
            break;
        }
    }
    assert_eq!(client.close_code().await, 1009);
}

#[tokio::test]
async fn a_binary_frame_closes_the_socket_with_1003_after_what_came_before_is_answered() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut client = RawClient::connect(address).await;
    client.socket.feed(Message::text(r#"{"jsonrpc":"2.0","id":1,"method":"peer.ping"}"#)).await.unwrap();
    client.socket.send(Message::binary(vec![0; 100])).await.unwrap();
    assert_eq!(client.frame().await["id"], 1);
    assert_eq!(client.close_code().await, 1003);
}

#[tokio::test]
async fn text_that_is_not_utf_8_closes_the_socket_with_1007() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut client = RawClient::connect(address).await;
    let frame = Frame::message(vec![0xff, 0xfe], OpCode::Data(Data::Text), true);
    client.socket.send(Message::Frame(frame)).await.unwrap();
    assert_eq!(client.close_code().await, 1007);
}

#[tokio::test]
async fn half_frames_and_broken_handshakes_leave_the_server_standing() {
    let (server, address) = start(ServerConfig::default()).await;
    let handshake = "GET / HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    let mut half_frames: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        vec![0x81],                                                       // half a header
        vec![0x81, 0xff, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 2, 3, 4, 5],    // 64 KiB announced, one byte sent
        vec![0x81, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], // 2^63 bytes announced
        vec![0x81, 0x05, b'h', b'e', b'l', b'l', b'o'],                   // not masked
        vec![0xff; 64],                                                   // reserved bits
        vec![0x80, 0x80, 1, 2, 3, 4],                                     // continues nothing
    ];
    half_frames.push((0..=255).cycle().take(100_000).collect());
    for bytes in &half_frames {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(handshake.as_bytes()).await.unwrap();
        let _ = stream.write_all(bytes).await; // the server may have hung up already
    }
    for junk in ["\r\n\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "\u{0}\u{0}", "GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n"]
    {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(junk.as_bytes()).await.unwrap();
    }
    let mut client = RawClient::join(address, "alice").await;
    client.ok("peer.ping", json!({})).await;
    while server.metrics().connections > 1 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_flood_is_throttled_and_does_not_reach_the_others() {
    // So slow that nothing comes back to the flooder while the test runs: what is let through is the burst.
    let rate_limit = RateLimit { per_second: 0.01, burst: 50 };
    let (server, address) = start(ServerConfig { rate_limit, ..ServerConfig::default() }).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut flooder = RawClient::join(address, "flooder").await;
    assert_eq!(alice.push().await.0, "peer.announced");
    for n in 0..500 {
        flooder.notify("peer.offer", description("flooder", "alice", &format!("r{n}"))).await;
    }
    let response = flooder.call("peer.ping", json!({})).await;
    assert_eq!(response["error"]["code"], -32005);
    // The burst less the flooder's announce.
    assert_eq!(server.metrics().notifications_ignored, 500 - 49);
    alice.ok("peer.ping", json!({})).await;
    assert_eq!(server.metrics().connections, 2);
}

/// Sends to a peer that reads nothing until the server gives it up, then lets it read. Answers how many messages were
/// sent and how many of them came, in order, before 1013.
async fn overflow_a_queue(sdp_bytes: usize) -> (usize, usize) {
    let (server, address) = start(ServerConfig { rate_limit: UNLIMITED, ..ServerConfig::default() }).await;
    let mut slow = RawClient::join(address, "slow").await;
    let mut fast = RawClient::join(address, "fast").await;
    let mut params = description("fast", "slow", "r");
    params["sdp"] = json!(format!("v=0{}", "x".repeat(sdp_bytes - 3)));
    let mut sent = 0;
    // As many as the kernel's buffers and the server's queue take.
    loop {
        params["n"] = json!(sent);
        let response = fast.call("peer.offer", params.clone()).await;
        if response.get("error").is_some() {
            assert_eq!(response["error"]["data"]["reason"], "peer_not_found");
            break;
        }
        sent += 1;
        assert!(sent < 10_000, "a queue without bound");
    }
    assert_eq!(fast.push().await, ("peer.left".to_owned(), json!({"peer_id": "slow", "reason": "connection_lost"})));
    assert_eq!(server.metrics().closes[&1013], 1);
    assert_eq!(slow.push().await.0, "peer.announced");
    let mut received = 0;
    let code = loop {
        use futures_util::StreamExt;
        match tokio::time::timeout(crate::raw_client::PATIENCE, slow.socket.next()).await.expect("the end") {
            Some(Ok(Message::Text(text))) => {
                let frame: serde_json::Value = serde_json::from_str(&text).unwrap();
                assert_eq!(frame["params"]["n"], received, "no message is skipped");
                received += 1;
            }
            Some(Ok(Message::Close(Some(frame)))) => break u16::from(frame.code),
            Some(Ok(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(code, 1013);
    assert!(received <= sent);
    println!("the slow reader got {received} of {sent} messages before 1013");
    (sent, received)
}

#[tokio::test]
async fn a_slow_reader_gets_every_message_in_order_and_then_1013() {
    overflow_a_queue(60_003).await;
}

#[tokio::test]
async fn a_slow_reader_of_small_messages_has_256_of_them_queued_and_then_gets_1013() {
    const SDP_BYTES: usize = 2_000;
    // As many bytes as 4 MiB allow would be five times as many messages.
    const { assert!(5 * 256 * (SDP_BYTES + 500) < 4 << 20) };
    let (sent, received) = overflow_a_queue(SDP_BYTES).await;
    // 256 waited, and one more was too many. Up to 16 KiB of those were with the socket already, and came.
    let lost = sent - received;
    assert!((257 - 9..=257).contains(&lost), "{lost} of {sent} did not come");
}

#[tokio::test]
async fn a_slow_client_that_sends_and_never_reads_does_not_hold_the_server_up() {
    let (server, address) = start(ServerConfig { rate_limit: UNLIMITED, ..ServerConfig::default() }).await;
    let mut deaf = RawClient::join(address, "deaf").await;
    let mut alice = RawClient::join(address, "alice").await;
    let request = json!({"jsonrpc": "2.0", "id": "x".repeat(30_000), "method": "peer.ping"}).to_string();
    let flood = async { while deaf.socket.send(Message::text(request.clone())).await.is_ok() {} };
    let watch = async {
        let left = alice.push().await;
        assert_eq!(left.1, json!({"peer_id": "deaf", "reason": "connection_lost"}));
        alice.ok("peer.ping", json!({})).await;
    };
    tokio::select! {
        () = flood => panic!("the flood ended before the server closed it"),
        () = watch => {}
    }
    assert_eq!(server.metrics().closes[&1013], 1);
}

#[tokio::test]
async fn speaking_for_others_reaches_nobody() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut mallory = RawClient::join(address, "mallory").await;
    assert_eq!(alice.push().await.0, "peer.announced");
    let wrong_from = (-32006, json!({"reason": "wrong_from"}));
    assert_eq!(mallory.err("peer.offer", description("bob", "alice", "r")).await, wrong_from);
    mallory.notify("peer.disconnect", json!({"from": "bob", "to": "alice", "reason": "error"})).await;
    // Duplicate keys must not let one `from` be checked and another be forwarded.
    let twice = r#"{"jsonrpc":"2.0","id":7,"method":"peer.disconnect",
        "params":{"from":"bob","to":"alice","reason":"error","from":"mallory"}}"#;
    mallory.send(twice).await;
    assert_eq!(mallory.frame().await["result"]["status"], "forwarded");
    assert_eq!(alice.push().await, ("peer.disconnected".to_owned(), json!({"from": "mallory", "reason": "error"})));
    tokio::time::timeout(Duration::from_secs(60), alice.ok("peer.ping", json!({}))).await.unwrap();
}

#[tokio::test]
async fn answers_and_candidates_in_the_name_of_another_reach_nobody() {
    let (_server, address) = start(ServerConfig::default()).await;
    let mut alice = RawClient::join(address, "alice").await;
    let mut bob = RawClient::join(address, "bob").await;
    let mut mallory = RawClient::join(address, "mallory").await;
    for _ in 0..2 {
        assert_eq!(alice.push().await.0, "peer.announced");
    }
    // An offer that bob could answer, whose id mallory knows.
    alice.ok("peer.offer", description("alice", "bob", "r")).await;
    for (method, params) in
        [("peer.answer", description("bob", "alice", "r")), ("peer.ice_candidate", candidate("bob", "alice", "r"))]
    {
        let wrong_from = (-32006, json!({"reason": "wrong_from"}));
        assert_eq!(mallory.err(method, params.clone()).await, wrong_from, "{method}");
        mallory.notify(method, params).await;
    }
    mallory.ok("peer.ping", json!({})).await;
    // Nothing of that is with alice before bob's own words, and nothing after.
    let mut answer = description("bob", "alice", "r");
    answer["of"] = json!("bob himself");
    bob.ok("peer.answer", answer.clone()).await;
    assert_eq!(alice.push().await, ("peer.answer".to_owned(), answer));
    alice.ok("peer.ping", json!({})).await;
    assert!(alice.has_no_push());
}
