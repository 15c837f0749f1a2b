//! Connecting takes little time on a good path and never fails on a bad one.

use std::time::Duration;

use crate::world::{MS, RTT, SECOND, World, begun, id, percentile, report, sees, soon};
use remotemedia_netsim::virt::{run_virtual, seeds};
use tokio::time::Instant;

/// How long `connect` took, and until the other side was connected as well. An attempt that takes longer than `limit` fails
/// in here, where its seed is told.
fn attempt(seed: u64, loss: f64, limit: Duration) -> [Duration; 2] {
    run_virtual(seed, move |net| async move {
        let world = World::new(net, loss);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        // Each side is the polite one half of the time.
        let (caller, called) = if seed.is_multiple_of(2) { (&alice, &bob) } else { (&bob, &alice) };
        let started = Instant::now();
        soon("connect", caller.mesh.connect(&called.id)).await.unwrap();
        let connected = started.elapsed();
        sees(called, caller).await;
        let both = started.elapsed();
        assert!(both <= limit, "seed {seed}: {connected:?}, other side {both:?}");
        [connected, both]
    })
}

#[test]
fn without_loss_every_attempt_connects_within_60_ms_and_6_round_trips() {
    let _running = begun();
    let mut times = Vec::new();
    for seed in seeds(1_000, 200) {
        let [here, _] = attempt(seed, 0.0, MS * 60 + RTT * 6);
        times.push((here, seed));
    }
    let [p50, worst] = [0.5, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("no loss: connected in p50 {p50:?}, worst {worst:?} (time, seed)"));
}

#[test]
fn a_tenth_lost_each_way_kills_no_attempt() {
    let _running = begun();
    let mut times = Vec::new();
    for seed in seeds(2_000, 300) {
        let [_, both] = attempt(seed, 0.1, SECOND * 10);
        if both > SECOND * 3 {
            eprintln!("seed {seed}: {both:?}");
        }
        times.push((both, seed));
    }
    let [p50, p95, worst] = [0.5, 0.95, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("10 % loss: connected on both sides in p50 {p50:?}, p95 {p95:?}, worst {worst:?} (time, seed)"));
    assert!(p95.0 <= SECOND * 3, "p95 {p95:?}, worst {worst:?} (time, seed)");
}

#[test]
fn a_peer_that_is_not_there_is_reported_after_one_round_trip() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let alice = world.join("alice").await;
        let started = Instant::now();
        alice.mesh.connect(&id("nobody")).await.unwrap_err();
        assert!(started.elapsed() <= RTT * 2, "{:?}", started.elapsed());
    });
}
