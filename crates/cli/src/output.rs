use std::{
    error::Error,
    io::{self, Write},
};

use remotemedia_webrtc::{Codec, IceServerReport, PeerId, WebRtcError};
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

/// The arguments that set what a transport calls by another name.
const ARGUMENTS: [(&str, &str); 5] = [
    ("signaling_url", "--signaling"),
    ("peer_id", "--peer-id"),
    ("room", "--room"),
    ("max_peers", "--max-peers"),
    ("stun_servers", "--stun"),
];

/// The error, all that led to it, and what to do about it, in one line. Where the library's hint names its own functions and
/// fields, this names arguments of the program.
pub(crate) fn with_hint(error: WebRtcError) -> anyhow::Error {
    let text = whole(&error);
    let hint = match &error {
        WebRtcError::InvalidConfig { field, value, allowed } => {
            let name = ARGUMENTS.iter().find(|(known, _)| known == field).map_or(*field, |(_, argument)| *argument);
            return anyhow::anyhow!("{name} is {value:?}, allowed is {allowed}");
        }
        WebRtcError::PeerNotFound(peer) => {
            return anyhow::anyhow!("{peer:?} is not there: check the spelling and --room, or start it first");
        }
        // The cause says what to do.
        WebRtcError::SignalingFailed { .. } if is_refused(&error) => "`remotemedia serve` starts a server",
        WebRtcError::SignalingFailed { .. } | WebRtcError::InvalidPeerId(_) => return anyhow::anyhow!(text),
        WebRtcError::ConnectionFailed { .. } => "try again",
        WebRtcError::NatTraversalFailed => {
            "both sides need a network that lets UDP through, and on different networks a server that was started with --stun"
        }
        error => error.hint(),
    };
    anyhow::anyhow!("{text}; {hint}")
}

/// An error and what led to it, each said once: many say their cause themselves.
fn whole(error: &WebRtcError) -> String {
    let mut text = error.to_string();
    for cause in causes(error) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

fn causes(error: &WebRtcError) -> impl Iterator<Item = &(dyn Error + 'static)> {
    let mut next = error.source();
    std::iter::from_fn(move || {
        let cause = next?;
        next = cause.source();
        Some(cause)
    })
}

fn is_refused(error: &WebRtcError) -> bool {
    causes(error).any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|cause| cause.kind() == io::ErrorKind::ConnectionRefused)
    })
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
