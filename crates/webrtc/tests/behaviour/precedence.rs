//! Media for one peer comes before broadcast media, for 500 ms.

use std::time::Duration;

use remotemedia_codecs::test_media::psnr_y;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::WebRtcTransport;
use tokio::time::{Instant, interval, sleep_until};

use crate::world::{PICTURE, World, clip, level, listen, picture, tone, watch};

/// Numbers from here on are in pictures sent to Bob alone.
const DIRECT: u16 = 1_000;

async fn broadcast_for(source: WebRtcTransport, begin: Instant, end: Instant) {
    let clip = clip();
    let mut clock = interval(PICTURE);
    while Instant::now() < end {
        clock.tick().await;
        let number = begin.elapsed().as_millis() as u16 / 40;
        source.broadcast(&RuntimeData::from(picture(&clip, number))).await.unwrap();
    }
}

#[test]
fn pictures_for_one_peer_replace_the_broadcast_for_half_a_second() {
    run_virtual(41, |network| async move {
        let world = World::clean(network);
        let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
        alice.connect_peer("bob").await.unwrap();
        alice.connect_peer("carol").await.unwrap();
        let begin = Instant::now();
        let end = begin + Duration::from_secs(4);
        tokio::spawn(broadcast_for(alice.clone(), begin, end));
        let (viewer, other) = (bob.clone(), carol.clone());
        let watching = tokio::spawn(async move { watch(&viewer, "alice", end).await });
        let elsewhere = tokio::spawn(async move { watch(&other, "alice", end).await });
        // Twice, so that the peer's own source comes back after the broadcast had the peer in between.
        for at in [1_010, 2_510] {
            sleep_until(begin + Duration::from_millis(at)).await;
            for number in 0..3 {
                let frame = picture(&clip(), DIRECT + number);
                alice.send_to_peer("bob", &RuntimeData::from(frame)).await.unwrap();
                sleep_until(Instant::now() + PICTURE).await;
            }
        }
        let seen = watching.await.unwrap();
        let clip = clip();
        for (number, at, frame) in &seen {
            let psnr = psnr_y(&picture(&clip, *number), frame).unwrap();
            assert!(psnr >= 24.0, "picture {number} at {:?} has {psnr:.1} dB", *at - begin);
        }
        let direct: Vec<_> = seen.iter().filter(|s| s.0 >= DIRECT).collect();
        assert_eq!(direct.len(), 6, "every picture of its own arrives");
        for last in [direct[2], direct[5]] {
            let next = seen.iter().find(|s| s.1 > last.1).unwrap();
            let pause = next.1 - last.1;
            assert!((490..=600).contains(&pause.as_millis()), "the broadcast came back after {pause:?}");
        }
        let elsewhere = elsewhere.await.unwrap();
        assert!(elsewhere.iter().all(|s| s.0 < DIRECT));
        assert!(elsewhere.len() >= 97, "the other viewer saw {} of 100 pictures", elsewhere.len());
    });
}

#[test]
fn a_source_that_comes_back_begins_with_a_whole_picture() {
    run_virtual(42, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let end = Instant::now() + Duration::from_secs(6);
        let viewer = bob.clone();
        let watching = tokio::spawn(async move { watch(&viewer, "alice", end).await });
        let clip = clip();
        // Neither source sends while the other one has the peer, so that neither sees it go.
        for round in 0..6u16 {
            let direct = round % 2 == 1;
            for number in 0..4 {
                let number = round * 10 + number + if direct { DIRECT } else { 0 };
                let frame = RuntimeData::from(picture(&clip, number));
                match direct {
                    true => alice.send_to_peer("bob", &frame).await.unwrap(),
                    false => drop(alice.broadcast(&frame).await.unwrap()),
                }
                sleep_until(Instant::now() + PICTURE).await;
            }
            sleep_until(Instant::now() + Duration::from_millis(600)).await;
        }
        let seen = watching.await.unwrap();
        for (number, _, frame) in &seen {
            let psnr = psnr_y(&picture(&clip, *number), frame).unwrap();
            assert!(psnr >= 24.0, "picture {number} has {psnr:.1} dB");
        }
        assert_eq!(seen.len(), 24, "{:?}", seen.iter().map(|s| s.0).collect::<Vec<_>>());
    });
}

#[test]
fn audio_for_one_peer_replaces_the_broadcast() {
    run_virtual(43, |network| async move {
        let world = World::clean(network);
        let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
        alice.connect_peer("bob").await.unwrap();
        alice.connect_peer("carol").await.unwrap();
        let end = Instant::now() + Duration::from_secs(3);
        for (target, loudness) in [(None, 0.1), (Some("bob"), 0.5)] {
            let source = alice.clone();
            tokio::spawn(async move {
                let mut clock = interval(Duration::from_millis(20));
                for chunk in 0..150 {
                    clock.tick().await;
                    let data = tone(48_000, chunk * 960, 960, &[loudness]);
                    match target {
                        Some(peer) => source.send_to_peer(peer, &data).await.unwrap(),
                        None => drop(source.broadcast(&data).await.unwrap()),
                    }
                }
            });
        }
        let other = carol.clone();
        let elsewhere = tokio::spawn(async move { listen(&other, "alice", end).await });
        let heard = listen(&bob, "alice", end).await;
        let heard = level(&heard[48_000..]);
        assert!((heard - 0.5 / 2f32.sqrt()).abs() < 0.05, "{heard}");
        let elsewhere = level(&elsewhere.await.unwrap()[48_000..]);
        assert!((elsewhere - 0.1 / 2f32.sqrt()).abs() < 0.01, "{elsewhere}");
    });
}
