//! What two clients say to each other.

use remotemedia_signaling::{
    client::{Announcement, ClientEvent, SignalingClient, new_request_id},
    protocol::{Candidate, Capability, LeftReason, StateChanged},
    server::{RateLimit, ServerConfig},
};
use serde_json::json;

use crate::line::{audio, config, join, next, start};

fn candidate(to: &str, request_id: &str, n: usize) -> Candidate {
    Candidate {
        from: "overwritten".parse().unwrap(),
        to: to.parse().unwrap(),
        candidate: format!("candidate:{n} 1 udp 1 127.0.0.1 9 typ host"),
        sdp_mid: n.is_multiple_of(2).then(|| "0".to_owned()),
        sdp_m_line_index: Some(0),
        user_fragment: (!n.is_multiple_of(2)).then(|| "abcd".to_owned()),
        request_id: request_id.to_owned(),
    }
}

#[tokio::test]
async fn a_call_is_set_up_and_ended() {
    let (server, address) = start(ServerConfig::default()).await;
    let alice = join(address, "alice").await;
    let bob = SignalingClient::new(config(address, "bob")).unwrap();
    let user_data = json!({"name": "Bob"}).as_object().cloned();
    let announced = bob.announce(Announcement { user_data, ..Announcement::new([Capability::Data]) }).await.unwrap();
    assert_eq!(announced.peers.len(), 1);
    assert_eq!(announced.peers[0].peer_id, "alice");
    assert!(matches!(next(&bob).await, ClientEvent::Connected { .. }));
    let ClientEvent::PeerAnnounced { peer, resumed: false } = next(&alice).await else { panic!("bob announced") };
    assert_eq!((peer.peer_id.as_str(), &peer.user_data.unwrap()["name"]), ("bob", &json!("Bob")));
    assert_eq!(alice.list().await.unwrap()[0].capabilities, [Capability::Data]);

    let request_id = new_request_id();
    bob.offer(alice.peer_id(), "v=0\r\noffer", &request_id).await.unwrap();
    for n in 0..4 {
        bob.candidate(candidate("alice", &request_id, n)).await.unwrap();
    }
    let ClientEvent::Offer(offer) = next(&alice).await else { panic!("an offer") };
    assert_eq!((offer.from.as_str(), offer.sdp.as_str(), &offer.request_id), ("bob", "v=0\r\noffer", &request_id));
    for n in 0..4 {
        let expected = Candidate { from: "bob".parse().unwrap(), ..candidate("alice", &request_id, n) };
        assert_eq!(next(&alice).await, ClientEvent::Candidate(expected));
    }
    alice.answer(bob.peer_id(), "v=0\r\nanswer", &request_id).await.unwrap();
    let ClientEvent::Answer(answer) = next(&bob).await else { panic!("an answer") };
    assert_eq!((answer.sdp.as_str(), &answer.request_id), ("v=0\r\nanswer", &request_id));

    let state = StateChanged {
        from: "overwritten".parse().unwrap(),
        to: "alice".parse().unwrap(),
        connection_state: "connected".into(),
        ice_connection_state: "connected".into(),
        ice_gathering_state: "complete".into(),
        signaling_state: "stable".into(),
        request_id: request_id.clone(),
        timestamp: json!(0),
    };
    bob.state_changed(state).await.unwrap();
    bob.ping().await.unwrap(); // answered after the report was taken in
    assert_eq!(server.metrics().connection_states["connected"], 1);

    bob.disconnect(alice.peer_id(), "user_requested", Some(&request_id)).await.unwrap();
    let ClientEvent::PeerDisconnected(ended) = next(&alice).await else { panic!("the end") };
    assert_eq!((ended.from.as_str(), ended.reason.as_str()), ("bob", "user_requested"));
    bob.leave().await.unwrap();
    let left = ClientEvent::PeerLeft { peer_id: "bob".parse().unwrap(), reason: LeftReason::Left };
    assert_eq!(next(&alice).await, left);
    bob.announce(audio()).await.unwrap();
    assert!(matches!(next(&alice).await, ClientEvent::PeerAnnounced { resumed: false, .. }));
}

#[tokio::test]
async fn announcing_again_updates_the_record() {
    let (_server, address) = start(ServerConfig::default()).await;
    let alice = join(address, "alice").await;
    let bob = join(address, "bob").await;
    bob.announce(Announcement::new([Capability::Video, Capability::Data])).await.unwrap();
    assert_eq!(alice.list().await.unwrap()[0].capabilities, [Capability::Video, Capability::Data]);
    assert!(bob.announce(Announcement::new([])).await.is_err());
    assert_eq!(alice.list().await.unwrap()[0].capabilities, [Capability::Video, Capability::Data]);
}

#[tokio::test]
async fn the_client_waits_when_the_server_asks_it_to() {
    let rate_limit = RateLimit { per_second: 200.0, burst: 5 };
    let (server, address) = start(ServerConfig { rate_limit, ..ServerConfig::default() }).await;
    let alice = join(address, "alice").await;
    for _ in 0..30 {
        alice.ping().await.unwrap();
    }
    assert!(server.metrics().errors[&-32005] > 0, "the limit was met, and nobody noticed");
}

#[tokio::test]
async fn events_that_are_not_read_hold_the_socket_up_and_none_is_lost() {
    const OFFERS: usize = 600;
    let rate_limit = RateLimit { per_second: 1e6, burst: 100_000 };
    let (_server, address) = start(ServerConfig { rate_limit, ..ServerConfig::default() }).await;
    let slow = join(address, "slow").await;
    let fast = join(address, "fast").await;
    for n in 0..OFFERS {
        fast.offer(slow.peer_id(), &format!("v=0\r\n{n}"), "r").await.unwrap();
    }
    assert!(matches!(next(&slow).await, ClientEvent::PeerAnnounced { .. }));
    for n in 0..OFFERS {
        let ClientEvent::Offer(offer) = next(&slow).await else { panic!("offer {n}") };
        assert_eq!(offer.sdp, format!("v=0\r\n{n}"));
    }
    slow.ping().await.unwrap();
}

#[tokio::test]
async fn requests_may_be_dropped_at_any_point() {
    let (_server, address) = start(ServerConfig::default()).await;
    let alice = join(address, "alice").await;
    for n in 0..200u32 {
        tokio::select! {
            biased;
            _ = alice.ping() => {}
            () = async { for _ in 0..n % 5 { tokio::task::yield_now().await } } => {}
        }
    }
    assert!(alice.list().await.unwrap().is_empty());
}
