//! Long calls and many peers, on pre-encoded packets.

use std::time::Duration;

use crate::world::{
    Heard, MS, Participant, SECOND, World, audio_track, begun, event, id, listen, report, sees, soon, talk,
};
use bytes::Bytes;
use remotemedia_media::{Codec, MediaKind, PeerId, RtpTimestamp};
use remotemedia_mesh::{DisconnectReason, Mesh, MeshEvent, MeshEvents};
use remotemedia_netsim::virt::run_virtual;
use remotemedia_rtp::OutgoingPacket;
use tokio::time::{Instant, sleep};

/// Reads every audio track of the mesh until `duration` is over. Answers what came from whom.
async fn hear_everyone(mesh: Mesh, duration: Duration) -> Vec<(PeerId, Heard)> {
    let end = Instant::now() + duration;
    let mut listeners = Vec::new();
    while let Ok(Some(mut track)) = tokio::time::timeout_at(end, mesh.next_track()).await {
        listeners.push(tokio::spawn(async move {
            let mut heard = Heard::default();
            // Video is read as well, so that nothing piles up, but not counted.
            listen(&mut track, end - Instant::now(), &mut heard).await;
            (track.kind(), track.peer().clone(), heard)
        }));
    }
    let mut heard = Vec::new();
    for listener in listeners {
        let (kind, peer, packets) = listener.await.unwrap();
        if kind == MediaKind::Audio {
            heard.push((peer, packets));
        }
    }
    heard
}

/// Sends a 30 fps stream of `per_frame` packets of 1,100 bytes, a keyframe each ten seconds.
pub(crate) async fn film(mesh: Mesh, to: PeerId, per_frame: u32, duration: Duration) -> u32 {
    let started = Instant::now();
    let mut frames = 0;
    while started.elapsed() < duration {
        let packets: Vec<_> = (0..per_frame)
            .map(|n| OutgoingPacket {
                timestamp: RtpTimestamp(frames * 3_000),
                marker: n + 1 == per_frame,
                // Numbered like the sound, so that one reader serves both.
                payload: Bytes::from([&(frames * per_frame + n).to_be_bytes()[..], &[0x33; 1_096]].concat()),
            })
            .collect();
        mesh.send_media(&to, Codec::Vp8, &packets, frames % 300 == 0).unwrap();
        frames += 1;
        sleep(MS * 33).await;
    }
    frames * per_frame
}

async fn no_one_was_lost(events: &mut MeshEvents) {
    while let Ok(Some(event)) = tokio::time::timeout(MS, events.next()).await {
        let calm = matches!(
            event,
            MeshEvent::PeerAvailable { .. } | MeshEvent::PeerConnected { .. } | MeshEvent::Signaling { .. }
        );
        assert!(calm, "{event:?}");
    }
}

#[test]
fn a_call_of_half_an_hour_loses_what_the_path_loses_and_nothing_else() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let half_an_hour = SECOND * 1_800;
        let loss = 0.01;
        let world = World::new(net, loss);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        let mut events = [alice.mesh.events(), bob.mesh.events()];
        soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
        sees(&bob, &alice).await;
        let talks = [(&alice, &bob), (&bob, &alice)]
            .map(|(from, to)| tokio::spawn(talk(from.mesh.clone(), vec![to.id.clone()], half_an_hour)));
        let ears = [&alice, &bob].map(|p| tokio::spawn(hear_everyone(p.mesh.clone(), half_an_hour + SECOND)));
        let [sent_a, sent_b] = talks;
        let [heard_a, heard_b] = ears;
        for (sent, heard) in [(sent_a, heard_b), (sent_b, heard_a)] {
            let (sent, heard) = (sent.await.unwrap(), heard.await.unwrap());
            assert_eq!((sent, heard.len()), (90_000, 1));
            let arrived = f64::from(heard[0].1.packets) / f64::from(sent);
            report(&format!("half an hour: {:.2} % arrived at 1 % loss", arrived * 100.0));
            assert!((arrived - (1.0 - loss)).abs() < 0.002, "{arrived}");
        }
        for (participant, events) in [&alice, &bob].into_iter().zip(&mut events) {
            no_one_was_lost(events).await;
            let metrics = &participant.mesh.peers()[0].metrics;
            assert!(metrics.connected_for >= half_an_hour);
            assert_eq!((metrics.packets_sent, metrics.packets_unread), (90_000, 0));
        }
    });
}

#[test]
fn ten_peers_hear_each_other_for_a_minute() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let minute = SECOND * 60;
        let world = World::new(net, 0.0);
        let mut peers: Vec<Participant> = Vec::new();
        let mut events = Vec::new();
        let started = Instant::now();
        for n in 0..10 {
            let newcomer = world.join(&format!("peer-{n}")).await;
            events.push(newcomer.mesh.events());
            peers.push(newcomer);
        }
        // As automatic connection does: each newcomer offers to everyone who was there.
        let attempts: Vec<_> = peers
            .iter()
            .enumerate()
            .flat_map(|(n, newcomer)| peers[..n].iter().map(move |present| (newcomer, present)))
            .map(|(from, to)| {
                let (mesh, to) = (from.mesh.clone(), to.id.clone());
                tokio::spawn(async move { mesh.connect(&to).await })
            })
            .collect();
        assert_eq!(attempts.len(), 45);
        for attempt in attempts {
            soon("connect", attempt).await.unwrap().unwrap();
        }
        for peer in &peers {
            soon("everyone", async {
                while peer.mesh.peers().len() < 9 {
                    sleep(MS).await;
                }
            })
            .await;
        }
        report(&format!("45 pairs connected within {:?}", started.elapsed()));
        let ids: Vec<PeerId> = peers.iter().map(|p| p.id.clone()).collect();
        let ears: Vec<_> = peers.iter().map(|p| tokio::spawn(hear_everyone(p.mesh.clone(), minute + SECOND))).collect();
        let talks: Vec<_> = peers
            .iter()
            .map(|p| {
                let others = ids.iter().filter(|id| **id != p.id).cloned().collect();
                tokio::spawn(talk(p.mesh.clone(), others, minute))
            })
            .collect();
        for talk in talks {
            assert_eq!(talk.await.unwrap(), 3_000);
        }
        for (peer, ears) in peers.iter().zip(ears) {
            let heard = ears.await.unwrap();
            assert_eq!(heard.len(), 9, "{} hears {heard:?}", peer.id);
            for (from, heard) in heard {
                assert_eq!(heard.packets, 3_000, "{} from {from}", peer.id);
                assert!(heard.longest_gap <= MS * 25, "{} from {from}: {:?}", peer.id, heard.longest_gap);
            }
        }
        for events in &mut events {
            no_one_was_lost(events).await;
        }
        report("ten peers for a minute: 270,000 packets, none lost");
    });
}

#[test]
fn sound_and_pictures_for_a_minute_on_a_lossy_path() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let minute = SECOND * 60;
        let world = World::new(net, 0.02);
        let (alice, bob) = world.call().await;
        let sound = tokio::spawn(talk(alice.mesh.clone(), vec![bob.id.clone()], minute));
        let pictures = tokio::spawn(film(alice.mesh.clone(), bob.id.clone(), 3, minute));
        let mut counted = [(MediaKind::Audio, 0), (MediaKind::Video, 0)];
        let mut tracks = [
            soon("a track", bob.mesh.next_track()).await.unwrap(),
            soon("a track", bob.mesh.next_track()).await.unwrap(),
        ];
        let (mut first, mut second) = (Heard::default(), Heard::default());
        let [one, other] = &mut tracks;
        tokio::join!(listen(one, minute + SECOND, &mut first), listen(other, minute + SECOND, &mut second));
        for (kind, packets) in &mut counted {
            *packets = if one.kind() == *kind { first.packets } else { second.packets };
        }
        let (sound, pictures) = (sound.await.unwrap(), pictures.await.unwrap());
        let share = |(_, arrived): (MediaKind, u32), sent: u32| f64::from(arrived) / f64::from(sent);
        let (audio, video) = (share(counted[0], sound), share(counted[1], pictures));
        report(&format!("2 % loss: {:.2} % of the sound, {:.2} % of the pictures", audio * 100.0, video * 100.0));
        assert!((0.97..=0.99).contains(&audio), "sound is sent once: {audio}");
        assert!(video >= 0.999, "pictures are sent again: {video}");
    });
}

#[test]
fn a_full_room_turns_away_the_next_one_and_goes_on() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let alice = world.join_with("alice", |config| config.max_peers = 1).await;
        let (bob, carol) = (world.join("bob").await, world.join("carol").await);
        soon("connect", bob.mesh.connect(&alice.id)).await.unwrap();
        let mut events = carol.mesh.events();
        soon("a refusal", carol.mesh.connect(&alice.id)).await.unwrap_err();
        let failed = event(&mut events, |e| matches!(e, MeshEvent::PeerFailed { peer, .. } if *peer == "alice")).await;
        let MeshEvent::PeerFailed { report, .. } = failed else { unreachable!() };
        assert_eq!(report.ended_by_peer, Some(DisconnectReason::Busy), "{report:?}");
        assert_eq!(alice.mesh.peers()[0].peer, id("bob"));
        let talk = tokio::spawn(talk(bob.mesh.clone(), vec![alice.id.clone()], SECOND * 2));
        let mut track = audio_track(&alice.mesh).await;
        let mut heard = Heard::default();
        listen(&mut track, SECOND * 3, &mut heard).await;
        assert_eq!(heard.packets, talk.await.unwrap());
    });
}
