//! Changes to a connection that stands: ICE restarts, from one side, from both at once, after an outage.

use std::time::Duration;

use remotemedia_mesh::{MeshEvent, Message};

use crate::{
    hub::{Hub, config, connected, event, id, mesh, soon},
    network::{Cable, mesh_on},
    video::{send_video, video_numbers, video_track},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_flows_on_through_ice_restarts_of_either_side() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    let sender = alice.clone();
    let sending = tokio::spawn(async move { send_video(&sender, "bob").await });
    let mut track = video_track(&bob).await;
    video_numbers(&mut track, 20).await;
    for (mesh, peer) in [(&alice, "bob"), (&bob, "alice"), (&alice, "bob")] {
        soon("restart", mesh.restart_ice(&id(peer))).await.unwrap();
        let numbers = video_numbers(&mut track, 100).await;
        let span = numbers[99] - numbers[0] + 1;
        println!("{peer}: {} of {span} frames during the restart", numbers.len());
        assert!(span < 400, "the restart cost {} frames", span - 100);
    }
    sending.abort();
    soon("send", bob.send_message(&id("alice"), Message::Text("still here".into()))).await.unwrap();
    assert!(soon("receive", alice.recv_message()).await.is_some());
    assert_eq!(alice.peers().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offers_that_cross_on_a_standing_connection_do_no_harm() {
    let hub = Hub::default();
    let (alice, bob) = (mesh(&hub, "alice").await, mesh(&hub, "bob").await);
    let mut events = alice.events();
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    for round in 0..6 {
        let (to_bob, to_alice) = (id("bob"), id("alice"));
        let (a, b) = tokio::join!(alice.restart_ice(&to_bob), bob.restart_ice(&to_alice));
        a.and(b).unwrap();
        let message = Message::Text(format!("round {round}"));
        soon("send", alice.send_message(&to_bob, message.clone())).await.unwrap();
        assert_eq!(soon("receive", bob.recv_message()).await, Some((to_alice.clone(), message.clone())));
        soon("send", bob.send_message(&to_alice, message.clone())).await.unwrap();
        assert_eq!(soon("receive", alice.recv_message()).await, Some((to_bob, message)));
    }
    // Media after all that.
    let sender = alice.clone();
    let sending = tokio::spawn(async move { send_video(&sender, "bob").await });
    let mut track = video_track(&bob).await;
    video_numbers(&mut track, 50).await;
    sending.abort();
    alice.shutdown().await;
    event(&mut events, |e| matches!(e, MeshEvent::PeerConnected { .. })).await;
    let ended = |e: &MeshEvent| matches!(e, MeshEvent::PeerDisconnected { .. } | MeshEvent::PeerConnected { .. });
    assert!(matches!(event(&mut events, ended).await, MeshEvent::PeerDisconnected { .. }));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outage_is_survived_by_an_ice_restart() {
    let (hub, cable) = (Hub::default(), Cable::default());
    let mut config_of_bob = config("bob");
    config_of_bob.ice_timeout = Duration::from_secs(9);
    let mut config_of_alice = config("alice");
    config_of_alice.ice_timeout = Duration::from_secs(9);
    let alice = crate::mesh_with(&hub, config_of_alice).await;
    let bob = mesh_on(&hub, config_of_bob, &cable).await;
    let mut events = alice.events();
    soon("connect", alice.connect(&id("bob"))).await.unwrap();
    connected(&alice, &bob).await;
    let sender = bob.clone();
    let sending = tokio::spawn(async move { send_video(&sender, "alice").await });
    let mut track = video_track(&alice).await;
    video_numbers(&mut track, 20).await;
    cable.cut();
    event(&mut events, |e| matches!(e, MeshEvent::PeerReconnecting { .. })).await;
    assert!(alice.peers()[0].reconnecting);
    cable.mend();
    event(&mut events, |e| matches!(e, MeshEvent::PeerReconnected { .. })).await;
    video_numbers(&mut track, 100).await;
    soon("send", alice.send_message(&id("bob"), Message::Text("back".into()))).await.unwrap();
    assert!(soon("receive", bob.recv_message()).await.is_some());
    sending.abort();
}
