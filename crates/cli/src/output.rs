use std::io::{self, Write};

use remotemedia_webrtc::{Codec, IceServerReport, PeerId};
use serde_json::{Value, json};

/// Prints a line to standard output: `object` for machines, `text` for people.
pub(crate) fn say(json: bool, object: &Value, text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{object}")?
    } else {
        writeln!(out, "{text}")?
    }
    out.flush()
}

/// That a call has no video, as an object and as a sentence.
pub(crate) fn no_video(peer: &PeerId, ours: &[Codec], theirs: &[Codec]) -> (Value, String) {
    let names = |codecs: &[Codec]| codecs.iter().map(Codec::to_string).collect::<Vec<_>>();
    let (ours, theirs) = (names(ours), names(theirs));
    let lack = if theirs.is_empty() {
        format!("it takes no {}", ours.join(" and no "))
    } else {
        format!("it has {}, this side {}", theirs.join(", "), ours.join(", "))
    };
    let text = format!("no video with {peer}, but sound and messages: {lack}");
    (json!({"event": "video_unavailable", "peer": peer.as_str(), "ours": ours, "theirs": theirs}), text)
}

/// A STUN or TURN server that is of no use, for machines and in words.
pub(crate) fn server_failed(peer: &PeerId, server: &IceServerReport) -> (Value, String) {
    let text = server.to_string();
    let object = json!({"event": "ice_server_failed", "peer": peer.as_str(), "server": server.server, "text": text});
    (object, format!("on the way to {peer}: {text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_lacks_is_said_as_far_as_it_is_known() {
        let peer: PeerId = "bob".parse().unwrap();
        let (object, text) = no_video(&peer, &[Codec::H264], &[Codec::Vp8, Codec::Vp9]);
        assert_eq!(
            object,
            json!({"event": "video_unavailable", "peer": "bob", "ours": ["H264"], "theirs": ["VP8", "VP9"]})
        );
        assert_eq!(text, "no video with bob, but sound and messages: it has VP8, VP9, this side H264");
        let (_, text) = no_video(&peer, &[Codec::H264, Codec::Vp8], &[]);
        assert_eq!(text, "no video with bob, but sound and messages: it takes no H264 and no VP8");
    }
}
