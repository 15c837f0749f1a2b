use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{peer::Peer, reader::Routes};
use crate::{Feedback, TrackItem, mesh::Shared, wire::WireEvent, wire::WireShared};

/// Hands on what the interceptors of a peer connection have to say, for as long as it lives.
pub(super) async fn listen(wire: Arc<WireShared>, routes: Arc<Routes>, shared: Arc<Shared>, peer: Arc<Peer>) {
    while let Some(event) = wire.next_event().await {
        match event {
            WireEvent::KeyframeRequested { ssrc } => {
                peer.counters.keyframes_requested_by_peer.fetch_add(1, Relaxed);
                let stream = peer.media.stream_of(ssrc);
                shared.feedback(Feedback::KeyframeRequested { peer: peer.id.clone(), stream });
            }
            WireEvent::FrameDropped { ssrc } => {
                let stream = peer.media.stream_of(ssrc);
                shared.feedback(Feedback::VideoGivenUp { peer: peer.id.clone(), stream });
            }
            WireEvent::SenderReport { ssrc, ntp, rtp, .. } => routes.report(ssrc, TrackItem::SenderReport { ntp, rtp }),
            WireEvent::TargetBitrate(rate) => {
                if peer.is_connected() {
                    shared.feedback(Feedback::TargetBitrate { peer: peer.id.clone(), rate });
                }
            }
        }
    }
}
