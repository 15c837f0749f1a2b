//! Named streams while connections come and go.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use remotemedia_media::{Codec, MediaKind, PeerId, StreamId};
use remotemedia_mesh::{Feedback, Mesh, Signaler, SignalingError, SignalingEvent, SignalingMessage};
use remotemedia_netsim::{
    link::LinkConfig,
    virt::{VirtualSignaler, run_virtual},
};
use remotemedia_signaling::state::StateConfig;
use tokio::time::sleep;

use crate::world::{ONE_WAY, SECOND, World, begun, sees, soon};

fn screen() -> StreamId {
    "screen".parse().unwrap()
}

/// Signaling which, when it has brought the next offer, has its mesh open a stream before anything else happens: the
/// connection has not even looked at the offer.
struct OpensAfterAnOffer {
    signaler: Arc<VirtualSignaler>,
    mesh: Mutex<Option<Mesh>>,
    offered: Mutex<Option<PeerId>>,
}

#[async_trait]
impl Signaler for OpensAfterAnOffer {
    async fn send(&self, to: &PeerId, message: SignalingMessage) -> Result<(), SignalingError> {
        self.signaler.send(to, message).await
    }

    async fn next_event(&self) -> Option<SignalingEvent> {
        let offered = self.offered.lock().unwrap().take();
        if let Some(peer) = offered
            && let Some(mesh) = self.mesh.lock().unwrap().take()
        {
            mesh.open_stream(&peer, MediaKind::Video, &screen()).expect("the old connection stands");
        }
        let event = self.signaler.next_event().await;
        if let Some(SignalingEvent::Message { from, message: SignalingMessage::Offer { .. } }) = &event {
            *self.offered.lock().unwrap() = Some(from.clone());
        }
        event
    }
}

#[test]
fn a_stream_that_is_opened_while_the_peer_begins_a_new_connection_waits_for_it() {
    let _running = begun();
    run_virtual(1, |net| async move {
        let world = World::new(net.clone(), 0.0);
        let host = net.add_host(LinkConfig::with_delay(ONE_WAY), LinkConfig::default());
        let mut opens = None;
        let wrap = |signaler| {
            let wrapped = OpensAfterAnOffer { signaler, mesh: Mutex::default(), offered: Mutex::default() };
            opens.insert(Arc::new(wrapped)).clone()
        };
        let alice = world.join_through(host, "alice", |_| (), wrap).await;
        let bob = world.join("bob").await;
        soon("connect", alice.mesh.connect(&bob.id)).await.unwrap();
        sees(&bob, &alice).await;
        while !matches!(soon("feedback", alice.mesh.next_feedback()).await, Some(Feedback::MediaReady { .. })) {}
        // Until signaling has forgotten bob, whom alice still talks to.
        bob.signaler.kill();
        sleep(StateConfig::default().reservation + SECOND).await;
        bob.host.cut();
        *opens.unwrap().mesh.lock().unwrap() = Some(alice.mesh.clone());
        let bob = world.join("bob").await;
        soon("connect again", bob.mesh.connect(&alice.id)).await.unwrap();
        let mut told = Vec::new();
        while !matches!(told.last(), Some(Feedback::StreamReady { .. })) {
            let feedback = soon("what became of the stream", alice.mesh.next_feedback()).await.unwrap();
            if !matches!(feedback, Feedback::TargetBitrate { .. }) {
                told.push(feedback);
            }
        }
        let named = |feedback: &Feedback| match feedback {
            Feedback::MediaReady { .. } => "ready",
            Feedback::MediaGone { .. } => "gone",
            Feedback::StreamReady { codecs, .. } if codecs.contains(&Codec::Vp8) => "stream",
            _ => "something else",
        };
        assert_eq!(told.iter().map(named).collect::<Vec<_>>(), ["gone", "ready", "stream"], "{told:?}");
        let is_open = || alice.mesh.is_stream_open(&bob.id, MediaKind::Video, &screen());
        assert!(is_open());
        alice.mesh.close_stream(&bob.id, MediaKind::Video, &screen()).unwrap();
        assert!(!is_open());
    });
}
