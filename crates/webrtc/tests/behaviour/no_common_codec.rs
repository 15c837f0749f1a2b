//! Two sides without a video codec in common have a call of sound and messages, and are told why there is no video.

use std::time::Duration;

use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{
    Codec, DataChannelMessage, TransportEvent, TransportEvents, VideoCodec, WebRtcError, WebRtcTransport,
    WebRtcTransportConfig,
};
use tokio::time::{Instant, sleep, timeout};

use crate::world::{SIZE, World, clip, level, listen, picture, see, tone};

/// Nothing but this codec.
fn only(codec: VideoCodec) -> impl FnOnce(&mut WebRtcTransportConfig) {
    move |config| {
        config.video_codec = codec.size(SIZE.0, SIZE.1).bitrate_kbps(400);
        config.video_fallback = false;
    }
}

/// What the events of the next two seconds say of video: who lacks it, the codecs here and those there.
async fn lacking(events: &mut TransportEvents) -> Vec<(String, Vec<Codec>, Vec<Codec>)> {
    let mut told = Vec::new();
    let _ = timeout(Duration::from_secs(2), async {
        let mut connected = false;
        while let Some(event) = events.next().await {
            match event {
                TransportEvent::PeerConnected { .. } => connected = true,
                TransportEvent::VideoUnavailable { peer, ours, theirs } => {
                    assert!(connected, "it is told of a call that stands");
                    told.push((peer.to_string(), ours, theirs));
                }
                _ => {}
            }
        }
    })
    .await;
    told
}

/// A second of a tone and a text from one to the other.
async fn talk(from: &WebRtcTransport, to: &WebRtcTransport) {
    let (sender, name) = (from.clone(), to.peer_id().to_string());
    let microphone = tokio::spawn(async move {
        for chunk in 0..50 {
            sender.send_to_peer(&name, &tone(48_000, chunk * 960, 960, &[0.3])).await.unwrap();
        }
    });
    let heard = listen(to, from.peer_id(), Instant::now() + Duration::from_millis(800)).await;
    microphone.await.unwrap();
    let loud = level(&heard[heard.len() / 2..]);
    assert!((0.15..0.27).contains(&loud), "a tone of 0.3 has a level of 0.21, not of {loud}");
    let hello = DataChannelMessage::Text { payload: "hello".into() };
    from.send_data_channel_message(to.peer_id(), &hello).await.unwrap();
    let came = to.recv_data_channel_message().await.unwrap().unwrap();
    assert_eq!(came, (from.peer_id().parse().unwrap(), hello));
}

#[test]
fn sound_and_messages_flow_and_both_sides_are_told_once() {
    run_virtual(131, |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", only(VideoCodec::vp8())).await;
        let bob = world.join_with("bob", only(VideoCodec::h264())).await;
        let (mut hers, mut his) = (alice.events(), bob.events());
        alice.connect_peer("bob").await.unwrap();
        let (hers, his) = tokio::join!(lacking(&mut hers), lacking(&mut his));
        // The answer does not tell the caller what the other side has.
        assert_eq!(hers, [("bob".to_owned(), vec![Codec::Vp8], vec![])]);
        assert_eq!(his, [("alice".to_owned(), vec![Codec::H264], vec![Codec::Vp8])]);
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            talk(from, to).await;
            assert_eq!(from.list_peers().await.unwrap()[0].video_codec, None);
            let frame = RuntimeData::from(picture(&clip(), 0));
            let refused = from.send_to_peer(to.peer_id(), &frame).await.unwrap_err();
            assert!(matches!(refused, WebRtcError::MediaNotNegotiated { media: "video", .. }), "{refused:?}");
        }
    });
}

#[test]
fn a_new_path_in_such_a_call_tells_nothing_anew() {
    run_virtual(132, |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", only(VideoCodec::vp8())).await;
        let bob = world.join_with("bob", only(VideoCodec::h264())).await;
        alice.connect_peer("bob").await.unwrap();
        sleep(Duration::from_secs(2)).await;
        let (mut hers, mut his) = (alice.events(), bob.events());
        alice.restart_ice("bob").await.unwrap();
        let (hers, his) = tokio::join!(lacking(&mut hers), lacking(&mut his));
        assert_eq!((hers, his), (vec![], vec![]));
        talk(&alice, &bob).await;
        talk(&bob, &alice).await;
    });
}

#[test]
fn one_side_that_falls_back_is_enough_for_video() {
    run_virtual(133, |network| async move {
        let world = World::clean(network);
        let alice = world.join_with("alice", only(VideoCodec::h264())).await;
        let bob = world.join("bob").await;
        let (mut hers, mut his) = (alice.events(), bob.events());
        alice.connect_peer("bob").await.unwrap();
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            from.send_to_peer(to.peer_id(), &RuntimeData::from(picture(&clip(), 0))).await.unwrap();
            see(to, from.peer_id(), Duration::from_secs(2)).await;
            assert_eq!(from.list_peers().await.unwrap()[0].video_codec, Some(Codec::H264));
        }
        let (hers, his) = tokio::join!(lacking(&mut hers), lacking(&mut his));
        assert_eq!((hers, his), (vec![], vec![]));
    });
}
