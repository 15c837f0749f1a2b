//! A peer that dies is noticed, and a signaling server that dies is not.

use std::time::Duration;

use crate::world::{
    Heard, MS, SECOND, World, audio_track, begun, event, id, listen, media_both_ways, report, sees, soon, talk,
};
use remotemedia_mesh::{MeshEvent, Message};
use remotemedia_netsim::virt::run_virtual;
use tokio::time::{Instant, sleep};

#[test]
fn a_killed_peer_is_noticed_within_2_s() {
    let _running = begun();
    for (seed, loss) in [(1, 0.0), (2, 0.05), (3, 0.1), (4, 0.1), (5, 0.1)] {
        run_virtual(seed, move |net| async move {
            let world = World::new(net, loss);
            let (alice, bob, carol) = (world.join("alice").await, world.join("bob").await, world.join("carol").await);
            for (from, to) in [(&alice, &bob), (&bob, &carol), (&carol, &alice)] {
                soon("connect", from.mesh.connect(&to.id)).await.unwrap();
                sees(to, from).await;
            }
            // Past the opening of the control channels, which loss can put off by seconds.
            sleep(SECOND * 5 + Duration::from_millis(seed * 370)).await;
            let mut events = [alice.mesh.events(), carol.mesh.events()];
            let killed = Instant::now();
            // What kill -9 leaves: no datagram any more, and sockets that the system closes.
            bob.host.cut();
            bob.signaler.kill();
            for events in &mut events {
                let gone = |e: &MeshEvent| matches!(e, MeshEvent::PeerDisconnected { peer, .. } if *peer == "bob");
                event(events, gone).await;
                report(&format!("seed {seed}: noticed after {:?}", killed.elapsed()));
                assert!(killed.elapsed() <= SECOND * 2, "seed {seed}: {:?}", killed.elapsed());
            }
            sleep(SECOND).await;
            assert_eq!((alice.host.open_sockets(), carol.host.open_sockets()), (1, 1), "sockets for one peer are left");
            for (mesh, other) in [(&alice.mesh, "carol"), (&carol.mesh, "alice")] {
                let peers: Vec<_> = mesh.peers().into_iter().map(|status| status.peer).collect();
                assert_eq!(peers, [id(other)]);
                assert_eq!(mesh.available_peers(), [id(other)]);
            }
        });
    }
}

#[test]
fn a_cut_path_without_a_hint_is_given_up_after_the_ice_timeout() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let (alice, bob) = (world.join("alice").await, world.join("bob").await);
        soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
        let mut events = alice.mesh.events();
        sleep(SECOND * 5).await;
        let cut = Instant::now();
        bob.host.cut();
        event(&mut events, |e| matches!(e, MeshEvent::PeerReconnecting { .. })).await;
        let noticed = cut.elapsed();
        event(&mut events, |e| matches!(e, MeshEvent::PeerDisconnected { .. })).await;
        report(&format!("reconnecting after {noticed:?}, given up after {:?}", cut.elapsed()));
        assert!(cut.elapsed() <= SECOND * 25, "{:?}", cut.elapsed());
    });
}

#[test]
fn a_path_that_is_lost_without_signaling_is_looked_for_for_a_minute() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let ((alice, bob), dies) = (world.call().await, world.join("carol").await);
        for survivor in [&alice, &bob] {
            soon("connect", dies.mesh.connect(&survivor.id)).await.unwrap();
            sees(survivor, &dies).await;
        }
        sleep(SECOND * 5).await;
        world.signaling.kill();
        let mut events = [alice.mesh.events(), bob.mesh.events()];
        let cut = Instant::now();
        dies.host.cut();
        for events in &mut events {
            let about_carol = event(events, |e| {
                let about = match e {
                    MeshEvent::PeerReconnecting { peer } | MeshEvent::PeerDisconnected { peer, .. } => Some(peer),
                    _ => None,
                };
                about.is_some_and(|peer| *peer == "carol")
            })
            .await;
            assert!(matches!(about_carol, MeshEvent::PeerReconnecting { .. }), "{about_carol:?}");
        }
        for events in &mut events {
            event(events, |e| matches!(e, MeshEvent::PeerDisconnected { peer, .. } if *peer == "carol")).await;
            report(&format!("without signaling given up after {:?}", cut.elapsed()));
            assert!((SECOND * 55..=SECOND * 70).contains(&cut.elapsed()), "{:?}", cut.elapsed());
        }
        // The two that are left still have each other.
        assert_eq!((alice.mesh.peers().len(), bob.mesh.peers().len()), (1, 1));
        media_both_ways(&alice, &bob).await;
    });
}

#[test]
fn a_signaling_server_that_dies_leaves_media_and_messages_untouched() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let (alice, bob) = world.call().await;
        let mut events = alice.mesh.events();
        let talk = tokio::spawn(talk(alice.mesh.clone(), vec![bob.id.clone()], SECOND * 130));
        let mut track = audio_track(&bob.mesh).await;
        let mut heard = Heard::default();
        listen(&mut track, SECOND * 2, &mut heard).await;
        world.signaling.kill();
        event(&mut events, |e| matches!(e, MeshEvent::Signaling { connected: false })).await;
        listen(&mut track, SECOND * 60, &mut heard).await;
        alice.mesh.send_message(&bob.id, Message::Text("still here".into())).await.unwrap();
        assert_eq!(bob.mesh.recv_message().await, Some((alice.id.clone(), Message::Text("still here".into()))));
        world.signaling.restart();
        event(&mut events, |e| matches!(e, MeshEvent::Signaling { connected: true })).await;
        listen(&mut track, SECOND * 80, &mut heard).await;
        let sent = talk.await.unwrap();
        assert_eq!((heard.packets, heard.last), (sent, Some(sent - 1)), "not a packet is missing");
        assert_eq!(heard.longest_gap, MS * 20);
        // The new server takes new connections between the old peers and a newcomer.
        let carol = world.join("carol").await;
        soon("connect", carol.mesh.connect(&alice.id)).await.unwrap();
        soon("connect", bob.mesh.connect(&carol.id)).await.unwrap();
        assert_eq!(alice.mesh.peers().len(), 2);
    });
}

#[test]
fn the_first_figures_of_a_call_tell_whether_media_comes() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let (alice, bob) = world.call().await;
        tokio::spawn(talk(alice.mesh.clone(), vec![bob.id.clone()], SECOND * 10));
        // How long the silence of a peer without heartbeats may be depends on it.
        let first = loop {
            let metrics = bob.mesh.peers()[0].metrics.clone();
            if metrics.bytes_received > 0 {
                break metrics;
            }
            sleep(MS).await;
        };
        assert!(first.receive_bitrate.as_bps() > 0, "{first:?}");
    });
}

#[test]
fn a_peer_that_leaves_is_gone_at_once() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net, 0.0);
        let (alice, bob) = world.call().await;
        sleep(SECOND).await;
        let mut events = alice.mesh.events();
        let left = Instant::now();
        bob.mesh.disconnect(&alice.id).await.unwrap();
        event(&mut events, |e| matches!(e, MeshEvent::PeerDisconnected { .. })).await;
        assert!(left.elapsed() <= MS * 100, "{:?}", left.elapsed());
        assert!(alice.mesh.peers().is_empty() && bob.mesh.peers().is_empty());
        // And they find each other again.
        soon("connect again", alice.mesh.connect(&bob.id)).await.unwrap();
        sees(&bob, &alice).await;
        media_both_ways(&alice, &bob).await;
    });
}
