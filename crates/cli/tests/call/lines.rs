//! What it says while it lasts.

use std::process::Command;

use remotemedia_signaling::client::ClientEvent;
use serde_json::Value;

use crate::{
    process::{PATIENCE, Process},
    signaling::{Signaling, hears, meets},
};

/// Sends a signal to a program.
fn send(process: &Process, signal: &str) {
    assert!(Command::new("kill").args([signal, &process.child.id().to_string()]).status().unwrap().success());
}

#[tokio::test]
async fn a_path_that_breaks_and_comes_back_is_told() {
    let signaling = Signaling::start();
    let bob = signaling.call("bob", &["--codec", "vp8", "--json"]);
    meets(&signaling.client("carol").await, "bob").await;
    let alice = signaling.call("alice", &["--codec", "vp8", "--to", "bob", "--json"]);
    for (call, peer) in [(&alice, "bob"), (&bob, "alice")] {
        assert_eq!(call.event("peer_connected", PATIENCE)["peer"], peer);
    }
    // Whoever is stopped answers nothing, as if the network were gone.
    send(&bob, "-STOP");
    assert_eq!(alice.event("peer_reconnecting", PATIENCE)["peer"], "bob");
    send(&bob, "-CONT");
    assert_eq!(alice.event("peer_reconnected", PATIENCE)["peer"], "bob");
    send(&alice, "-TERM");
    let lines = alice.finish(PATIENCE);
    assert!(lines.last().unwrap()["peers"]["bob"]["audio"]["frames"].as_u64() > Some(0), "{lines:?}");
    assert_eq!(bob.event("peer_disconnected", PATIENCE)["peer"], "alice");
}

/// Of a peer that has neither media nor an address.
const OFFER: &str = "v=0\r\no=- 1 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0\r\n\
    m=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\nc=IN IP4 0.0.0.0\r\na=ice-ufrag:abcd\r\n\
    a=ice-pwd:abcdefghijklmnopqrstuvwx\r\na=ice-options:trickle\r\na=fingerprint:sha-256 \
    00:01:02:03:04:05:06:07:08:09:0A:0B:0C:0D:0E:0F:10:11:12:13:14:15:16:17:18:19:1A:1B:1C:1D:1E:1F\r\n\
    a=setup:actpass\r\na=mid:0\r\na=sctp-port:5000\r\n";

#[tokio::test]
async fn an_attempt_that_fails_is_told_while_one_waits_for_somebody_else() {
    let signaling = Signaling::start();
    let alice = signaling.call("alice", &["--codec", "vp8", "--json"]);
    let bob = signaling.client("bob").await;
    meets(&bob, "alice").await;
    let to = "alice".parse().unwrap();
    bob.offer(&to, OFFER, "attempt").await.unwrap();
    hears(&bob, |event| matches!(event, ClientEvent::Answer(_)).then_some(())).await;
    bob.disconnect(&to, "network_error", Some("attempt")).await.unwrap();
    let failed = alice.event("peer_failed", PATIENCE);
    assert_eq!(failed["peer"], "bob");
    assert!(failed["report"].as_str().unwrap().contains("the peer ended it: network_error"), "{failed}");
    let carol = signaling.call("carol", &["--codec", "vp8", "--to", "alice", "--duration", "2", "--json"]);
    assert_eq!(alice.event("peer_connected", PATIENCE)["peer"], "carol");
    carol.finish(PATIENCE);
    let lines = alice.finish(PATIENCE);
    let figures: &Value = lines.last().unwrap();
    assert!(figures["peers"]["carol"].is_object() && figures["peers"].get("bob").is_none(), "{figures}");
}

#[tokio::test]
async fn who_is_called_and_refuses_is_named_once() {
    let signaling = Signaling::start();
    let bob = signaling.client("bob").await;
    let alice = signaling.call("alice", &["--codec", "vp8", "--to", "bob"]);
    let offer = hears(&bob, |event| match event {
        ClientEvent::Offer(offer) => Some(offer),
        _ => None,
    });
    let request_id = offer.await.request_id;
    bob.disconnect(&"alice".parse().unwrap(), "busy", Some(&request_id)).await.unwrap();
    let ended = alice.end(PATIENCE);
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    let line = ended.log.lines().last().unwrap();
    assert!(line.starts_with("remotemedia: ") && line.contains("busy"), "{line}");
    assert!(line.matches("bob").count() == 1 && line.contains("(1 try in "), "{line}");
}
