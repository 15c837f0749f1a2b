use remotemedia_media::{Codec, MediaKind};
use rtc::peer_connection::configuration::RTCOfferOptions;
use tokio::time::{Duration, Instant};
use webrtc::{error::Error, peer_connection::RTCSessionDescription};

use super::{
    Note,
    actor::{Actor, End},
    build, feedback, is_polite,
    link::Link,
    random_id,
    sdp::{self, Description},
    timers::RESTART_PATIENCE,
    tracks::add_own_track,
};
use crate::{
    ConnectionStage, SignalingMessage,
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
            self.early.ignore(sdp, request_id);
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
        // First, since it takes what belongs to the answer.
        self.negotiated().await?;
        self.early.drop_ignored(Instant::now());
        Ok(())
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
        let servers = self.shared.ice_servers.lock().clone();
        let built = build::peer_connection(&self.shared.config, servers, self.epoch, runtime.clone(), &wire, events);
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

fn all_codecs(description: &Description) -> Vec<(Codec, u8)> {
    description.sections.iter().flat_map(|s| s.codecs.iter().copied()).collect()
}
