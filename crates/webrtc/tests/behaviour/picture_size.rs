//! Pictures larger than the codec's size are scaled down, smaller ones are sent as they are.

use std::time::Duration;

use remotemedia_codecs::test_media::Clip;
use remotemedia_netsim::virt::run_virtual;
use remotemedia_runtime_core::data::RuntimeData;

use crate::world::{SIZE, World, see};

#[test]
fn larger_pictures_are_scaled_down_with_their_aspect_and_smaller_ones_are_left() {
    run_virtual(71, |network| async move {
        let world = World::clean(network);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        alice.connect_peer("bob").await.unwrap();
        for (sent, expected) in [
            (SIZE, SIZE),
            ((640, 360), SIZE),
            ((400, 400), (180, 180)),
            ((640, 90), (320, 46)),
            ((128, 96), (128, 96)),
            ((90, 160), (90, 160)),
        ] {
            let frame = Clip::new(3, sent.0, sent.1).frame(0);
            alice.send_to_peer("bob", &RuntimeData::from(frame)).await.unwrap();
            let seen = see(&bob, "alice", Duration::from_millis(500)).await;
            let (width, height) = (seen.width(), seen.height());
            // Sides are even in the stream, so half a pixel of a ratio may be lost.
            let off = width.abs_diff(expected.0).max(height.abs_diff(expected.1));
            assert!(off <= 2, "{sent:?} arrived as {width}x{height}, not {expected:?}");
            assert!(width <= SIZE.0 && height <= SIZE.1);
        }
    });
}
