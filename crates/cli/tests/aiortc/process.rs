//! The programs that take part.

#[path = "../support/process.rs"]
mod support;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use serde_json::Value;

pub(crate) use self::support::{Process, mirror};

/// How long anything may take that has no bound of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// The peer in Python.
pub(crate) fn python(arguments: &[&str]) -> Process {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiortc/peer.py");
    Process::start("python", Command::new(interpreter()).arg(program).args(arguments))
}

/// The next event of that name; others before it are skipped.
pub(crate) fn event(process: &Process, name: &str, within: Duration) -> Value {
    let limit = Instant::now() + within;
    loop {
        let line = process.line(limit.saturating_duration_since(Instant::now()));
        let line = line.unwrap_or_else(|| panic!("it ended before {name}"));
        if line["event"] == name {
            return line;
        }
    }
}

/// The Python that has aiortc: `REMOTEMEDIA_AIORTC_PYTHON`, or where `cargo xtask setup test` puts it.
fn interpreter() -> PathBuf {
    if let Some(python) = env::var_os("REMOTEMEDIA_AIORTC_PYTHON") {
        return python.into();
    }
    let pinned = include_str!("requirements.txt").lines().find_map(|line| line.strip_prefix("aiortc=="));
    let folder = format!("remotemedia-xtask/aiortc-{}", pinned.unwrap());
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let python = base.map(|base| base.join(folder).join("bin/python")).filter(|python| python.is_file());
    python.expect("aiortc is not installed: run `cargo xtask setup test`")
}
