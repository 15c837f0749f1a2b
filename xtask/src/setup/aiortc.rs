use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::cache;
use crate::{shell, workspace::Workspace};

/// What the peer in Python needs, seen from the workspace's folder. The tests read it too, to find what is installed here.
const REQUIREMENTS: &str = "crates/cli/tests/aiortc/requirements.txt";

/// Installs what the peer in Python needs into an environment in this user's cache, unless that is there.
pub(crate) fn install() -> Result<()> {
    let requirements = Workspace::load()?.root.join(REQUIREMENTS);
    let wanted =
        fs::read_to_string(&requirements).with_context(|| format!("{} cannot be read", requirements.display()))?;
    let version = version(&wanted).with_context(|| format!("{REQUIREMENTS} pins no version of aiortc"))?;
    let folder = cache::folder(&format!("aiortc-{version}"))?;
    if is_current(&folder, &wanted) {
        return Ok(());
    }
    eprintln!("setup: aiortc {version} is missing or incomplete: it is installed into {}", folder.display());
    shell::run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))?;
    let mut install = Command::new(python(&folder));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]);
    shell::run(install.arg(&requirements))?;
    // Last, so that it tells that all the rest is there.
    fs::write(stamp(&folder), wanted).with_context(|| format!("{} cannot be written", stamp(&folder).display()))
}

/// Whether the last installation was completed, was of the same requirements, and has outlived updates of Python.
fn is_current(folder: &Path, wanted: &str) -> bool {
    let installed = fs::read_to_string(stamp(folder));
    let mut import = Command::new(python(folder));
    installed.is_ok_and(|installed| installed == wanted)
        && shell::output(import.args(["-c", "import aiortc, websockets"])).is_ok()
}

/// The version of aiortc that is pinned.
fn version(requirements: &str) -> Option<&str> {
    requirements.lines().find_map(|line| line.trim().strip_prefix("aiortc=="))
}

fn python(folder: &Path) -> PathBuf {
    folder.join("bin/python")
}

fn stamp(folder: &Path) -> PathBuf {
    folder.join("requirements.txt")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_requirements_of_the_workspace_pin_aiortc() {
        let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(REQUIREMENTS)).unwrap();
        assert!(version(&text).is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit())), "{text}");
        assert_eq!(version("# aiortc==1\nwebsockets==2\n"), None);
    }

    #[test]
    fn an_installation_counts_when_it_is_complete_of_these_requirements_and_runs() {
        let folder = std::env::temp_dir().join(format!("xtask-aiortc-{}", std::process::id()));
        let link = |program: &str| {
            fs::remove_file(python(&folder)).ok();
            symlink(shell::which(program).unwrap(), python(&folder)).unwrap();
        };
        fs::create_dir_all(folder.join("bin")).unwrap();
        link("true");
        assert!(!is_current(&folder, "a==1"));
        fs::write(stamp(&folder), "a==1").unwrap();
        assert!(is_current(&folder, "a==1"));
        assert!(!is_current(&folder, "a==2"));
        link("false");
        assert!(!is_current(&folder, "a==1"));
        fs::remove_dir_all(folder).unwrap();
    }
}
