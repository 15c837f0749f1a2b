//! An outage of the path: ICE is restarted, and media and messages go on over the same connection.

use std::time::Duration;

use crate::{
    calls::film,
    world::{Heard, MS, RTT, SECOND, World, audio_track, begun, event, listen, media_both_ways, report, soon, talk},
};
use remotemedia_mesh::{MeshEvent, MeshEvents, Message, TrackItem};
use remotemedia_netsim::virt::{run_virtual, seeds};
use tokio::time::{Instant, sleep};

fn reconnected(event: &MeshEvent) -> bool {
    matches!(event, MeshEvent::PeerReconnected { .. })
}

/// Whether an event tells that the path was lost.
async fn noticed(events: &mut MeshEvents) -> bool {
    while let Ok(Some(event)) = tokio::time::timeout(MS, events.next()).await {
        if matches!(event, MeshEvent::PeerReconnecting { .. }) {
            return true;
        }
    }
    false
}

/// No event tells that the connection ended.
async fn never_ended(events: &mut MeshEvents) {
    while let Ok(Some(event)) = tokio::time::timeout(MS, events.next()).await {
        let ended = matches!(event, MeshEvent::PeerDisconnected { .. } | MeshEvent::PeerFailed { .. });
        assert!(!ended, "{event:?}");
    }
}

/// Answers how long after the outage media flowed again, each way: `limit` at most.
fn outage(seed: u64, loss: f64, duration: Duration, signaling_too: bool, limit: Duration) -> [Duration; 2] {
    run_virtual(seed, move |net| async move {
        let world = World::new(net, loss);
        let (alice, bob) = world.call().await;
        let mut events = [alice.mesh.events(), bob.mesh.events()];
        let mut states = [alice.mesh.events(), bob.mesh.events()];
        let talks = [(&alice, &bob), (&bob, &alice)]
            .map(|(from, to)| tokio::spawn(talk(from.mesh.clone(), vec![to.id.clone()], SECOND * 60)));
        let mut tracks = [audio_track(&alice.mesh).await, audio_track(&bob.mesh).await];
        let mut heard = [Heard::default(), Heard::default()];
        let [track_a, track_b] = &mut tracks;
        let [heard_a, heard_b] = &mut heard;
        bob.host.schedule_outage(SECOND * 5, duration);
        let over = Instant::now() + SECOND * 5 + duration;
        if signaling_too {
            let signaling = world.signaling.clone();
            tokio::spawn(async move {
                sleep(SECOND * 5).await;
                signaling.kill();
                sleep(duration).await;
                signaling.restart();
            });
        }
        tokio::join!(listen(track_a, SECOND * 5 + duration, heard_a), listen(track_b, SECOND * 5 + duration, heard_b));
        let back = |track| async {
            let mut one = Heard::default();
            let track: &mut _ = track;
            while one.packets == 0 {
                listen(track, MS * 10, &mut one).await;
                assert!(over.elapsed() < SECOND * 30, "seed {seed}: no media 30 s after the outage");
            }
            over.elapsed()
        };
        let (back_a, back_b) = tokio::join!(back(track_a), back(track_b));
        assert!(back_a.max(back_b) <= limit, "seed {seed}: {back_a:?} and {back_b:?}");
        // Messages of both ways arrive, over the channel that was there before.
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            soon("send", from.mesh.send_message(&to.id, Message::Text("after".into()))).await.unwrap();
            let (_, message) = soon("receive", to.mesh.recv_message()).await.unwrap();
            assert_eq!(message, Message::Text("after".into()));
        }
        sleep(SECOND * 10).await;
        let mut notices = 0;
        for (participant, (events, states)) in [&alice, &bob].into_iter().zip(events.iter_mut().zip(&mut states)) {
            // The side that notices later may be restarted by the other before it does.
            if noticed(states).await {
                event(states, reconnected).await;
                notices += 1;
            }
            assert_eq!(participant.mesh.peers().len(), 1);
            assert!(!participant.mesh.peers()[0].reconnecting, "seed {seed}");
            never_ended(events).await;
        }
        assert!(notices > 0 || duration < SECOND * 6, "seed {seed}: noticed by {notices}");
        talks.iter().for_each(tokio::task::JoinHandle::abort);
        [back_a, back_b]
    })
}

#[test]
fn a_short_outage_is_over_as_soon_as_the_path_is_back() {
    let _running = begun();
    for seed in seeds(6_000, 5) {
        let back = outage(seed, 0.0, SECOND * 2, false, RTT * 2 + MS * 20);
        report(&format!("2 s of outage: media again after {back:?}"));
    }
}

#[test]
fn an_outage_that_is_noticed_ends_with_an_ice_restart() {
    let _running = begun();
    for seed in seeds(6_100, 16) {
        let duration = MS * (7_000 + seed % 16 * 330) as u32;
        let back = outage(seed, 0.0, duration, false, SECOND * 2);
        report(&format!("seed {seed}, {duration:?} of outage: media again after {back:?}"));
    }
}

#[test]
fn an_outage_on_a_lossy_path_ends_too() {
    let _running = begun();
    for seed in seeds(6_200, 16) {
        let duration = MS * (7_000 + seed % 16 * 330) as u32;
        let back = outage(seed, 0.1, duration, false, SECOND * 5);
        report(&format!("seed {seed}, {duration:?} of outage, 10 % loss: media again after {back:?}"));
    }
}

#[test]
fn an_outage_that_takes_signaling_with_it_ends_too() {
    let _running = begun();
    for seed in seeds(6_300, 8) {
        let duration = MS * (2_000 + seed % 8 * 1_330) as u32;
        let back = outage(seed, 0.0, duration, true, SECOND * 5);
        report(&format!("seed {seed}, {duration:?} of outage without signaling: media again after {back:?}"));
    }
}

#[test]
fn an_ice_restart_that_was_asked_for_in_an_outage_ends_it() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let (alice, bob) = world.call().await;
        let mut events = [alice.mesh.events(), bob.mesh.events()];
        sleep(SECOND).await;
        bob.host.schedule_outage(Duration::ZERO, SECOND * 6);
        let over = Instant::now() + SECOND * 6;
        sleep(SECOND).await;
        for (from, to) in [(&alice, &bob), (&bob, &alice)] {
            from.mesh.restart_ice(&to.id).await.unwrap();
        }
        tokio::time::sleep_until(over).await;
        media_both_ways(&alice, &bob).await;
        report(&format!("restarts asked for in an outage: ten packets each way {:?} after it", over.elapsed()));
        assert!(over.elapsed() <= SECOND * 3, "{:?}", over.elapsed());
        for events in &mut events {
            never_ended(events).await;
        }
    });
}

#[test]
fn an_ice_restart_on_a_good_path_interrupts_media_for_a_few_round_trips_at_most() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let (alice, bob) = world.call().await;
        let talk = tokio::spawn(talk(alice.mesh.clone(), vec![bob.id.clone()], SECOND * 20));
        let mut track = audio_track(&bob.mesh).await;
        let mut heard = Heard::default();
        for restart in 0..4 {
            let from = if restart % 2 == 0 { &alice } else { &bob };
            let to = if restart % 2 == 0 { &bob } else { &alice };
            listen(&mut track, SECOND * 3, &mut heard).await;
            from.mesh.restart_ice(&to.id).await.unwrap();
        }
        listen(&mut track, SECOND * 15, &mut heard).await;
        let sent = talk.await.unwrap();
        report(&format!("{} of {sent} packets over 4 restarts, longest gap {:?}", heard.packets, heard.longest_gap));
        // The stack sends nothing between the offer and the first check that succeeds: signaling there and back, and
        // two round trips.
        assert!(heard.packets + 4 * 8 >= sent, "{} of {sent}", heard.packets);
        assert!(heard.longest_gap <= MS * 160, "{:?}", heard.longest_gap);
    });
}

#[test]
fn restarts_of_both_sides_that_collide_leave_the_connection_as_it_was() {
    let _running = begun();
    for seed in seeds(6_400, 40) {
        run_virtual(seed, move |net| async move {
            let world = World::new(net, 0.0);
            let (alice, bob) = world.call().await;
            let mut events = [alice.mesh.events(), bob.mesh.events()];
            sleep(SECOND).await;
            let apart = MS * (seed % 40) as u32 * 2;
            let (one, other) = tokio::join!(alice.mesh.restart_ice(&bob.id), async {
                sleep(apart).await;
                bob.mesh.restart_ice(&alice.id).await
            });
            one.unwrap();
            other.unwrap();
            sleep(SECOND * 20).await;
            for events in &mut events {
                never_ended(events).await;
            }
            media_both_ways(&alice, &bob).await;
        });
    }
}

#[test]
fn after_an_ice_restart_a_keyframe_is_asked_for_since_what_was_lost_meanwhile_is_not() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let (alice, bob) = world.call().await;
        let filming = tokio::spawn(film(alice.mesh.clone(), bob.id.clone(), 3, SECOND * 10));
        let mut track = soon("a track", bob.mesh.next_track()).await.unwrap();
        // The beginning of the call has requests of its own.
        listen(&mut track, SECOND * 2, &mut Heard::default()).await;
        let before = bob.mesh.peers()[0].metrics.keyframes_requested;
        bob.mesh.restart_ice(&alice.id).await.unwrap();
        soon("the interruption is told", async {
            while track.recv().await.expect("the track lives") != TrackItem::Interrupted {}
        })
        .await;
        listen(&mut track, SECOND * 3, &mut Heard::default()).await;
        let [asked, arrived] = [&bob, &alice].map(|peer| peer.mesh.peers()[0].metrics.clone());
        assert!(asked.keyframes_requested > before, "{} requests as before", asked.keyframes_requested);
        assert!(arrived.keyframes_requested_by_peer > 0, "no request arrived");
        filming.abort();
    });
}
