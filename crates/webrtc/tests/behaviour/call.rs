//! A whole call: real Opus and VP8 over an emulated network, in a fraction of the time it lasts.
use std::time::Duration;

use remotemedia_codecs::test_media::{Clip, draw_number, psnr_y, read_number};
use remotemedia_netsim::{
    link::{LinkConfig, Loss},
    virt::run_virtual,
};
use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
use tokio::time::{Instant, interval, timeout_at};

use crate::world::{ONE_WAY, World};

const CALL: Duration = Duration::from_secs(20);

#[derive(Debug, Default)]
struct Received {
    pictures: usize,
    mean_psnr: f64,
    mean_latency: Duration,
    loud_audio: Duration,
}

/// Plays a call from Alice to Bob over a path that loses `loss` of the datagrams each way.
fn call(seed: u64, loss: f64) -> Received {
    run_virtual(seed, move |network| async move {
        let world = World::new(network, LinkConfig::with_delay(ONE_WAY).with_loss(Loss::Random(loss)));
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let begin = Instant::now();
        let (sender, speaker) = (alice.clone(), alice.clone());
        let camera = tokio::spawn(async move {
            let clip = Clip::new(5, 320, 180);
            let mut clock = interval(Duration::from_millis(40));
            let mut sent = Vec::new();
            for number in 0..(CALL.as_millis() / 40) as u16 {
                clock.tick().await;
                let frame = draw_number(&clip.frame(number.into()), number).unwrap();
                sent.push(Instant::now());
                sender.send_to_peer("bob", &RuntimeData::from(frame)).await.unwrap();
            }
            sent
        });
        let microphone = tokio::spawn(async move {
            let mut clock = interval(Duration::from_millis(10));
            for chunk in 0..CALL.as_millis() as usize / 10 {
                clock.tick().await;
                let tone = |n: usize| ((chunk * 480 + n) as f32 * 0.04).sin() * 0.3;
                let frame = AudioFrame::new((0..480).map(tone).collect::<Vec<_>>(), 48_000, 1).unwrap();
                speaker.send_to_peer("bob", &RuntimeData::from(frame)).await.unwrap();
            }
        });
        let listener = bob.clone();
        let ears = tokio::spawn(async move {
            let mut loud = Duration::ZERO;
            while let Ok(frame) = timeout_at(begin + CALL, listener.recv_audio("alice")).await {
                let frame = frame.unwrap().unwrap();
                if frame.samples().iter().any(|s| s.abs() > 0.1) {
                    loud += frame.duration();
                }
            }
            loud
        });
        let clip = Clip::new(5, 320, 180);
        let mut seen = Vec::new();
        while let Ok(frame) = timeout_at(begin + CALL, bob.recv_video("alice")).await {
            let frame = frame.unwrap().unwrap();
            let Some(number) = read_number(&frame).unwrap() else { continue };
            let original = draw_number(&clip.frame(number.into()), number).unwrap();
            seen.push((number, Instant::now(), psnr_y(&original, &frame).unwrap()));
        }
        microphone.await.unwrap();
        let sent = camera.await.unwrap();
        let latency = |(number, at, _): &(u16, Instant, f64)| *at - sent[usize::from(*number)];
        let received = Received {
            pictures: seen.len(),
            mean_psnr: seen.iter().map(|s| s.2).sum::<f64>() / seen.len() as f64,
            mean_latency: seen.iter().map(latency).sum::<Duration>() / seen.len().max(1) as u32,
            loud_audio: ears.await.unwrap(),
        };
        alice.shutdown().await.unwrap();
        bob.shutdown().await.unwrap();
        println!("{:.0} % loss: {received:?}", loss * 100.0);
        received
    })
}

#[test]
fn a_clean_path_carries_every_picture_at_its_own_delay() {
    let received = call(1, 0.0);
    assert!(received.pictures >= 495, "{received:?}");
    assert!(received.mean_psnr >= 30.0, "{received:?}");
    assert!(received.mean_latency <= ONE_WAY + Duration::from_millis(20), "{received:?}");
    assert!(received.loud_audio >= CALL - Duration::from_millis(400), "{received:?}");
}

#[test]
fn a_path_that_loses_packets_still_carries_the_call() {
    let received = call(2, 0.03);
    assert!(received.pictures >= 450, "{received:?}");
    assert!(received.mean_psnr >= 28.0, "{received:?}");
    assert!(received.loud_audio >= CALL - Duration::from_secs(1), "{received:?}");
}
