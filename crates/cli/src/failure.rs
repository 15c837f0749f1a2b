//! How the program says that something failed: in one line, in its own words, with an exit code.

use std::{error::Error, io, process::ExitCode};

use remotemedia_signaling::client::ClientError;
use remotemedia_webrtc::WebRtcError;
use serde_json::json;

use crate::output::say;

/// The exit code for a wrong command line, as the parser has it.
const WRONG_COMMAND_LINE: u8 = 2;

/// Arguments that cannot be followed, whatever the world is like.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UsageError(pub(crate) String);

/// Says what failed, on standard output as an object if `json` is set, and answers the exit code.
pub(crate) fn tell(error: &anyhow::Error, json: bool) -> ExitCode {
    report(&whole(&**error), json);
    if error.is::<UsageError>() { ExitCode::from(WRONG_COMMAND_LINE) } else { ExitCode::FAILURE }
}

/// What the parser of arguments has to say: help and versions too. With `--json` among the arguments, what is wrong with them
/// is an object.
pub(crate) fn refuse(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() || !std::env::args_os().any(|argument| argument == "--json") {
        error.exit();
    }
    let rendered = error.render().to_string();
    // What follows is usage, for people.
    let what = rendered.split("\n\n").next().unwrap_or_default();
    let line = what.lines().map(str::trim).collect::<Vec<_>>().join(" ");
    report(line.trim_start_matches("error: "), true);
    ExitCode::from(WRONG_COMMAND_LINE)
}

fn report(text: &str, json: bool) {
    // Nobody may be reading standard output any more.
    if !json || say(true, &json!({"event": "error", "error": text}), text).is_err() {
        eprintln!("remotemedia: {text}");
    }
}

/// The arguments that set what a transport calls by another name. The others are checked as they are parsed.
const ARGUMENTS: [(&str, &str); 2] = [("signaling_url", "--signaling"), ("stun_servers", "--stun")];

/// The error as the end of the program.
pub(crate) fn with_hint(error: WebRtcError) -> anyhow::Error {
    let text = in_words(&error);
    match error {
        WebRtcError::InvalidConfig { .. } => UsageError(text).into(),
        _ => anyhow::Error::msg(text),
    }
}

/// The error, all that led to it, and what to do about it, in one line. Where the library's hint names its own functions and
/// fields, this names arguments of the program.
pub(crate) fn in_words(error: &WebRtcError) -> String {
    match error {
        WebRtcError::InvalidConfig { field, value, allowed } => {
            let name = ARGUMENTS.iter().find(|(known, _)| known == field).map_or(*field, |(_, argument)| *argument);
            format!("{name} is {value:?}, allowed is {allowed}")
        }
        WebRtcError::CodecNotBuilt { codec, feature } => {
            format!("this program was built without {codec}: build it with `--features {feature}`")
        }
        WebRtcError::PeerNotFound(peer) => {
            format!("{peer:?} is not there: check the spelling and --room, or start it first")
        }
        WebRtcError::NotStarted => "it does not run yet, or not any more: try again in a second".to_owned(),
        WebRtcError::PipelineEnded => "the pipeline has ended: choose one again".to_owned(),
        WebRtcError::TooManyPeers { limit } => {
            format!("{limit} peers are connected, which is the most: try again when one has left")
        }
        WebRtcError::SignalingFailed { source, .. } => signaling_failed(&**source),
        // Its causes name the peer.
        WebRtcError::ConnectionFailed { source, .. } => format!("{}; try again", whole(source)),
        WebRtcError::MediaNotNegotiated { .. } => whole(error),
        WebRtcError::NatTraversalFailed => format!(
            "{error}; both sides need a network that lets UDP through, and on different networks a server that was started \
             with --stun"
        ),
        error => format!("{}; {}", whole(error), error.hint()),
    }
}

/// Why there is no signaling. Most causes say themselves what to do.
fn signaling_failed(cause: &(dyn Error + Send + Sync + 'static)) -> String {
    let text = whole(cause);
    match cause.downcast_ref::<ClientError>() {
        Some(ClientError::Unreachable { source, .. }) if source.kind() == io::ErrorKind::ConnectionRefused => {
            format!("{text}; `remotemedia serve` starts a server")
        }
        Some(ClientError::NameTaken { peer_id }) => format!(
            "the name {peer_id} is taken in this room: choose another with --peer-id, or wait a minute if it was yours"
        ),
        Some(ClientError::NotAuthorized { message, .. }) => {
            format!(
                "the signaling server lets only those in who have a token, which this program cannot give: {message}"
            )
        }
        Some(ClientError::Timeout { after, .. }) => {
            format!("the signaling server did not answer within {after:?}: see whether it is overloaded")
        }
        Some(ClientError::NotConnected | ClientError::Closed) => {
            "the connection to the signaling server was lost: try again".to_owned()
        }
        _ => text,
    }
}

/// An error and what led to it, each said once: many say their cause themselves.
pub(crate) fn whole(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    for cause in std::iter::successors(error.source(), |&cause| cause.source()) {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use remotemedia_webrtc::Codec;

    use super::*;

    fn signaling(source: ClientError) -> WebRtcError {
        WebRtcError::SignalingFailed { url: "ws://localhost".into(), source: Arc::new(source) }
    }

    #[test]
    fn no_error_speaks_of_functions_or_fields_of_the_library() {
        for error in [
            WebRtcError::InvalidConfig { field: "signaling_url", value: "x".into(), allowed: "a WebSocket address" },
            WebRtcError::InvalidConfig { field: "stun_servers", value: "x".into(), allowed: "addresses" },
            WebRtcError::PeerNotFound("bob".into()),
            WebRtcError::NotStarted,
            WebRtcError::PipelineEnded,
            WebRtcError::TooManyPeers { limit: 32 },
            WebRtcError::MediaNotNegotiated { peer: "bob".into(), media: "data" },
            WebRtcError::NatTraversalFailed,
            WebRtcError::CodecNotBuilt { codec: Codec::Vp9, feature: "vpx" },
            signaling(ClientError::NameTaken { peer_id: "bob".into() }),
            signaling(ClientError::NotConnected),
            signaling(ClientError::Closed),
            signaling(ClientError::Full { limit: 64 }),
        ] {
            let text = in_words(&error);
            let (is_call, is_field) = (text.contains("()") || text.contains("announce"), text.contains('_'));
            assert!(!is_call && !is_field, "{text}");
        }
    }

    #[test]
    fn a_codec_that_is_not_built_is_named_with_the_feature_that_brings_it() {
        let text = in_words(&WebRtcError::CodecNotBuilt { codec: Codec::Vp9, feature: "vpx" });
        assert!(text.contains("built without VP9") && text.contains("`--features vpx`"), "{text}");
    }

    #[test]
    fn what_an_error_says_itself_is_not_said_again() {
        let cause = io::Error::new(io::ErrorKind::StorageFull, "no space");
        let inner = anyhow::Error::new(y4m::Error::IoError(cause)).context("a.y4m cannot be written");
        assert_eq!(whole(&*inner), "a.y4m cannot be written: no space");
    }
}
