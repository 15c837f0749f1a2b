//! How often a keyframe is asked for.

use remotemedia_mesh::Feedback;
use remotemedia_netsim::{link::LinkConfig, virt::run_virtual};
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    calls::film,
    world::{Heard, MS, SECOND, World, begun, listen, report, soon},
};

#[test]
fn on_a_far_path_a_keyframe_is_asked_for_once_per_round_trip_however_often_it_is_wanted() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let round_trip = MS * 400;
        let world = World::with_path(net, LinkConfig::with_delay(round_trip / 2));
        let (alice, bob) = world.call().await;
        tokio::spawn(film(alice.mesh.clone(), bob.id.clone(), 1, SECOND * 60));
        let mut track = soon("a track", bob.mesh.next_track()).await.unwrap();
        // Until the round-trip time is known.
        listen(&mut track, SECOND * 5, &mut Heard::default()).await;
        let known = track.round_trip_time().expect("measured");
        assert!((round_trip..round_trip + MS * 10).contains(&known), "{known:?}");
        tokio::spawn(async move {
            loop {
                track.request_keyframe();
                sleep(MS * 10).await;
            }
        });
        let (mut requests, end) = (Vec::new(), Instant::now() + SECOND * 20);
        while let Ok(Some(feedback)) = timeout_at(end, alice.mesh.next_feedback()).await {
            if matches!(feedback, Feedback::KeyframeRequested { .. }) {
                requests.push(Instant::now());
            }
        }
        let gaps: Vec<_> = requests.windows(2).map(|two| two[1] - two[0]).collect();
        let last = end - *requests.last().expect("a request");
        let [shortest, longest] = [gaps.iter().min(), gaps.iter().max()].map(|gap| *gap.expect("several requests"));
        let found = format!("{} keyframe requests in 20 s, {shortest:?} to {longest:?} apart", requests.len());
        report(&found);
        assert!(
            shortest >= round_trip && longest.max(last) <= round_trip + MS * 50,
            "{found}, the last {last:?} before the end"
        );
    });
}
