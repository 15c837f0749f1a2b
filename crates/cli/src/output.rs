use std::io::{self, Write};

use remotemedia_webrtc::WebRtcError;

/// Prints a line to standard output: `object` for machines, `text` for people.
pub(crate) fn say(json: bool, object: &serde_json::Value, text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if json {
        writeln!(out, "{object}")?
    } else {
        writeln!(out, "{text}")?
    }
    out.flush()
}

/// The error, all that led to it, and what to do about it, in one line.
pub(crate) fn with_hint(error: WebRtcError) -> anyhow::Error {
    let hint = error.hint();
    anyhow::anyhow!("{:#}; {hint}", anyhow::Error::new(error))
}
