use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::cache;
use crate::shell;

/// The version of cargo-deny that the workspace's `deny.toml` is written for.
const VERSION: &str = "0.20.2";

/// A command that runs the pinned cargo-deny; it has to be installed.
pub(crate) fn cargo_deny() -> Result<Command> {
    Ok(Command::new(find()?.context("cargo-deny is missing: run `cargo xtask setup ci`")?))
}

/// Compiles the pinned cargo-deny into this user's cache, unless it is there or on the path.
///
/// It reads some hundred manifests and ends, so it is compiled without optimisation: under a minute on two cores,
/// where its own release profile takes many.
pub(crate) fn install() -> Result<()> {
    if find()?.is_some() {
        return Ok(());
    }
    let root = folder()?;
    eprintln!("setup: cargo-deny {VERSION} is missing: it is compiled into {}", root.display());
    let mut install = shell::cargo(Path::new("."));
    install
        .args(["install", "--quiet", "--locked", "--no-default-features", "--version", VERSION, "cargo-deny", "--root"])
        .arg(&root)
        .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
        .env("CARGO_PROFILE_RELEASE_LTO", "off")
        .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "64")
        .env("CARGO_PROFILE_RELEASE_STRIP", "none")
        .env_remove("CARGO_TARGET_DIR");
    shell::run(&mut install)
}

/// The pinned version, from the path or from the cache.
fn find() -> Result<Option<PathBuf>> {
    let candidates = shell::which("cargo-deny").into_iter().chain([folder()?.join("bin/cargo-deny")]);
    let is_pinned = |program: &PathBuf| {
        let version = shell::output(Command::new(program).arg("--version"));
        version.is_ok_and(|version| version.split_whitespace().nth(1) == Some(VERSION))
    };
    Ok(candidates.into_iter().find(is_pinned))
}

fn folder() -> Result<PathBuf> {
    cache::folder(&format!("cargo-deny-{VERSION}"))
}
