//! `video_codec` of both sides decides in which codec video goes.

use std::time::Duration;

use remotemedia_codecs::test_media::psnr_y;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{Codec, VideoCodec, WebRtcTransport};
use tokio::time::{Instant, sleep};

use crate::world::{PICTURE, SIZE, World, clip, picture, watch};

fn small(codec: VideoCodec) -> VideoCodec {
    codec.size(SIZE.0, SIZE.1).bitrate_kbps(400)
}

async fn codec_towards(transport: &WebRtcTransport, peer: &str) -> Option<Codec> {
    let peers = transport.list_peers().await.unwrap();
    peers.into_iter().find(|p| p.peer_id == peer).unwrap().video_codec
}

/// Shows `viewer` a second of video, which must look like what was sent.
async fn show(sender: &WebRtcTransport, viewer: &WebRtcTransport) {
    let end = Instant::now() + Duration::from_millis(1_500);
    let (source, name) = (sender.clone(), viewer.peer_id().to_string());
    let camera = tokio::spawn(async move {
        let clip = clip();
        for number in 0..25 {
            source.send_to_peer(&name, &RuntimeData::from(picture(&clip, number))).await.unwrap();
            sleep(PICTURE).await;
        }
    });
    let seen = watch(viewer, sender.peer_id(), end).await;
    camera.await.unwrap();
    assert!(seen.len() >= 23, "{} of 25 pictures arrived", seen.len());
    let clip = clip();
    for (number, _, frame) in &seen {
        let psnr = psnr_y(&picture(&clip, *number), frame).unwrap();
        assert!(psnr >= 25.0, "picture {number} has {psnr:.1} dB");
    }
}

/// A call in which the caller prefers one codec and the called peer another; answers what goes each way.
fn call(caller: VideoCodec, called: VideoCodec) -> (Option<Codec>, Option<Codec>) {
    run_virtual(11, move |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", |c| c.video_codec = small(caller)).await;
        let bob = world.join_with("bob", |c| c.video_codec = small(called)).await;
        alice.connect_peer("bob").await.unwrap();
        show(&alice, &bob).await;
        show(&bob, &alice).await;
        (codec_towards(&alice, "bob").await, codec_towards(&bob, "alice").await)
    })
}

#[test]
fn a_codec_that_both_prefer_is_used_both_ways() {
    for codec in [VideoCodec::vp9(), VideoCodec::vp8(), VideoCodec::h264()] {
        let expected = Some(codec.codec());
        assert_eq!(call(codec.clone(), codec), (expected, expected));
    }
}

#[test]
fn where_preferences_differ_the_callers_is_used_both_ways() {
    for (caller, called) in [
        (VideoCodec::vp9(), VideoCodec::h264()),
        (VideoCodec::h264(), VideoCodec::vp8()),
        (VideoCodec::vp8(), VideoCodec::vp9()),
    ] {
        let expected = Some(caller.codec());
        assert_eq!(call(caller, called), (expected, expected));
    }
}
