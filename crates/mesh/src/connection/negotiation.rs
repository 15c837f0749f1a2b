use remotemedia_media::{Codec, MediaKind};
use rtc::peer_connection::configuration::RTCOfferOptions;
use tokio::time::{Duration, Instant};
use webrtc::{
    error::Error,
    peer_connection::{RTCIceCandidateInit, RTCSessionDescription},
};

use super::{
    Note,
    actor::{Actor, End},
    build, candidates,
    codecs::configured,
    feedback, is_polite,
    link::Link,
    random_id, sdp,
    timers::RESTART_PATIENCE,
};
use crate::{
    ConnectionReport, ConnectionStage, Feedback, IceCandidate, MeshConfig, SignalingMessage,
    connection::sdp::Description,
    stream_key::StreamKey,
    wire::{WireConfig, WireShared},
};

/// How long changes are gathered before they are offered: one change often reports itself twice.
const DEBOUNCE: Duration = Duration::from_millis(30);

impl Actor {
    /// Makes a fresh peer connection and offers it.
    pub(super) async fn offer_afresh(&mut self) -> Result<(), End> {
        let request_id = random_id();
        let built = async {
            let mut link = Box::pin(self.new_link(true, request_id)).await?;
            let messages = link.add_own_media(&self.shared.config).await?;
            self.adopt_own_channels(&mut link, messages);
            Ok(link)
        };
        // Boxed: a peer connection under construction is large.
        let link: Result<Link, Error> = Box::pin(built).await;
        self.link = Some(link.map_err(|error| self.broken(&error))?);
        self.send_offer(false).await
    }

    /// Offers what the peer connection has now.
    pub(super) async fn send_offer(&mut self, ice_restart: bool) -> Result<(), End> {
        self.negotiate_at = None;
        let Some(link) = &mut self.link else { return Ok(()) };
        let request_id = link.own_request_id.get_or_insert_with(random_id).clone();
        let pc = link.pc.clone();
        let made = async {
            let options = RTCOfferOptions { ice_restart };
            let offer = pc.create_offer(Some(options)).await?;
            let text = offer.sdp.clone();
            pc.set_local_description(offer).await?;
            Ok::<_, Error>(text)
        };
        match made.await {
            Ok(text) => {
                link.local = Description::parse(&text);
                link.request_id = request_id.clone();
                link.offer_pending = true;
                // Browsers send with the payload types of our offer as soon as they have it.
                link.routes.set_codecs(all_codecs(&link.local));
                self.answer_due = Some(Instant::now() + self.shared.config.attempt_timeout);
                self.signal(SignalingMessage::Offer {
                    sdp: sdp::mark(&text, self.shared.config.data_channel.is_some()),
                    request_id,
                });
                Ok(())
            }
            Err(error) => self.recover(&error),
        }
    }

    /// An offer came: a change to the connection that stands, or another connection.
    pub(super) async fn on_offer(&mut self, sdp: String, request_id: String) -> Result<(), End> {
        self.report.description_received = true;
        self.wanted_by_peer = true;
        let offered = Description::parse(&sdp);
        let same = self.link.as_ref().is_some_and(|link| {
            // A peer connection keeps its certificate for life, and shares it with no other.
            link.remote.as_ref().is_some_and(|r| r.fingerprint == offered.fingerprint)
        });
        let colliding = self.link.as_ref().is_some_and(|link| link.offer_pending);
        if colliding && !is_polite(&self.shared, &self.peer) {
            tracing::debug!(peer = %self.peer.id, "ignored an offer that collided with ours");
            self.ignored_offer = Some((sdp, request_id));
            return Ok(());
        }
        if !same {
            return self.answer_afresh(sdp, request_id).await;
        }
        // The peer is at it: no need to restart from here as well.
        self.restart_at = self.restart_at.map(|_| Instant::now() + RESTART_PATIENCE);
        let Some(link) = &mut self.link else { return Ok(()) };
        if colliding {
            let pc = link.pc.clone();
            let rolled_back = async { pc.set_local_description(RTCSessionDescription::rollback(None)?).await };
            if let Err(error) = rolled_back.await {
                return self.recover(&error);
            }
            link.offer_pending = false;
            self.answer_due = None;
            // What our own offer was about still has to be offered.
            self.negotiate_soon();
        }
        self.answer(sdp, request_id).await
    }

    /// Answers on a fresh peer connection. Whatever connection there was is over.
    async fn answer_afresh(&mut self, sdp: String, request_id: String) -> Result<(), End> {
        if self.link.as_ref().is_some_and(|link| link.connected) {
            tracing::debug!(peer = %self.peer.id, "the peer began a new connection");
            self.connection_lost();
        }
        let link = Box::pin(self.new_link(false, request_id.clone())).await;
        self.link = Some(link.map_err(|error| self.broken(&error))?);
        self.answer(sdp, request_id).await
    }

    async fn answer(&mut self, sdp: String, request_id: String) -> Result<(), End> {
        let config = self.shared.config.clone();
        let Some(link) = &mut self.link else { return Ok(()) };
        let offered = Description::parse(&sdp);
        let made = async {
            // The transceiver that the stack makes for a section that only receives could never receive, not even when the
            // peer begins to send later. One that is there already is used instead.
            for kind in [MediaKind::Audio, MediaKind::Video] {
                if offered.media(kind).is_some_and(|section| !section.sends) {
                    add_own_track(link, &config, &offered, kind).await?;
                }
            }
            let sdp = sdp::without_layers(&sdp);
            link.pc.set_remote_description(RTCSessionDescription::offer(sdp)?).await?;
            for kind in [MediaKind::Audio, MediaKind::Video] {
                add_own_track(link, &config, &offered, kind).await?;
            }
            let answer = link.pc.create_answer(None).await?;
            let text = answer.sdp.clone();
            link.pc.set_local_description(answer).await?;
            Ok::<_, Error>(text)
        };
        match Box::pin(made).await {
            Ok(text) => {
                link.remote = Some(offered);
                link.remote_answers = false;
                link.local = Description::parse(&text);
                link.request_id = request_id.clone();
                self.signal(SignalingMessage::Answer {
                    sdp: sdp::mark(&text, self.shared.config.data_channel.is_some()),
                    request_id,
                });
                self.negotiated().await
            }
            Err(error) => self.recover(&error),
        }
    }

    /// The answer to our offer came.
    pub(super) async fn on_answer(&mut self, sdp: String, request_id: &str) -> Result<(), End> {
        let Some(link) = &mut self.link else { return Ok(()) };
        if !link.offer_pending || link.request_id != request_id {
            tracing::debug!(peer = %self.peer.id, "ignored an answer to no offer");
            return Ok(());
        }
        self.report.description_received = true;
        let answered = Description::parse(&sdp);
        let pc = link.pc.clone();
        let applied = async { pc.set_remote_description(RTCSessionDescription::answer(sdp)?).await };
        if let Err(error) = applied.await {
            return self.recover(&error);
        }
        link.offer_pending = false;
        link.remote = Some(answered);
        link.remote_answers = true;
        self.answer_due = None;
        self.ignored_offer = None;
        self.negotiated().await
    }

    /// Offer and answer are exchanged: what they agree on takes effect.
    async fn negotiated(&mut self) -> Result<(), End> {
        self.report.reached(ConnectionStage::Checking);
        self.settle_tracks().await?;
        self.end_streams();
        let Some(link) = &mut self.link else { return Ok(()) };
        link.routes.set_codecs(all_codecs(&link.local));
        let Some(remote) = &link.remote else { return Ok(()) };
        let candidates = self.early.take(Instant::now(), &remote.ufrags, &link.request_id);
        for candidate in candidates {
            self.add_candidate(candidate).await;
        }
        self.publish_path();
        if self.link.as_ref().is_some_and(Link::has_more_to_offer) {
            self.negotiate_soon();
        }
        if self.link.as_ref().is_some_and(|link| link.connected) {
            self.publish_media();
            self.tell_of_no_video();
        }
        Ok(())
    }

    /// Brings our tracks in line with what the peer takes.
    async fn settle_tracks(&mut self) -> Result<(), End> {
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

    /// A candidate of the peer came.
    pub(super) async fn on_candidate(&mut self, candidate: IceCandidate) {
        ConnectionReport::note_candidate(&mut self.report.remote_candidates, &candidate.candidate);
        let known = self.link.as_ref().is_some_and(|link| {
            let remote = link.remote.as_ref();
            remote.is_some_and(|r| candidates::belongs(&candidate, &r.ufrags, &link.request_id))
        });
        if known {
            self.add_candidate(candidate).await;
        } else {
            self.early.push(Instant::now(), candidate);
        }
    }

    async fn add_candidate(&mut self, candidate: IceCandidate) {
        let Some(link) = &self.link else { return };
        let init = RTCIceCandidateInit { candidate: candidate.candidate, ..Default::default() };
        if let Err(error) = link.pc.add_ice_candidate(init).await {
            self.report.note_error(super::brief(&error));
        }
    }

    /// A candidate of ours was found; the empty string ends them.
    pub(super) fn on_own_candidate(&mut self, candidate: String) {
        ConnectionReport::note_candidate(&mut self.report.local_candidates, &candidate);
        let Some(link) = &self.link else { return };
        let first_mid = link.local.sections.first().and_then(|s| s.mid.clone());
        let message = IceCandidate {
            candidate,
            sdp_mid: first_mid,
            sdp_m_line_index: Some(0),
            user_fragment: link.local.ufrags.first().cloned(),
            request_id: link.request_id.clone(),
        };
        self.signal(SignalingMessage::Candidate(message));
    }

    /// Offers soon what has changed, unless that happens anyway.
    pub(super) fn negotiate_soon(&mut self) {
        self.negotiate_at.get_or_insert(Instant::now() + DEBOUNCE);
    }

    /// The time has come to offer what has changed.
    pub(super) async fn negotiate(&mut self) -> Result<(), End> {
        let ready = self.link.as_ref().is_some_and(|link| link.remote.is_some());
        let busy = self.link.as_ref().is_some_and(|link| link.offer_pending);
        if !ready || busy {
            // After the answer there is an event again if something is left.
            self.negotiate_at = None;
            return Ok(());
        }
        self.send_offer(false).await
    }

    /// Looks for a new path.
    pub(super) async fn restart_ice(&mut self) -> Result<(), End> {
        let ready = self.link.as_ref().is_some_and(|link| link.remote.is_some() && !link.offer_pending);
        if !ready {
            return Ok(());
        }
        self.send_offer(true).await
    }

    async fn new_link(&mut self, offerer: bool, request_id: String) -> Result<Link, Error> {
        self.note_ice_servers();
        if let Some(old) = self.link.take() {
            self.peer.media.clear();
            old.close().await;
        }
        self.epoch += 1;
        self.report.tries += 1;
        self.negotiate_at = None;
        self.attempt_due = offerer.then(|| Instant::now() + self.shared.config.attempt_timeout);
        let runtime = self.shared.runtime.for_connection();
        let (notes, epoch) = (self.notes_sender.clone(), self.epoch);
        // If it does not fit, the report at the end tells it.
        runtime.on_ice_server_failure(move || {
            let _ = notes.try_send(Note::IceServerFailed(epoch));
        });
        let bounds = *self.shared.bitrate.lock();
        let wire = WireShared::new(&WireConfig { min: bounds.min, start: bounds.start, max: bounds.max });
        let events = (self.events_sender.clone(), self.events_lost.clone());
        let built = build::peer_connection(&self.shared.config, self.epoch, runtime.clone(), &wire, events);
        let pc = Box::pin(built).await?;
        let link = Link::new(self.epoch, pc, (runtime, wire.clone()), offerer, request_id);
        let (shared, peer) = (self.shared.clone(), self.peer.clone());
        self.shared.tasks.spawn(feedback::listen(wire, link.routes.clone(), shared, peer));
        Ok(link)
    }

    /// A peer connection could not even be made: no later try would do better.
    fn broken(&mut self, error: &Error) -> End {
        self.report.note_error(super::brief(error));
        End::Failed
    }

    /// A description could not be made or applied. A connection that stands goes on as it is.
    fn recover(&mut self, error: &Error) -> Result<(), End> {
        let words = super::brief(error);
        tracing::debug!(peer = %self.peer.id, error = words, "negotiation failed");
        self.report.note_error(words);
        if self.link.as_ref().is_some_and(|link| link.connected) { Ok(()) } else { Err(End::Failed) }
    }
}

/// Adds our track to a section that the peer offers to receive, unless there is one.
async fn add_own_track(
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

fn all_codecs(description: &Description) -> Vec<(Codec, u8)> {
    description.sections.iter().flat_map(|s| s.codecs.iter().copied()).collect()
}
