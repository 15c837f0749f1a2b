//! What a mesh tells about its connections, and what can be asked of the other side.

use std::time::Duration;

use remotemedia_media::Bitrate;
use remotemedia_mesh::{BitrateBounds, Feedback, Mesh, MeshError};

use crate::{
    hub::{Hub, connected, id, mesh, soon},
    video::{send_video, video_numbers, video_track},
};

async fn pair() -> (Mesh, Mesh) {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    (alice, bob)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_status_shows_what_flows() {
    let (alice, bob) = pair().await;
    let sender = alice.clone();
    let sending = tokio::spawn(async move { send_video(&sender, "bob").await });
    let mut track = video_track(&bob).await;
    // Reports come twice a second, and the status is measured once.
    video_numbers(&mut track, 350).await;
    let [sent, received] = [&alice, &bob].map(|mesh| mesh.peers()[0].metrics.clone());
    sending.abort();
    println!("{sent:?}\n{received:?}");
    assert!(sent.rtt.is_some_and(|rtt| rtt < Duration::from_secs(1)), "{sent:?}");
    assert!(received.rtt.is_some());
    assert!(sent.packets_sent >= 100 && received.packets_received >= 100);
    assert_eq!(sent.bytes_sent, sent.packets_sent * 4);
    assert!(sent.send_bitrate > Bitrate::ZERO && received.receive_bitrate > Bitrate::ZERO);
    assert!(sent.send_loss.is_some_and(|loss| (0.0..=1.0).contains(&loss)), "{sent:?}");
    assert!(sent.target_bitrate.is_some());
    assert!(sent.connected_for > Duration::from_secs(1) && sent.connect_time > Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sockets_of_a_connection_have_the_buffers_that_the_kernel_grants_who_asks_for_4_mb() {
    let own = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let own = socket2::SockRef::from(&own);
    own.set_recv_buffer_size(4 << 20).unwrap();
    let (alice, bob) = pair().await;
    for mesh in [&alice, &bob] {
        assert_eq!(mesh.receive_buffer(), Some(own.recv_buffer_size().unwrap()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keyframe_is_asked_for_at_most_once_per_round_trip() {
    let (alice, bob) = pair().await;
    let sender = alice.clone();
    let sending = tokio::spawn(async move { send_video(&sender, "bob").await });
    let mut track = video_track(&bob).await;
    video_numbers(&mut track, 10).await;
    for _ in 0..100 {
        track.request_keyframe();
        tokio::task::yield_now().await;
    }
    soon("the request", async {
        while alice.next_feedback().await != Some(Feedback::KeyframeRequested { peer: id("bob"), stream: None }) {}
    })
    .await;
    // Measured once a second.
    video_numbers(&mut track, 220).await;
    sending.abort();
    let asked = bob.peers()[0].metrics.keyframes_requested;
    assert!((1..=10).contains(&asked), "{asked} requests");
    assert!(alice.peers()[0].metrics.keyframes_requested_by_peer >= 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bounds_of_the_bitrate_act_on_standing_connections() {
    let (alice, _bob) = pair().await;
    let max = Bitrate::from_kbps(300);
    let bounds = BitrateBounds { min: Bitrate::from_kbps(50), start: max, max };
    alice.set_bitrate_bounds(bounds).unwrap();
    soon("the target follows", async {
        loop {
            match alice.next_feedback().await.unwrap() {
                Feedback::TargetBitrate { rate, .. } if rate <= max => break,
                _ => {}
            }
        }
    })
    .await;
    let wrong = BitrateBounds { min: max, start: max, max: Bitrate::from_kbps(100) };
    assert!(matches!(alice.set_bitrate_bounds(wrong), Err(MeshError::InvalidConfig { field: "bitrate", .. })));
}
