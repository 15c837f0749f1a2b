//! `configure` acts on live connections at once.

use std::time::Duration;

use remotemedia_netsim::{link::LinkConfig, virt::run_virtual};
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{AudioCodec, Bitrate, ConfigOptions, VideoCodec, WebRtcError, WebRtcTransport};
use tokio::time::{interval, sleep};

use crate::world::{ONE_WAY, PICTURE, SIZE, World, clip, picture, tone};

async fn bytes_sent(transport: &WebRtcTransport) -> u64 {
    transport.list_peers().await.unwrap()[0].metrics.bytes_sent
}

/// What goes out in kbit/s over the next `seconds`.
async fn rate_over(transport: &WebRtcTransport, seconds: u64) -> u64 {
    let before = bytes_sent(transport).await;
    sleep(Duration::from_secs(seconds)).await;
    (bytes_sent(transport).await - before) * 8 / 1_000 / seconds
}

fn film(source: &WebRtcTransport) {
    let source = source.clone();
    tokio::spawn(async move {
        let clip = clip();
        let mut clock = interval(PICTURE);
        for number in 0.. {
            clock.tick().await;
            if source.send_to_peer("bob", &RuntimeData::from(picture(&clip, number))).await.is_err() {
                return;
            }
        }
    });
}

fn video_target(kbps: u32) -> ConfigOptions {
    ConfigOptions { target_bitrate_kbps: Some(kbps), ..Default::default() }
}

#[test]
fn the_video_target_changes_what_is_sent_and_a_bad_one_changes_nothing() {
    run_virtual(121, |network| async move {
        let world = World::clean(network);
        let alice = world
            .join_with("alice", |c| {
                c.video_codec = VideoCodec::vp8().size(SIZE.0, SIZE.1).framerate(25).bitrate_kbps(150);
            })
            .await;
        let _bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        film(&alice);
        sleep(Duration::from_secs(3)).await;
        let low = rate_over(&alice, 4).await;
        let refused =
            alice.configure(ConfigOptions { audio_bitrate_kbps: Some(64), ..video_target(29) }).await.unwrap_err();
        assert!(matches!(refused, WebRtcError::InvalidConfig { field: "target_bitrate_kbps", .. }), "{refused:?}");
        let unchanged = rate_over(&alice, 4).await;
        alice.configure(video_target(600)).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        let high = rate_over(&alice, 4).await;
        alice.configure(video_target(150)).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        let again = rate_over(&alice, 4).await;
        println!("{low}, {unchanged}, {high}, {again} kbit/s");
        for rate in [low, unchanged, again] {
            assert!((100..=200).contains(&rate), "{rate} kbit/s at a target of 150");
        }
        assert!((450..=750).contains(&high), "{high} kbit/s at a target of 600");
    });
}

#[test]
fn the_audio_bitrate_changes_what_is_sent() {
    run_virtual(122, |network| async move {
        let world = World::clean(network);
        let codec = AudioCodec::opus().bitrate_kbps(16);
        let alice = world.join_with("alice", |c| c.audio_codec = codec).await;
        let _bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        let source = alice.clone();
        tokio::spawn(async move {
            let mut clock = interval(Duration::from_millis(20));
            for chunk in 0.. {
                clock.tick().await;
                if source.send_to_peer("bob", &tone(48_000, chunk * 960, 960, &[0.3])).await.is_err() {
                    return;
                }
            }
        });
        sleep(Duration::from_secs(1)).await;
        let low = rate_over(&alice, 4).await;
        for bad in [5, 511] {
            let options = ConfigOptions { audio_bitrate_kbps: Some(bad), ..Default::default() };
            let refused = alice.configure(options).await.unwrap_err();
            assert!(matches!(refused, WebRtcError::InvalidConfig { field: "audio_bitrate_kbps", .. }), "{refused:?}");
        }
        alice.configure(ConfigOptions { audio_bitrate_kbps: Some(96), ..Default::default() }).await.unwrap();
        sleep(Duration::from_secs(1)).await;
        let high = rate_over(&alice, 4).await;
        println!("{low}, {high} kbit/s");
        assert!((8..=24).contains(&low), "{low} kbit/s at 16");
        assert!(high >= 2 * low, "{high} kbit/s at 96 after {low} at 16");
    });
}

#[test]
fn what_was_configured_holds_when_the_transport_is_started_again() {
    run_virtual(125, |network| async move {
        let world = World::clean(network);
        let alice = world
            .join_with("alice", |c| {
                c.enable_audio = false;
                c.video_codec = VideoCodec::vp8().size(SIZE.0, SIZE.1).framerate(25).bitrate_kbps(600);
            })
            .await;
        let _bob = world.join("bob").await;
        alice.configure(video_target(300)).await.unwrap();
        alice.configure(video_target(150)).await.unwrap();
        // What is not mentioned stays.
        alice.configure(ConfigOptions { video_framerate: Some(20), ..Default::default() }).await.unwrap();
        alice.shutdown().await.unwrap();
        alice.start().await.unwrap();
        alice.connect_peer("bob").await.unwrap();
        film(&alice);
        sleep(Duration::from_secs(3)).await;
        let rate = rate_over(&alice, 4).await;
        assert!((100..=200).contains(&rate), "{rate} kbit/s at a target of 150");
    });
}

#[test]
fn a_frame_rate_that_h264_is_tuned_for_shares_the_bitrate_among_that_many_pictures() {
    run_virtual(123, |network| async move {
        let world = World::clean(network);
        let alice = world
            .join_with("alice", |c| {
                c.adaptive_bitrate_enabled = false;
                c.video_codec = VideoCodec::h264().size(SIZE.0, SIZE.1).framerate(25).bitrate_kbps(200);
            })
            .await;
        let _bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        film(&alice);
        for bad in [0, 61] {
            let options = ConfigOptions { video_framerate: Some(bad), ..Default::default() };
            let refused = alice.configure(options).await.unwrap_err();
            assert!(matches!(refused, WebRtcError::InvalidConfig { field: "video_framerate", .. }), "{refused:?}");
        }
        sleep(Duration::from_secs(3)).await;
        let at_25 = rate_over(&alice, 4).await;
        alice.configure(ConfigOptions { video_framerate: Some(60), ..Default::default() }).await.unwrap();
        sleep(Duration::from_secs(3)).await;
        let at_60 = rate_over(&alice, 4).await;
        println!("25 pictures a second while tuned for 25: {at_25} kbit/s, for 60: {at_60} kbit/s");
        assert!((140..=260).contains(&at_25), "{at_25} kbit/s");
        assert!((60..=120).contains(&at_60), "{at_60} kbit/s");
    });
}

#[test]
fn bitrates_follow_a_narrow_path_only_while_adaptation_is_on() {
    run_virtual(124, |network| async move {
        let narrow = LinkConfig::with_delay(ONE_WAY).with_rate(Bitrate::from_kbps(300));
        let world = World::new(network, narrow);
        let alice = world
            .join_with("alice", |c| {
                c.video_codec = VideoCodec::vp8().size(SIZE.0, SIZE.1).framerate(25).bitrate_kbps(800);
            })
            .await;
        let _bob = world.join("bob").await;
        alice.connect_peer("bob").await.unwrap();
        film(&alice);
        sleep(Duration::from_secs(10)).await;
        let adapted = rate_over(&alice, 5).await;
        alice.configure(ConfigOptions { adaptive_bitrate_enabled: Some(false), ..Default::default() }).await.unwrap();
        sleep(Duration::from_secs(2)).await;
        let fixed = rate_over(&alice, 5).await;
        println!("{adapted} kbit/s adapted, {fixed} kbit/s fixed, on a path of 300");
        assert!((80..=320).contains(&adapted), "{adapted} kbit/s");
        assert!(fixed >= 500, "{fixed} kbit/s");
    });
}
