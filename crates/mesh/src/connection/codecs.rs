use remotemedia_media::{Codec, MediaKind};
use rtc::{
    peer_connection::configuration::media_engine::MIME_TYPE_RTX,
    rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind},
};
use webrtc::peer_connection::MediaEngine;

use crate::MeshConfig;

/// The codecs of the configuration, of one kind, in its order.
pub(super) fn configured(config: &MeshConfig, kind: MediaKind) -> Vec<Codec> {
    match kind {
        MediaKind::Audio if config.audio => vec![Codec::Opus],
        MediaKind::Audio => Vec::new(),
        MediaKind::Video => config.video.clone(),
    }
}

/// A media engine that knows exactly the configured codecs, each video codec with its retransmission format.
pub(super) fn media_engine(config: &MeshConfig) -> Result<MediaEngine, webrtc::error::Error> {
    let mut engine = MediaEngine::default();
    for kind in [MediaKind::Audio, MediaKind::Video] {
        for codec in configured(config, kind) {
            for parameters in with_retransmission(codec) {
                engine.register_codec(parameters, codec_kind(kind))?;
            }
        }
    }
    Ok(engine)
}

/// The configured codecs as `set_codec_preferences` takes them.
pub(super) fn preferences(codecs: &[Codec]) -> Vec<RTCRtpCodecParameters> {
    codecs.iter().flat_map(|codec| with_retransmission(*codec)).collect()
}

pub(super) fn codec_kind(kind: MediaKind) -> RtpCodecKind {
    match kind {
        MediaKind::Audio => RtpCodecKind::Audio,
        MediaKind::Video => RtpCodecKind::Video,
    }
}

/// How the WebRTC stack names a codec.
pub(super) fn rtc_codec(codec: Codec) -> RTCRtpCodec {
    let (channels, sdp_fmtp_line) = match codec {
        Codec::Opus => (2, "minptime=10;useinbandfec=1"),
        Codec::Vp9 => (0, "profile-id=0"),
        Codec::H264 => (0, "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"),
        _ => (0, ""),
    };
    RTCRtpCodec {
        mime_type: format!("{}/{}", codec.kind(), codec.name()),
        clock_rate: codec.clock_rate(),
        channels,
        sdp_fmtp_line: sdp_fmtp_line.into(),
        // The interceptors register what feedback they handle.
        rtcp_feedback: Vec::new(),
    }
}

fn with_retransmission(codec: Codec) -> Vec<RTCRtpCodecParameters> {
    let (payload_type, retransmission) = payload_types(codec);
    let mut list = vec![RTCRtpCodecParameters { rtp_codec: rtc_codec(codec), payload_type }];
    if codec.kind() == MediaKind::Video {
        let rtp_codec = RTCRtpCodec {
            mime_type: MIME_TYPE_RTX.into(),
            clock_rate: codec.clock_rate(),
            channels: 0,
            sdp_fmtp_line: format!("apt={payload_type}"),
            rtcp_feedback: Vec::new(),
        };
        list.push(RTCRtpCodecParameters { rtp_codec, payload_type: retransmission });
    }
    list
}

/// What our own offers propose, for the codec and for its retransmissions.
///
/// Those of video are Firefox's own. Where it only watches at first and adds its picture later, Firefox goes back to those in its
/// offer, and the WebRTC stack answers with the numbers of the first negotiation: were they others, Firefox would throw away what
/// it is sent from then on. What it sends from the beginning, as sound is, keeps the number that it was offered, and other browsers
/// always do (RFC 8829, 5.2.2).
fn payload_types(codec: Codec) -> (u8, u8) {
    match codec {
        Codec::Vp8 => (120, 124),
        Codec::Vp9 => (121, 125),
        Codec::H264 => (126, 127),
        // No retransmissions.
        _ => (111, 111),
    }
}
