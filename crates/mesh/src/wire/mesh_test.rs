//! The whole mesh over a lossy network in virtual time.

use std::{
    collections::HashSet,
    sync::Arc,
    time::{Duration, Instant as StdInstant},
};

use async_trait::async_trait;
use bytes::{BufMut, BytesMut};
use remotemedia_media::{Bitrate, Codec, MediaKind, PeerId, RtpTimestamp};
use remotemedia_rtp::OutgoingPacket;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until},
};

use super::test_net::{LossyNetwork, in_virtual_time};
use crate::{
    Feedback, IncomingTrack, Mesh, MeshConfig, Signaler, SignalingError, SignalingEvent, SignalingMessage, TrackItem,
};

/// One end of a signaling line between two peers.
struct Line {
    me: PeerId,
    out: mpsc::UnboundedSender<SignalingEvent>,
    events: tokio::sync::Mutex<mpsc::UnboundedReceiver<SignalingEvent>>,
}

#[async_trait]
impl Signaler for Line {
    async fn send(&self, _: &PeerId, message: SignalingMessage) -> Result<(), SignalingError> {
        let event = SignalingEvent::Message { from: self.me.clone(), message };
        self.out.send(event).map_err(|_| SignalingError::NotConnected)
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        self.events.lock().await.recv().await
    }
}

struct Pair {
    network: Arc<LossyNetwork>,
    alice: Mesh,
    bob: Mesh,
}

fn id(name: &str) -> PeerId {
    name.parse().unwrap()
}

impl Pair {
    /// Two connected meshes, 20 ms apart.
    async fn new(seed: u64) -> Self {
        let network = LossyNetwork::new(seed, Duration::from_millis(20), 0.0);
        let (to_alice, for_alice) = mpsc::unbounded_channel();
        let (to_bob, for_bob) = mpsc::unbounded_channel();
        let _ = to_alice.send(SignalingEvent::PeerAvailable { peer: id("bob") });
        let _ = to_bob.send(SignalingEvent::PeerAvailable { peer: id("alice") });
        let mesh = |name, out, events| {
            let mut config = MeshConfig::new(id(name));
            config.bind = vec!["127.0.0.1:0".parse().unwrap()];
            let line = Line { me: id(name), out, events: tokio::sync::Mutex::new(events) };
            Mesh::with_network(config, Arc::new(line), network.clone()).unwrap()
        };
        let (alice, bob) = (mesh("alice", to_bob, for_alice), mesh("bob", to_alice, for_bob));
        alice.start().await;
        bob.start().await;
        let connected = async {
            alice.connect(&id("bob")).await.unwrap();
            while bob.peers().is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), connected).await.expect("connects");
        Self { network, alice, bob }
    }

    fn target(&self) -> Bitrate {
        self.alice.peers()[0].metrics.target_bitrate.unwrap_or(Bitrate::from_kbps(500))
    }

    /// Alice sends video at the estimate and audio to Bob for `length`; answers how many packets of video.
    async fn send(&self, length: Duration, first: u32) -> u32 {
        let (start, mut number, mut frame) = (Instant::now(), first, 0u32);
        while start.elapsed() < length {
            let size = self.target().bytes_in(Duration::from_micros(33_333)).max(8);
            let count = size.div_ceil(1_100);
            let packets: Vec<_> = (0..count)
                .map(|i| {
                    let mut payload = BytesMut::new();
                    payload.put_u32(number);
                    payload.put_bytes(0, size / count);
                    number += 1;
                    let timestamp = RtpTimestamp(first.wrapping_mul(100) + frame * 3_000);
                    OutgoingPacket { timestamp, marker: i + 1 == count, payload: payload.freeze() }
                })
                .collect();
            self.alice.send_media(&id("bob"), Codec::Vp8, &packets, frame == 0).unwrap();
            frame += 1;
            sleep_until(start + Duration::from_micros(33_333) * frame).await;
        }
        number
    }

    async fn video(&self) -> IncomingTrack {
        loop {
            let track = self.bob.next_track().await.unwrap();
            if track.kind() == MediaKind::Video {
                return track;
            }
        }
    }

    async fn shutdown(self) {
        tokio::join!(self.alice.shutdown(), self.bob.shutdown());
    }
}

/// Reads a track until no packet has come for a while; answers the numbers that came.
async fn read(mut track: IncomingTrack) -> (HashSet<u32>, IncomingTrack) {
    let mut seen = HashSet::new();
    let mut last = Instant::now();
    while let Ok(Some(item)) = tokio::time::timeout_at(last + Duration::from_secs(2), track.recv()).await {
        if let TrackItem::Packet { packet, .. } = item {
            let number = u32::from_be_bytes(packet.payload[..4].try_into().unwrap());
            assert!(seen.insert(number), "{number} came twice");
            last = Instant::now();
        } else if last.elapsed() > Duration::from_secs(2) {
            break;
        }
    }
    (seen, track)
}

#[test]
fn a_call_over_a_lossy_path_keeps_its_video_and_fills_its_figures() {
    let real = StdInstant::now();
    in_virtual_time(async {
        let pair = Pair::new(11).await;
        pair.send(Duration::from_millis(100), 0).await;
        let track = pair.video().await;
        let reader = tokio::spawn(read(track));
        pair.network.set_loss(0.05);
        let end = pair.send(Duration::from_secs(20), 1_000).await;
        pair.network.set_loss(0.0);
        let end = pair.send(Duration::from_secs(2), end).await;
        let (seen, _track) = reader.await.unwrap();
        let missing = (1_000..end).filter(|n| !seen.contains(n)).count();
        let (sent, received) = (pair.alice.peers()[0].metrics.clone(), pair.bob.peers()[0].metrics.clone());
        println!("{} packets, {missing} missing\nsent {sent:#?}\nreceived {received:#?}", end - 1_000);
        assert_eq!(missing, 0);
        assert!(sent.rtt.is_some_and(|rtt| (38..=60).contains(&rtt.as_millis())), "{:?}", sent.rtt);
        assert!(sent.retransmitted > 0 && received.retransmissions_requested >= sent.retransmitted);
        assert!(sent.target_bitrate.is_some_and(|rate| rate >= Bitrate::from_kbps(1_000)), "{:?}", sent.target_bitrate);
        assert_eq!(sent.packets_dropped_by_pacer + received.packets_unread, 0);
        assert_eq!(sent.packets_sent, received.packets_received);
        pair.shutdown().await;
    });
    println!("took {:?}", real.elapsed());
}

#[test]
fn every_keyframe_request_reaches_the_sender() {
    in_virtual_time(async {
        let pair = Pair::new(12).await;
        pair.send(Duration::from_millis(500), 0).await;
        let track = pair.video().await;
        let mut asked = 0;
        for _ in 0..5 {
            track.request_keyframe();
            let request = async {
                while let Some(feedback) = pair.alice.next_feedback().await {
                    if feedback == (Feedback::KeyframeRequested { peer: id("bob"), stream: None }) {
                        return;
                    }
                }
            };
            if tokio::time::timeout(Duration::from_secs(1), request).await.is_ok() {
                asked += 1;
            }
            sleep(Duration::from_millis(500)).await;
        }
        assert_eq!(asked, 5);
        pair.shutdown().await;
    });
}
