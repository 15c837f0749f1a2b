//! The programs that take part.

#[path = "../support/process.rs"]
mod support;

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) use self::support::{PATIENCE, Process, mirror, serve};

/// The peer in Python.
pub(crate) fn python(arguments: &[&str]) -> Process {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiortc/peer.py");
    Process::start("python", Command::new(interpreter()).arg(program).args(arguments))
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
