use std::sync::Arc;

use remotemedia_media::{MediaKind, StreamId};
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::task::AbortHandle;
use webrtc::media_stream::track_remote::TrackRemote;

use super::{actor::Actor, link::MAIN_STREAM, reader, sdp::Description};
use crate::{IncomingTrack, incoming::TrackQueue, mesh::MAX_NAMED_STREAMS, stream_key::StreamKey};

/// A track of the peer's that is read.
pub(super) struct Incoming {
    key: StreamKey,
    /// What the peer's descriptions call it.
    track: String,
    queue: Arc<TrackQueue>,
    reading: AbortHandle,
}

impl Actor {
    /// The peer began to send a track.
    pub(super) async fn on_track(&mut self, track: Arc<dyn TrackRemote>) {
        let kind = match track.kind().await {
            RtpCodecKind::Audio => MediaKind::Audio,
            RtpCodecKind::Video => MediaKind::Video,
            _ => return,
        };
        let (stream, id) = (track.stream_id().await, track.track_id().await);
        let Some(link) = &mut self.link else { return };
        let taken: Vec<&StreamKey> = link.incoming.iter().map(|incoming| &incoming.key).collect();
        let key = match name_of(kind, (&stream, &id), link.remote.as_ref(), &taken) {
            Some(name) => StreamKey::named(kind, name),
            None => StreamKey::main(kind),
        };
        let named = taken.iter().filter(|other| other.kind == kind && other.stream.is_some()).count();
        if key.stream.is_some() && named >= MAX_NAMED_STREAMS {
            tracing::warn!(peer = %self.peer.id, %kind, "the peer sends more named streams than are taken: one is left out");
            return;
        }
        let queue = Arc::new(TrackQueue::default());
        let track_of_peer = IncomingTrack::new(self.peer.id.clone(), &key, queue.clone());
        let read = reader::read_track(track, kind, link.routes.clone(), queue.clone(), self.peer.clone());
        let reading = self.shared.tasks.spawn(read).abort_handle();
        link.incoming.retain(|incoming| incoming.key != key);
        link.incoming.push(Incoming { key, track: id, queue, reading });
        self.shared.track(track_of_peer);
    }

    /// Ends the named streams that the peer describes no longer.
    pub(super) fn end_streams(&mut self) {
        let Some(link) = &mut self.link else { return };
        let Some(remote) = &link.remote else { return };
        link.incoming.retain(|incoming| {
            let is_sent = remote.section_of_track(&incoming.track).is_some_and(|s| s.accepted && s.sends);
            if incoming.key.stream.is_none() || is_sent {
                return true;
            }
            incoming.reading.abort();
            incoming.queue.end();
            false
        });
    }
}

/// What a track of the peer's is called here; `None` for the main one of its kind.
///
/// Between peers of this library it is the name that the sender gave. Of others the first section of a kind carries the main
/// track, whatever it is called there; any other is called as its stream, or as the track itself if that is no id or is
/// taken.
fn name_of(
    kind: MediaKind,
    (stream, track): (&str, &str),
    remote: Option<&Description>,
    taken: &[&StreamKey],
) -> Option<StreamId> {
    if stream == MAIN_STREAM {
        return None;
    }
    let section = remote.and_then(|remote| remote.section_of_track(track));
    let is_ours = remote.is_some_and(|remote| remote.remotemedia);
    let is_first = match (section, remote.and_then(|remote| remote.media(kind))) {
        (Some(section), Some(first)) => section == first,
        // Described by nothing that tells it from others.
        _ => !taken.iter().any(|key| key.kind == kind && key.stream.is_none()),
    };
    if is_first && !is_ours {
        return None;
    }
    let is_free = |name: &StreamId| !taken.iter().any(|key| key.kind == kind && key.stream.as_ref() == Some(name));
    [stream, track].into_iter().filter_map(id_from).find(is_free)
}

/// The nearest id to what a browser calls a stream: Firefox puts braces around it.
fn id_from(text: &str) -> Option<StreamId> {
    let text = text.trim_matches(|c| c == '{' || c == '}');
    StreamId::new(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(ours: bool) -> Description {
        let mark = if ours { "a=x-remotemedia:1\r\n" } else { "" };
        let section = |n: u8, stream: &str| {
            format!(
                "m=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{n}\r\na=rtpmap:96 VP8/90000\r\na=msid:{stream} track{n}\r\n"
            )
        };
        let sections = section(0, "{home}") + &section(1, "{screen}") + &section(2, "not.an.id");
        Description::parse(&format!("v=0\r\n{mark}{sections}"))
    }

    fn name(ours: bool, stream: &str, track: &str, taken: &[&StreamKey]) -> Option<String> {
        let name = name_of(MediaKind::Video, (stream, track), Some(&remote(ours)), taken);
        name.map(|name| name.to_string())
    }

    #[test]
    fn the_first_section_of_a_browser_is_its_main_track_and_the_others_have_the_names_of_their_streams() {
        assert_eq!(name(false, "{home}", "track0", &[]), None);
        assert_eq!(name(false, "{screen}", "track1", &[]).as_deref(), Some("screen"));
        assert_eq!(name(false, "not.an.id", "track2", &[]).as_deref(), Some("track2"));
        let screen = StreamKey::named(MediaKind::Video, "screen".parse().unwrap());
        assert_eq!(name(false, "{screen}", "track1", &[&screen]).as_deref(), Some("track1"));
    }

    #[test]
    fn a_peer_of_this_library_names_its_streams_itself() {
        assert_eq!(name(true, MAIN_STREAM, "track1", &[]), None);
        assert_eq!(name(true, "home", "track0", &[]).as_deref(), Some("home"));
    }

    #[test]
    fn a_track_that_nothing_describes_is_the_main_one_unless_there_is_one() {
        assert_eq!(name(false, "x", "y", &[]), None);
        assert_eq!(name(false, "x", "y", &[&StreamKey::main(MediaKind::Video)]).as_deref(), Some("x"));
    }
}
