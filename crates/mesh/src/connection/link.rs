use std::sync::Arc;

use remotemedia_media::{Codec, MediaKind};
use rtc::{
    data_channel::RTCDataChannelInit,
    media_stream::MediaStreamTrack,
    rtp_transceiver::rtp_sender::{RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpRtxParameters},
};
use tokio::task::AbortHandle;
use webrtc::{
    data_channel::DataChannel, error::Error, media_stream::track_local::static_rtp::TrackLocalStaticRTP,
    peer_connection::PeerConnection, rtp_transceiver::RtpSender,
};

use super::{
    codecs::{codec_kind, configured, preferences, rtc_codec},
    control::{CONTROL_LABEL, MESSAGE_LABEL},
    incoming::Incoming,
    random_id,
    reader::Routes,
    sdp::Description,
};
use crate::{
    DataChannelMode, MeshConfig,
    outgoing::{OutgoingTracks, StreamIdentity},
    stream_key::StreamKey,
    wire::{ConnectionRuntime, WireShared},
};

/// The stream that the main tracks of a connection belong to in a description; no id that an application can give.
pub(super) const MAIN_STREAM: &str = "remotemedia.main";

/// One peer connection and what belongs to it. A connection to a peer may use several of them one after the other, until
/// one stands.
pub(super) struct Link {
    pub(super) epoch: u64,
    pub(super) pc: Arc<dyn PeerConnection>,
    pub(super) runtime: Arc<ConnectionRuntime>,
    pub(super) wire: Arc<WireShared>,
    /// Whether the first offer was ours.
    pub(super) offerer: bool,
    /// Of the offer and answer exchange that is going on, or was last.
    pub(super) request_id: String,
    /// Of the offers made here.
    pub(super) own_request_id: Option<String>,
    /// An offer of ours is not answered yet.
    pub(super) offer_pending: bool,
    pub(super) local: Description,
    pub(super) remote: Option<Description>,
    /// Whether `remote` answers an offer of ours.
    pub(super) remote_answers: bool,
    /// It has been told that there is no video.
    pub(super) told_of_no_video: bool,
    pub(super) connected: bool,
    /// The path works now.
    pub(super) up: bool,
    pub(super) out: Vec<OutTrack>,
    pub(super) incoming: Vec<Incoming>,
    pub(super) routes: Arc<Routes>,
    pub(super) control: Option<Arc<dyn DataChannel>>,
    pub(super) control_open: bool,
    pub(super) channels: Vec<Channel>,
    /// The channel that messages are sent on.
    pub(super) sending_on: Option<u64>,
    pub(super) pump: Option<AbortHandle>,
}

/// A track of ours.
pub(super) struct OutTrack {
    pub(super) key: StreamKey,
    pub(super) identity: StreamIdentity,
    pub(super) id: String,
    /// The codec that the interceptors know it by: retransmissions work for this one.
    pub(super) bound: Codec,
    pub(super) track: Arc<TrackLocalStaticRTP>,
    pub(super) sender: Arc<dyn RtpSender>,
}

/// A channel for messages.
pub(super) struct Channel {
    pub(super) number: u64,
    pub(super) channel: Arc<dyn DataChannel>,
    pub(super) open: bool,
    /// A task reads it.
    pub(super) read: bool,
}

impl Link {
    pub(super) fn new(
        epoch: u64,
        pc: Arc<dyn PeerConnection>,
        (runtime, wire): (Arc<ConnectionRuntime>, Arc<WireShared>),
        offerer: bool,
        request_id: String,
    ) -> Self {
        Self {
            epoch,
            pc,
            runtime,
            wire,
            offerer,
            own_request_id: offerer.then(|| request_id.clone()),
            request_id,
            offer_pending: false,
            local: Description::default(),
            remote: None,
            remote_answers: false,
            told_of_no_video: false,
            connected: false,
            up: false,
            out: Vec::new(),
            incoming: Vec::new(),
            routes: Arc::default(),
            control: None,
            control_open: false,
            channels: Vec::new(),
            sending_on: None,
            pump: None,
        }
    }

    /// Whether the peer is of this library too: then there is a control channel, and messages go in chunks.
    pub(super) fn is_remotemedia(&self) -> bool {
        self.remote.as_ref().is_some_and(|r| r.remotemedia)
    }

    pub(super) fn out_track(&self, key: &StreamKey) -> Option<&OutTrack> {
        self.out.iter().find(|track| track.key == *key)
    }

    pub(super) fn take_out_track(&mut self, key: &StreamKey) -> Option<OutTrack> {
        let at = self.out.iter().position(|track| track.key == *key)?;
        Some(self.out.remove(at))
    }

    pub(super) fn tracks(&self) -> OutgoingTracks {
        self.out.iter().map(|track| (track.key.clone(), track.track.clone())).collect()
    }

    /// Whether a track of ours is in no description yet.
    pub(super) fn has_more_to_offer(&self) -> bool {
        self.out.iter().any(|track| self.local.section_of_track(&track.id).is_none())
    }

    /// Adds what our first offer carries: a track of each configured kind and the channels.
    pub(super) async fn add_own_media(&mut self, config: &MeshConfig) -> Result<Option<Arc<dyn DataChannel>>, Error> {
        for kind in [MediaKind::Audio, MediaKind::Video] {
            let codecs = configured(config, kind);
            let Some(&first) = codecs.first() else { continue };
            let (identity, id, key) = (StreamIdentity::random(), random_id(), StreamKey::main(kind));
            let track = local_track(identity, &id, &key, first);
            let transceiver = self.pc.add_transceiver_from_track(track.clone(), None).await?;
            // A sender offers only the codec of its track unless told otherwise.
            transceiver.set_codec_preferences(preferences(&codecs)).await?;
            let sender = transceiver.sender().await?.ok_or(Error::ErrRTPSenderNotExisted)?;
            self.out.push(OutTrack { key, identity, id, bound: first, track, sender });
        }
        self.control = Some(self.pc.create_data_channel(CONTROL_LABEL, None).await?);
        let options = match config.data_channel {
            None => return Ok(None),
            Some(DataChannelMode::Reliable) => RTCDataChannelInit::default(),
            Some(DataChannelMode::Unreliable) => {
                RTCDataChannelInit { ordered: false, max_retransmits: Some(0), ..Default::default() }
            }
        };
        self.pc.create_data_channel(MESSAGE_LABEL, Some(options)).await.map(Some)
    }

    /// Adds a track of ours to a section that has none, once it is known which codec the peer takes; to a new one if there
    /// is no such section.
    pub(super) async fn add_track(&mut self, key: StreamKey, codec: Codec) -> Result<(), Error> {
        let (identity, id) = (StreamIdentity::random(), random_id());
        let track = local_track(identity, &id, &key, codec);
        let sender = self.pc.add_track(track.clone()).await?;
        self.out.push(OutTrack { key, identity, id, bound: codec, track, sender });
        Ok(())
    }

    /// Sends a track of ours no longer.
    pub(super) async fn remove_track(&mut self, key: &StreamKey) -> Result<(), Error> {
        match self.take_out_track(key) {
            Some(track) => self.pc.remove_track(&track.sender).await,
            None => Ok(()),
        }
    }

    /// Makes the interceptors know a track by another codec: retransmissions are of that one then. For the peer it stays
    /// the same track, with the same numbers.
    ///
    /// The stack's own way to replace a track leaves nothing sent at all, so the track is removed and added again.
    pub(super) async fn rebind(&mut self, key: &StreamKey, codec: Codec) -> Result<(), Error> {
        let Some(OutTrack { key, identity, id, sender, .. }) = self.take_out_track(key) else { return Ok(()) };
        self.pc.remove_track(&sender).await?;
        let track = local_track(identity, &id, &key, codec);
        let sender = self.pc.add_track(track.clone()).await?;
        self.out.push(OutTrack { key, identity, id, bound: codec, track, sender });
        Ok(())
    }

    /// Closes the peer connection and ends what feeds it. The tasks that read from it end with it.
    pub(super) async fn close(mut self) {
        if let Some(pump) = self.pump.take() {
            pump.abort();
        }
        if let Err(error) = self.pc.close().await {
            tracing::debug!(error = %super::brief(&error), "closing a peer connection");
        }
        self.runtime.abort();
    }
}

/// Feedback is routed by track id: it must not be the same as one of the peer's.
fn local_track(identity: StreamIdentity, id: &str, key: &StreamKey, codec: Codec) -> Arc<TrackLocalStaticRTP> {
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(identity.ssrc),
            rtx: Some(RTCRtpRtxParameters { ssrc: identity.repair_ssrc }),
            ..Default::default()
        },
        active: true,
        codec: rtc_codec(codec),
        ..Default::default()
    };
    let (stream, kind) = (key.stream.as_deref().unwrap_or(MAIN_STREAM), codec.kind());
    let track =
        MediaStreamTrack::new(stream.to_owned(), id.to_owned(), kind.to_string(), codec_kind(kind), vec![coding]);
    Arc::new(TrackLocalStaticRTP::new(track))
}
