//! Paths that are worse than the usual: far, narrow, bursty, out of order, with servers that die in the middle.

use std::time::Duration;

use crate::world::{MS, SECOND, World, audio_track, begun, media_both_ways, percentile, report, sees, soon, talk};
use bytes::Bytes;
use remotemedia_media::Bitrate;
use remotemedia_mesh::{MeshError, Message, TrackItem};
use remotemedia_netsim::{
    link::{LinkConfig, Loss, Order},
    virt::{run_virtual, seeds},
};
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// How long both sides took to be connected over `path`, `limit` at most, and that media flows then.
fn connect_over(seed: u64, path: LinkConfig, limit: Duration) -> (Duration, u64) {
    run_virtual(seed, move |net| async move {
        let world = World::with_path(net, path);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let started = Instant::now();
        soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
        sees(&bob, &alice).await;
        let time = started.elapsed();
        assert!(time <= limit, "seed {seed}: {time:?}");
        media_both_ways(&alice, &bob).await;
        (time, seed)
    })
}

/// Thirty attempts, each within `limit`.
fn connects_within(limit: Duration, name: &str, first_seed: u64, path: &LinkConfig) {
    let mut times: Vec<_> = seeds(first_seed, 30).map(|seed| connect_over(seed, path.clone(), limit)).collect();
    let [p50, worst] = [0.5, 1.0].map(|share| percentile(&mut times, share));
    report(&format!("{name}: connected in p50 {p50:?}, worst {worst:?} (time, seed)"));
}

#[test]
fn peers_on_opposite_sides_of_the_earth_connect() {
    let _running = begun();
    let path = LinkConfig { jitter: MS * 30, ..LinkConfig::with_delay(MS * 150) };
    connects_within(SECOND * 4, "300 ms of round trip", 7_000, &path);
}

#[test]
fn bursts_of_loss_kill_no_attempt() {
    let _running = begun();
    let path = LinkConfig::with_delay(MS * 20).with_loss(Loss::bursts(0.05, 0.2));
    connects_within(SECOND * 15, "20 % loss in bursts of five", 7_100, &path);
}

#[test]
fn a_third_lost_kills_no_attempt() {
    let _running = begun();
    let path = LinkConfig::with_delay(MS * 20).with_loss(Loss::Random(0.3));
    connects_within(SECOND * 20, "30 % loss", 7_200, &path);
}

#[test]
fn a_narrow_path_connects() {
    let _running = begun();
    let path = LinkConfig { queue_bytes: 6_000, ..LinkConfig::with_delay(MS * 40).with_rate(Bitrate::from_kbps(100)) };
    connects_within(SECOND * 5, "100 kbit/s", 7_300, &path);
}

#[test]
fn duplicates_and_disorder_reach_the_application_once_each() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let path =
            LinkConfig { jitter: MS * 60, order: Order::Free, duplicate: 0.2, ..LinkConfig::with_delay(MS * 20) };
        let world = World::with_path(net, path);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
        let talk = tokio::spawn(talk(alice.mesh.clone(), vec![bob.id.clone()], SECOND * 20));
        let mut track = audio_track(&bob.mesh).await;
        let (mut numbers, mut disorder) = (Vec::new(), 0);
        let end = Instant::now() + SECOND * 22;
        while let Ok(Some(item)) = timeout_at(end, track.recv()).await {
            let TrackItem::Packet { packet, .. } = item else { continue };
            let number = u32::from_be_bytes(packet.payload[..4].try_into().unwrap());
            disorder += u32::from(numbers.last().is_some_and(|last| *last > number));
            numbers.push(number);
        }
        let sent = talk.await.unwrap();
        numbers.sort();
        assert!(disorder > 100, "{disorder}");
        assert!(host_duplicates(&alice) > 150);
        assert_eq!(numbers, (0..sent).collect::<Vec<_>>());
    });
}

fn host_duplicates(participant: &crate::world::Participant) -> u64 {
    participant.host.up_stats().duplicated
}

#[test]
fn a_large_message_gets_through_a_lossy_path_whole() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.02);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
        let message = Message::Binary(Bytes::from((0..1_000_000u32).map(|n| (n % 251) as u8).collect::<Vec<_>>()));
        let started = Instant::now();
        let sending = alice.mesh.send_message(&bob.id, message.clone());
        let (sent, received) = soon("the message", async { tokio::join!(sending, bob.mesh.recv_message()) }).await;
        sent.unwrap();
        assert_eq!(received, Some((alice.id.clone(), message)));
        report(&format!("1 MB at 2 % loss in {:?}", started.elapsed()));
        assert!(started.elapsed() <= SECOND * 60, "{:?}", started.elapsed());
    });
}

#[test]
fn an_attempt_survives_a_signaling_server_that_restarts_in_its_midst() {
    let _running = begun();
    for seed in seeds(7_400, 20) {
        let time = run_virtual(seed, move |net| async move {
            let world = World::new(net, 0.0);
            let (alice, bob) = (world.join("alice").await, world.join("bob").await);
            let signaling = world.signaling.clone();
            tokio::spawn(async move {
                sleep(MS * (seed % 20) as u32 * 5).await;
                signaling.kill();
                sleep(SECOND).await;
                signaling.restart();
            });
            let started = Instant::now();
            soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
            sees(&bob, &alice).await;
            media_both_ways(&alice, &bob).await;
            let time = started.elapsed();
            assert!(time <= SECOND * 12, "seed {seed}: {time:?}");
            time
        });
        report(&format!("seed {seed}: connected, and ten packets each way, in {time:?}"));
    }
}

#[test]
fn an_attempt_that_nobody_waits_for_ends_and_a_later_one_succeeds() {
    let _running = begun();
    for seed in seeds(7_500, 30) {
        run_virtual(seed, move |net| async move {
            let world = World::new(net, 0.05);
            let (alice, bob) = (world.join("alice").await, world.join("bob").await);
            // Dropped at any moment up to the end.
            let _ = timeout(MS * (seed % 30) as u32 * 8, alice.mesh.connect(&bob.id)).await;
            sleep(MS * (seed % 7) as u32 * 40).await;
            soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
            sees(&bob, &alice).await;
            media_both_ways(&alice, &bob).await;
            assert_eq!((alice.mesh.peers().len(), bob.mesh.peers().len()), (1, 1), "seed {seed}");
        });
    }
}

#[test]
fn connects_and_disconnects_that_cross_end_in_order() {
    let _running = begun();
    for seed in seeds(7_600, 40) {
        run_virtual(seed, move |net| async move {
            let world = World::new(net, if seed % 2 == 0 { 0.0 } else { 0.05 });
            let (alice, bob) = (world.join("alice").await, world.join("bob").await);
            for round in 0..4 {
                let pause = MS * ((seed * 37 + round * 53) % 300) as u32;
                let (one, other) = tokio::join!(alice.mesh.connect(&bob.id), async {
                    sleep(pause).await;
                    bob.mesh.disconnect(&alice.id).await
                });
                other.unwrap();
                // Whatever came first; but never a hang, and never another error.
                assert!(
                    matches!(one, Ok(()) | Err(MeshError::Disconnected(_) | MeshError::ConnectFailed { .. })),
                    "seed {seed}: {one:?}"
                );
            }
            // The last farewell is still under way, and until it comes a connect is answered with what it ends.
            sleep(SECOND).await;
            soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
            sees(&bob, &alice).await;
            media_both_ways(&alice, &bob).await;
        });
    }
}
