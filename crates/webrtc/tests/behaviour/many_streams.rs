//! As many named streams of a kind as one peer is sent: each arrives, with what was sent on it.

use std::time::Duration;

use futures_util::future::{join, join_all};
use remotemedia_media::MediaKind;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
use remotemedia_webrtc::WebRtcError;
use tokio::time::sleep;

use crate::{
    streams::{added, amplitude, name, number, second, show, sound, while_sending},
    world::{World, clip, picture},
};

/// What is shown on each stream begins at one of these numbers.
const PICTURES: [(&str, u16); 4] = [("door", 0), ("desk", 10_000), ("slides", 20_000), ("stage", 30_000)];
/// What sounds on each stream, in Hz: no multiples of each other.
const TONES: [(&str, f32); 4] = [("german", 440.0), ("french", 1_010.0), ("polish", 1_730.0), ("music", 2_630.0)];

/// Sends every picture stream, every sound stream, or both at once, and looks at what arrives on each.
fn all_arrive(kinds: &'static [MediaKind]) {
    run_virtual(471, move |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let mut at_bob = bob.events();
        alice.connect_peer("bob").await.unwrap();
        let clip = clip();
        let pictures = PICTURES.iter().filter(|_| kinds.contains(&MediaKind::Video));
        let tones = TONES.iter().filter(|_| kinds.contains(&MediaKind::Audio));
        let showing =
            join_all(pictures.clone().map(|(stream, first)| show(&alice, "bob", Some(stream), &clip, *first)));
        let sounding = join_all(tones.clone().map(|(stream, hz)| sound(&alice, "bob", Some(stream), *hz)));
        let watching = async {
            assert_eq!(added(&mut at_bob, 4 * kinds.len()).await.len(), 4 * kinds.len());
            sleep(Duration::from_secs(1)).await;
            for (stream, first) in pictures {
                let mut seen = Vec::new();
                while seen.len() < 15 {
                    seen.push(number(&bob, "alice", Some(stream)).await);
                }
                let is_own = seen.iter().all(|number| (*first..first + 10_000).contains(number));
                assert!(is_own && seen.is_sorted_by(|one, next| one < next), "{stream}: {seen:?}");
            }
            let heard = join_all(tones.map(|(stream, _)| second(&bob, "alice", Some(stream)))).await;
            for ((stream, own), samples) in TONES.iter().zip(&heard) {
                for (_, hz) in TONES {
                    let loud = amplitude(samples, hz);
                    assert!(if hz == *own { loud > 0.2 } else { loud < 0.01 }, "{hz} Hz on {stream}: {loud}");
                }
            }
            for kind in kinds {
                let fifth = match kind {
                    MediaKind::Video => RuntimeData::from(picture(&clip, 1).with_stream_id(name("fifth"))),
                    MediaKind::Audio => {
                        let mut frame = AudioFrame::new(vec![0.1; 960], 48_000, 1).unwrap();
                        frame.stream_id = Some(name("fifth"));
                        RuntimeData::from(frame)
                    }
                };
                let refused = alice.send_to_peer("bob", &fifth).await.unwrap_err();
                let is_said = matches!(&refused, WebRtcError::TooManyStreams { kind: of, limit: 4, .. } if of == kind);
                assert!(is_said, "{refused:?}");
            }
        };
        while_sending(join(showing, sounding), watching).await;
    });
}

#[test]
fn four_named_streams_of_pictures_arrive_each_with_its_own() {
    all_arrive(&[MediaKind::Video]);
}

#[test]
fn four_named_streams_of_sound_arrive_each_with_its_own() {
    all_arrive(&[MediaKind::Audio]);
}

#[test]
fn four_of_each_kind_arrive_at_once() {
    all_arrive(&[MediaKind::Audio, MediaKind::Video]);
}
