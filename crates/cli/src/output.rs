use std::io::{self, Write};

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
