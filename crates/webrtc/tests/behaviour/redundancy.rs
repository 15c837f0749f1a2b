//! Speech over a path that loses packets: much of what is lost is in the packet behind it.

use std::time::Duration;

use remotemedia_codecs::test_media::Speech;
use remotemedia_netsim::{
    link::{LinkConfig, Loss},
    virt::run_virtual,
};
use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
use tokio::time::{Instant, sleep};

use crate::world::{ONE_WAY, World, listen};

const CALL: Duration = Duration::from_secs(60);

/// The fraction of packets that got lost, and that of the sound that was made up.
fn call(seed: u64, loss: f64) -> (f64, f64) {
    run_virtual(seed, move |network| async move {
        let world = World::new(network, LinkConfig::with_delay(ONE_WAY).with_loss(Loss::Random(loss)));
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        let sender = alice.clone();
        let microphone = tokio::spawn(async move {
            let mut speech = Speech::new(7, 48_000);
            loop {
                let frame = AudioFrame::new(speech.samples(960), 48_000, 1).unwrap();
                sender.send_to_peer("bob", &RuntimeData::from(frame)).await.unwrap();
                sleep(Duration::from_millis(20)).await;
            }
        });
        listen(&bob, "alice", Instant::now() + CALL).await;
        microphone.abort();
        let metrics = &bob.list_peers().await.unwrap()[0].metrics;
        let audio = metrics.audio_received;
        (audio.missing as f64 / (audio.packets + audio.missing) as f64, metrics.concealed_rate)
    })
}

#[test]
fn much_of_the_speech_that_is_lost_is_recovered() {
    // Where the losses fall decides over one call: a fifth to seven eighths of what is lost is recovered. Eight tell.
    let (mut lost, mut concealed) = (0.0, 0.0);
    for seed in 11..19 {
        let (lost_here, concealed_here) = call(seed, 0.05);
        (lost, concealed) = (lost + lost_here / 8.0, concealed + concealed_here / 8.0);
    }
    println!("{:.2} % of the packets never came, {:.2} % of the sound was made up", lost * 100.0, concealed * 100.0);
    // Opus repeats speech that a loss would hurt, once it is told of losses, and leaves out the rest.
    assert!(concealed < lost * 0.7, "{concealed} of {lost}");
}
