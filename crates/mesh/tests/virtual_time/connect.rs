//! Connecting takes little time on a good path and never fails on a bad one.

use std::time::Duration;

use crate::world::{MS, RTT, SECOND, World, begun, id, percentile, report, sees, soon};
use remotemedia_netsim::virt::{run_virtual, seeds};
use tokio::time::Instant;

/// How long `connect` took, and until the other side was connected as well.
fn attempt(seed: u64, loss: f64) -> [Duration; 2] {
    run_virtual(seed, move |net| async move {
        let world = World::new(net, loss);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        // Each side is the polite one half of the time.
        let (caller, called) = if seed.is_multiple_of(2) { (&alice, &bob) } else { (&bob, &alice) };
        let started = Instant::now();
        soon("connect", caller.mesh.connect(&called.id)).await.unwrap();
        let connected = started.elapsed();
        sees(called, caller).await;
        [connected, started.elapsed()]
    })
}

#[test]
fn without_loss_every_attempt_connects_within_60_ms_and_6_round_trips() {
    begun();
    let mut times = Vec::new();
    for seed in seeds(1_000, 200) {
        let [here, there] = attempt(seed, 0.0);
        assert!(here <= MS * 60 + RTT * 6 && there <= MS * 60 + RTT * 6, "seed {seed}: {here:?}, other side {there:?}");
        times.push(here);
    }
    let worst = percentile(&mut times, 1.0);
    report(&format!("no loss: connected in p50 {:?}, worst {worst:?}", percentile(&mut times, 0.5)));
}

#[test]
fn a_tenth_lost_each_way_kills_no_attempt() {
    begun();
    let mut times = Vec::new();
    for seed in seeds(2_000, 300) {
        let [here, there] = attempt(seed, 0.1);
        let time = here.max(there);
        if time > SECOND * 3 {
            eprintln!("seed {seed}: {time:?}");
        }
        times.push(time);
    }
    let [p50, p95, worst] = [0.5, 0.95, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("10 % loss: connected on both sides in p50 {p50:?}, p95 {p95:?}, worst {worst:?}"));
    assert!(p95 <= SECOND * 3 && worst <= SECOND * 10, "p95 {p95:?}, worst {worst:?}");
}

#[test]
fn a_peer_that_is_not_there_is_reported_after_one_round_trip() {
    begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let alice = world.join("alice").await;
        let started = Instant::now();
        alice.mesh.connect(&id("nobody")).await.unwrap_err();
        assert!(started.elapsed() <= RTT * 2, "{:?}", started.elapsed());
    });
}
