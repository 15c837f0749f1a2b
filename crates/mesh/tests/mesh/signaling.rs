//! What happens to offers, answers and candidates on their way does no harm.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use remotemedia_media::{Codec, PeerId};
use remotemedia_mesh::{
    Mesh, MeshConfig, Message, Signaler, SignalingError, SignalingEvent, SignalingMessage, TrackItem,
};
use remotemedia_rtp::OutgoingPacket;

use crate::{
    hub::{Hub, Member, config, connected, id, mesh, soon},
    video::video_track,
};

/// What is done to what a peer sends.
#[derive(Clone, Copy, PartialEq)]
enum Mangle {
    Nothing,
    /// Offers and answers arrive long after their candidates.
    SlowDescriptions,
    /// Addresses are replaced by names that nobody resolves, as browsers do without permission for the microphone.
    HiddenAddresses,
}

struct Mangled {
    member: Arc<Member>,
    how: Mangle,
    offers: Arc<AtomicUsize>,
}

#[async_trait]
impl Signaler for Mangled {
    async fn send(&self, to: &PeerId, mut message: SignalingMessage) -> Result<(), SignalingError> {
        match &mut message {
            SignalingMessage::Offer { .. } | SignalingMessage::Answer { .. } => {
                self.offers.fetch_add(usize::from(matches!(message, SignalingMessage::Offer { .. })), SeqCst);
                if self.how == Mangle::SlowDescriptions {
                    let (member, to) = (self.member.clone(), to.clone());
                    tokio::spawn(async move {
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        member.send(&to, message).await
                    });
                    return Ok(());
                }
            }
            SignalingMessage::Candidate(candidate) if self.how == Mangle::HiddenAddresses => {
                // foundation, component, transport, priority, address, …
                let mut words: Vec<&str> = candidate.candidate.split(' ').collect();
                if let Some(address) = words.get_mut(4) {
                    *address = "6d1c2a9e-3c55-4b0c-8e5d-0d0f3f1a7c11.local";
                }
                candidate.candidate = words.join(" ");
            }
            _ => {}
        }
        self.member.send(to, message).await
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        self.member.next_event().await
    }
}

/// A started mesh whose words are mangled, and a count of its offers.
async fn mangled(hub: &Hub, config: MeshConfig, how: Mangle) -> (Mesh, Arc<AtomicUsize>) {
    let offers = Arc::new(AtomicUsize::new(0));
    let signaler = Mangled { member: hub.join(&config.local_id), how, offers: offers.clone() };
    let mesh = Mesh::new(config, Arc::new(signaler)).unwrap();
    mesh.start().await;
    (mesh, offers)
}

async fn talk(alice: &Mesh, bob: &Mesh) {
    for (from, sender, to, receiver) in [(alice, "alice", bob, "bob"), (bob, "bob", alice, "alice")] {
        let message = Message::Text("hello".into());
        soon("send", from.send_message(&id(receiver), message.clone())).await.unwrap();
        assert_eq!(soon("receive", to.recv_message()).await, Some((id(sender), message)));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn candidates_that_overtake_their_descriptions_are_kept_for_them() {
    for caller in ["alice", "bob"] {
        let hub = Hub::default();
        let (alice, _) = mangled(&hub, config("alice"), Mangle::SlowDescriptions).await;
        let (bob, _) = mangled(&hub, config("bob"), Mangle::SlowDescriptions).await;
        let (from, to) = if caller == "alice" { (&alice, "bob") } else { (&bob, "alice") };
        soon("connect", from.connect(&id(to))).await.unwrap();
        connected(&alice, &bob).await;
        talk(&alice, &bob).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_hides_its_addresses_is_reached_by_its_own_checks() {
    for caller in ["alice", "bob"] {
        let hub = Hub::default();
        let alice = mesh(&hub, "alice").await;
        let (bob, _) = mangled(&hub, config("bob"), Mangle::HiddenAddresses).await;
        let (from, to) = if caller == "alice" { (&alice, "bob") } else { (&bob, "alice") };
        soon("connect", from.connect(&id(to))).await.unwrap();
        connected(&alice, &bob).await;
        println!("{caller} calls: {:?}", from.peers()[0].metrics.connect_time);
        talk(&alice, &bob).await;
        // It takes no fresh start: the first try gets through.
        assert!(alice.report(&id("bob")).is_none() && bob.report(&id("alice")).is_none());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_change_is_offered_once() {
    let hub = Hub::default();
    let both = |name| MeshConfig { video: vec![Codec::Vp8, Codec::H264], ..config(name) };
    let (alice, offers) = mangled(&hub, both("alice"), Mangle::Nothing).await;
    let (bob, other_offers) = mangled(&hub, both("bob"), Mangle::Nothing).await;
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    assert_eq!((offers.load(SeqCst), other_offers.load(SeqCst)), (1, 0));
    let sender = alice.clone();
    let sending = tokio::spawn(async move {
        for number in 0u32.. {
            let timestamp = remotemedia_media::RtpTimestamp(number * 900);
            let packet = OutgoingPacket { timestamp, marker: true, payload: bytes::Bytes::from_static(b"frame") };
            let codec = if number < 20 { Codec::Vp8 } else { Codec::H264 };
            sender.send_media(&id("bob"), codec, &[packet], true).unwrap();
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    let mut track = video_track(&bob).await;
    // A second of the new codec: long after everything that the change leads to.
    let mut came = 0;
    while came < 100 {
        let item = soon("a packet", track.recv()).await.expect("the track lives");
        came += usize::from(matches!(item, TrackItem::Packet { codec: Codec::H264, .. }));
    }
    sending.abort();
    assert_eq!((offers.load(SeqCst), other_offers.load(SeqCst)), (2, 0), "a change reports itself twice");
}
