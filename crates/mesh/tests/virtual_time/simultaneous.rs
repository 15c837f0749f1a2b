//! Both sides connect at once, or nearly: always one connection, and media both ways.

use std::time::Duration;

use crate::world::{MS, SECOND, World, begun, media_both_ways, percentile, report, soon};
use remotemedia_mesh::{MeshEvent, MeshEvents};
use remotemedia_netsim::virt::{run_virtual, seeds};
use tokio::time::{Instant, sleep, timeout};

/// Lets both connect, the second `later`, and answers how long it took until both were. Then media must flow, and neither
/// may ever have lost the connection.
fn both_connect(seed: u64, loss: f64, later: Duration) -> Duration {
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
        media_both_ways(&alice, &bob).await;
        sleep(SECOND * 3).await;
        assert_eq!(alice.mesh.peers().len(), 1, "seed {seed}");
        assert_eq!(bob.mesh.peers().len(), 1, "seed {seed}");
        for events in &mut events {
            assert_eq!(connects(events).await, (1, 0), "seed {seed}: connected and disconnected");
        }
        time
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
    begun();
    let mut times: Vec<_> = seeds(3_000, 100).map(|seed| both_connect(seed, 0.0, Duration::ZERO)).collect();
    let [p50, worst] = [0.5, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("both at once: p50 {p50:?}, worst {worst:?}"));
    assert!(worst <= SECOND, "{worst:?}");
}

#[test]
fn connecting_at_nearly_the_same_moment_makes_one_connection() {
    begun();
    let mut times: Vec<_> =
        seeds(4_000, 100).map(|seed| both_connect(seed, 0.0, MS * (seed % 100) as u32 * 2)).collect();
    let [p50, worst] = [0.5, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("both within 200 ms: p50 {p50:?}, worst {worst:?}"));
    assert!(worst <= SECOND, "{worst:?}");
}

#[test]
fn connecting_at_nearly_the_same_moment_under_loss_makes_one_connection() {
    begun();
    let mut times: Vec<_> = seeds(5_000, 50).map(|seed| both_connect(seed, 0.1, MS * (seed % 50) as u32 * 4)).collect();
    let [p50, worst] = [0.5, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("both within 200 ms, 10 % loss: p50 {p50:?}, worst {worst:?}"));
    assert!(worst <= SECOND * 10, "{worst:?}");
}
