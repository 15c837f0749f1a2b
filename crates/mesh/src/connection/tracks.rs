use remotemedia_media::{Codec, MediaKind};
use webrtc::error::Error;

use super::{
    actor::{Actor, End},
    codecs::configured,
    link::Link,
    sdp::Description,
};
use crate::{Feedback, MeshConfig, stream_key::StreamKey};

/// What is sent to the peer: which of our tracks it takes, and in which codec.
impl Actor {
    /// Brings our tracks in line with what the peer takes.
    pub(super) async fn settle_tracks(&mut self) -> Result<(), End> {
        let config = self.shared.config.clone();
        let keys: Vec<StreamKey> = self.link.iter().flat_map(|l| &l.out).map(|track| track.key.clone()).collect();
        for key in keys {
            let Some(link) = &mut self.link else { return Ok(()) };
            let Some(remote) = link.remote.clone() else { return Ok(()) };
            let Some(out) = link.out_track(&key) else { continue };
            let own_section = link.local.section_of_track(&out.id);
            if key.stream.is_some() && own_section.is_none() {
                // It is still to be offered.
                continue;
            }
            let (kind, identity, bound, sender) = (key.kind, out.identity, out.bound, out.sender.clone());
            let theirs = match &key.stream {
                Some(_) => own_section.and_then(|own| remote.counterpart(own)),
                None => remote.media(kind),
            };
            let negotiated = sender.get_parameters().await.map(|p| p.rtp_parameters.codecs).unwrap_or_default();
            let known = configured(&config, kind);
            let section = theirs.filter(|section| section.receives);
            let accepted: Vec<(Codec, u8)> = section.map(|s| s.codecs.clone()).unwrap_or_default();
            let usable: Vec<(Codec, u8)> = accepted
                .into_iter()
                .filter(|(codec, pt)| known.contains(codec) && negotiated.iter().any(|n| n.payload_type == *pt))
                .collect();
            let expected = usable.first().map_or(bound, |(codec, _)| *codec);
            self.peer.media.set_stream(key.clone(), identity, expected, usable.clone());
            let Some(link) = &mut self.link else { return Ok(()) };
            let rebound = match usable.first() {
                // A section that the peer turned down must not keep a sender: no later description could be made.
                None if section.is_none() => link.remove_track(&key).await,
                // The interceptors know the track by a codec that will not be sent.
                Some(_) if !link.connected && expected != bound => link.rebind(&key, expected).await,
                Some(_) if !usable.iter().any(|(codec, _)| *codec == bound) => link.rebind(&key, expected).await,
                _ => Ok(()),
            };
            if let Err(error) = rebound {
                tracing::debug!(peer = %self.peer.id, %kind, error = %super::brief(&error), "changing a track");
            }
            if key.stream.is_some() && usable.is_empty() {
                self.refuse_stream(key);
            }
        }
        Ok(())
    }

    /// Media is sent in another codec than before.
    pub(super) async fn use_codec(&mut self, key: &StreamKey, codec: Codec) {
        let Some(link) = self.link.as_mut().filter(|l| l.connected) else { return };
        if link.out_track(key).is_none_or(|t| t.bound == codec) {
            return;
        }
        if let Err(error) = link.rebind(key, codec).await {
            tracing::debug!(peer = %self.peer.id, %codec, error = %super::brief(&error), "changing the codec");
        }
        self.publish_media();
        self.negotiate_soon();
    }

    /// Tells the engine what can be sent, and lets the pump send it.
    pub(super) fn publish_media(&mut self) {
        let Some(link) = &mut self.link else { return };
        let codecs = [MediaKind::Audio, MediaKind::Video].map(|kind| self.peer.media.codecs(kind));
        if let Some(pump) = link.pump.take() {
            pump.abort();
        }
        let pump = crate::outgoing::pump(self.peer.media.clone(), link.tracks());
        link.pump = Some(tokio::spawn(pump).abort_handle());
        if self.published.as_ref() != Some(&codecs) {
            let [audio, video] = codecs.clone();
            self.published = Some(codecs);
            let (peer, rate) = (self.peer.id.clone(), link.wire.target());
            self.shared.feedback(Feedback::MediaReady { peer: peer.clone(), audio, video });
            self.shared.feedback(Feedback::TargetBitrate { peer, rate });
        }
        self.publish_streams();
    }
}

/// Adds our track to a section that the peer offers to receive, unless there is one.
pub(super) async fn add_own_track(
    link: &mut Link,
    config: &MeshConfig,
    offered: &Description,
    kind: MediaKind,
) -> Result<(), Error> {
    let codec = offered.media(kind).filter(|section| section.receives).and_then(|section| {
        let known = configured(config, kind);
        section.codecs.iter().map(|(codec, _)| *codec).find(|codec| known.contains(codec))
    });
    match codec {
        Some(codec) if link.out_track(&StreamKey::main(kind)).is_none() => {
            link.add_track(StreamKey::main(kind), codec).await
        }
        _ => Ok(()),
    }
}
