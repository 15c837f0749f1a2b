//! Both sides connect at once, or nearly: always one connection, and media both ways.

use std::{sync::Arc, time::Duration};

use crate::world::{MS, ONE_WAY, SECOND, World, begun, media_both_ways, percentile, report, soon};
use async_trait::async_trait;
use remotemedia_media::PeerId;
use remotemedia_mesh::{MeshEvent, MeshEvents, Message, Signaler, SignalingError, SignalingEvent, SignalingMessage};
use remotemedia_netsim::{
    link::LinkConfig,
    nat::NatConfig,
    virt::{VirtualSignaler, run_virtual, seeds},
};
use tokio::time::{Instant, sleep, timeout};

/// Lets both connect, the second `later`, and answers how long it took until both were. Then media must flow, and neither
/// may ever have lost the connection. One that takes longer than `limit` fails in here, where its seed is told.
fn both_connect(seed: u64, loss: f64, later: Duration, limit: Duration) -> (Duration, u64) {
    run_virtual(seed, move |net| async move {
        let world = World::new(net, loss);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let mut events = [alice.mesh.events(), bob.mesh.events()];
        let (first, second) = if seed.is_multiple_of(2) { (&alice, &bob) } else { (&bob, &alice) };
        let started = Instant::now();
        let (one, two) = soon("both connect", async {
            tokio::join!(first.mesh.connect(&second.id), async {
                sleep(later).await;
                second.mesh.connect(&first.id).await
            })
        })
        .await;
        one.unwrap();
        two.unwrap();
        let time = started.elapsed();
        assert!(time <= limit, "seed {seed}: {time:?}");
        media_both_ways(&alice, &bob).await;
        sleep(SECOND * 3).await;
        assert_eq!(alice.mesh.peers().len(), 1, "seed {seed}");
        assert_eq!(bob.mesh.peers().len(), 1, "seed {seed}");
        for events in &mut events {
            assert_eq!(connects(events).await, (1, 0), "seed {seed}: connected and disconnected");
        }
        (time, seed)
    })
}

/// How often a mesh was connected, and how often that ended, as far as its events tell.
async fn connects(events: &mut MeshEvents) -> (u32, u32) {
    let (mut connected, mut ended) = (0, 0);
    while let Ok(Some(event)) = timeout(MS, events.next()).await {
        connected += u32::from(matches!(event, MeshEvent::PeerConnected { .. }));
        ended += u32::from(matches!(event, MeshEvent::PeerDisconnected { .. } | MeshEvent::PeerFailed { .. }));
    }
    (connected, ended)
}

#[test]
fn connecting_at_the_same_moment_makes_one_connection() {
    let _running = begun();
    let mut times: Vec<_> = seeds(3_000, 200).map(|seed| both_connect(seed, 0.0, Duration::ZERO, SECOND)).collect();
    let [p50, worst] = [0.5, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("both at once: p50 {p50:?}, worst {worst:?} (time, seed)"));
}

#[test]
fn connecting_at_nearly_the_same_moment_makes_one_connection() {
    let _running = begun();
    let attempt = |seed| both_connect(seed, 0.0, MS * (seed % 200) as u32, SECOND);
    let mut times: Vec<_> = seeds(4_000, 200).map(attempt).collect();
    let [p50, worst] = [0.5, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("both within 200 ms: p50 {p50:?}, worst {worst:?} (time, seed)"));
}

#[test]
fn connecting_at_nearly_the_same_moment_under_loss_makes_one_connection() {
    let _running = begun();
    let attempt = |seed| both_connect(seed, 0.1, MS * (seed % 50) as u32 * 4, SECOND * 10);
    let mut times: Vec<_> = seeds(5_000, 50).map(attempt).collect();
    let [p50, worst] = [0.5, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("both within 200 ms, 10 % loss: p50 {p50:?}, worst {worst:?} (time, seed)"));
}

#[test]
fn offers_that_cross_in_a_standing_call_cost_neither_the_call_nor_a_message() {
    let _running = begun();
    for seed in seeds(6_000, 10) {
        run_virtual(seed, move |net| async move {
            let world = World::new(net, 0.0);
            let (alice, bob) = world.call().await;
            let mut events = [alice.mesh.events(), bob.mesh.events()];
            for round in 0..20 {
                // From the same moment to one at which the first offer has been answered.
                let later = MS * round * 2;
                let (first, second) = if round % 3 == 0 { (&alice, &bob) } else { (&bob, &alice) };
                let (one, two) = soon("both offer", async {
                    tokio::join!(first.mesh.restart_ice(&second.id), async {
                        sleep(later).await;
                        second.mesh.restart_ice(&first.id).await
                    })
                })
                .await;
                one.and(two).unwrap();
                for (from, to) in [(&alice, &bob), (&bob, &alice)] {
                    let message = Message::Text(format!("seed {seed}, round {round}"));
                    from.mesh.send_message(&to.id, message.clone()).await.unwrap();
                    let received = timeout(SECOND * 2, to.mesh.recv_message()).await;
                    assert_eq!(received, Ok(Some((from.id.clone(), message))));
                }
            }
            media_both_ways(&alice, &bob).await;
            for events in &mut events {
                assert_eq!(connects(events).await, (0, 0), "seed {seed}: the call ended or began anew");
            }
        });
    }
    report("200 times both offered in a standing call");
}

/// Signaling that loses offers, and says so only when the peer's own offer and its candidates have long come.
struct LosesOffers(Arc<VirtualSignaler>);

#[async_trait]
impl Signaler for LosesOffers {
    async fn send(&self, to: &PeerId, message: SignalingMessage) -> Result<(), SignalingError> {
        if matches!(message, SignalingMessage::Offer { .. }) {
            sleep(MS * 500).await;
            return Err(SignalingError::Refused { code: -32603, message: "lost".into() });
        }
        self.0.send(to, message).await
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        self.0.next_event().await
    }
}

#[test]
fn an_ignored_offer_that_is_answered_after_all_finds_its_candidates() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let alice = world.join("alice").await;
        // Nobody reaches bob by his candidates: the connection comes of hers, or not at all.
        let gateway = world.net.add_gateway(NatConfig::port_restricted_cone);
        let host = gateway.add_host(LinkConfig::with_delay(ONE_WAY), LinkConfig::default());
        let bob = world.join_through(host, "bob", |_| (), |signaler| Arc::new(LosesOffers(signaler))).await;
        let started = Instant::now();
        let both = async { tokio::join!(alice.mesh.connect(&bob.id), bob.mesh.connect(&alice.id)) };
        let (one, two) = soon("both connect", both).await;
        one.and(two).unwrap();
        let time = started.elapsed();
        report(&format!("connected by an offer that was ignored at first in {time:?}"));
        // Long before alice gives up this try for the next, whose candidates come anew.
        assert!((MS * 500..=SECOND).contains(&time), "{time:?}");
        media_both_ways(&alice, &bob).await;
    });
}
