use std::path::PathBuf;

use anyhow::{Context, Result};

/// A folder that outlives clones and `cargo clean`; its name should have a version in it.
pub(super) fn folder(name: &str) -> Result<PathBuf> {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .with_context(|| format!("neither XDG_CACHE_HOME nor HOME names a folder for {name}"))?;
    Ok(base.join("remotemedia-xtask").join(name))
}
