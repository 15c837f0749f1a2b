use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

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
    let root = cache()?;
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
    let candidates = shell::which("cargo-deny").into_iter().chain([cache()?.join("bin/cargo-deny")]);
    let is_pinned = |program: &PathBuf| {
        let version = shell::output(Command::new(program).arg("--version"));
        version.is_ok_and(|version| version.split_whitespace().nth(1) == Some(VERSION))
    };
    Ok(candidates.into_iter().find(is_pinned))
}

/// A folder that outlives clones and `cargo clean`, one per version.
fn cache() -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .context("neither XDG_CACHE_HOME nor HOME names a folder for cargo-deny")?;
    Ok(base.join("remotemedia-xtask").join(format!("cargo-deny-{VERSION}")))
}
