use std::{fs, path::Path, process::Command, time::SystemTime};

use anyhow::Result;

use crate::{shell, workspace::Workspace};

/// The program that drives the browsers of the tests, seen from the workspace's folder.
const DRIVER: &str = "crates/cli/tests/browser/driver";

/// Installs what the driver needs, as its lock file says, unless that is there.
pub(crate) fn install() -> Result<()> {
    let folder = Workspace::load()?.root.join(DRIVER);
    if is_current(&folder) {
        return Ok(());
    }
    eprintln!("setup: what drives the browsers is missing or old: it is installed into {}", folder.display());
    shell::run(Command::new("npm").args(["ci", "--no-audit", "--no-fund"]).current_dir(folder))
}

/// Whether the last installation was completed after the lock file had changed last: npm writes a file of its own then.
fn is_current(folder: &Path) -> bool {
    let changed = |name: &str| -> Option<SystemTime> { fs::metadata(folder.join(name)).ok()?.modified().ok() };
    match (changed("package-lock.json"), changed("node_modules/.package-lock.json")) {
        (Some(wanted), Some(installed)) => installed >= wanted,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::File, time::Duration};

    use super::*;

    #[test]
    fn an_installation_is_old_when_the_lock_file_is_newer() {
        let folder = std::env::temp_dir().join(format!("xtask-driver-{}", std::process::id()));
        fs::create_dir_all(folder.join("node_modules")).unwrap();
        let write = |name: &str, seconds| {
            let file = File::create(folder.join(name)).unwrap();
            file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).unwrap();
        };
        write("package-lock.json", 1_000);
        assert!(!is_current(&folder));
        write("node_modules/.package-lock.json", 2_000);
        assert!(is_current(&folder));
        write("package-lock.json", 3_000);
        assert!(!is_current(&folder));
        fs::remove_dir_all(folder).unwrap();
    }
}
