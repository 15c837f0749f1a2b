//! Audio of any rate, channel count and chunk length arrives as loud as it was, whatever rate Opus runs at.

use std::time::Duration;

use remotemedia_netsim::virt::run_virtual;
use remotemedia_webrtc::AudioCodec;
use tokio::time::Instant;

use crate::world::{World, level, listen, tone};

/// Plays two seconds of a tone, `levels` loud, in chunks whose lengths go round `chunks`; answers how loud each of
/// `channels` came out in the second second.
fn play(codec: AudioCodec, channels: usize, rate: u32, chunks: &'static [usize], levels: &'static [f32]) -> Vec<f32> {
    run_virtual(21, move |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", |c| c.audio_codec = codec.clone()).await;
        let bob = world.join_with("bob", |c| c.audio_codec = codec.clone()).await;
        alice.connect_peer("bob").await.unwrap();
        let end = Instant::now() + Duration::from_millis(1_900);
        let speaker = tokio::spawn(async move {
            let mut sent = 0;
            for len in chunks.iter().cycle() {
                alice.send_to_peer("bob", &tone(rate, sent, *len, levels)).await.unwrap();
                sent += len;
                if sent >= 2 * rate as usize {
                    // Alive until what is queued has gone out.
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    return;
                }
            }
        });
        let heard = listen(&bob, "alice", end).await;
        speaker.await.unwrap();
        let tail = &heard[heard.len().saturating_sub(48_000 * channels)..];
        (0..channels).map(|c| level(&tail.iter().skip(c).step_by(channels).copied().collect::<Vec<_>>())).collect()
    })
}

fn assert_within_one_db(case: &str, heard: f32, peak: f32) {
    let decibels = 20.0 * (heard / (peak / 2f32.sqrt())).log10();
    assert!(decibels.abs() <= 1.0, "{case}: {decibels:+.2} dB");
}

#[test]
fn every_opus_rate_keeps_the_level() {
    for rate in [8_000, 16_000, 24_000, 48_000] {
        let heard = play(AudioCodec::opus().sample_rate(rate), 1, 48_000, &[480], &[0.3]);
        assert_within_one_db(&format!("Opus at {rate} Hz"), heard[0], 0.3);
    }
}

#[test]
fn any_input_rate_and_chunk_length_keeps_the_level() {
    let cases: [(u32, &'static [usize]); 5] =
        [(8_000, &[160]), (16_000, &[512]), (22_050, &[1, 777, 50]), (44_100, &[441, 1_024, 17]), (96_000, &[4_800])];
    for (rate, chunks) in cases {
        let heard = play(AudioCodec::opus(), 1, rate, chunks, &[0.3]);
        assert_within_one_db(&format!("{rate} Hz in chunks of {chunks:?}"), heard[0], 0.3);
    }
}

#[test]
fn stereo_keeps_its_sides_apart_and_mono_mixes_them() {
    let stereo = AudioCodec::opus().channels(2).bitrate_kbps(96);
    let heard = play(stereo.clone(), 2, 48_000, &[960], &[0.4, 0.1]);
    assert_within_one_db("left", heard[0], 0.4);
    assert_within_one_db("right", heard[1], 0.1);
    let heard = play(AudioCodec::opus(), 1, 48_000, &[960], &[0.4, 0.2]);
    assert_within_one_db("stereo mixed to mono", heard[0], 0.3);
    let heard = play(stereo, 2, 16_000, &[320], &[0.3]);
    assert_within_one_db("mono in a stereo stream, left", heard[0], 0.3);
    assert_within_one_db("mono in a stereo stream, right", heard[1], 0.3);
}
