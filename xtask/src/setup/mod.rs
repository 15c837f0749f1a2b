//! Installs what a machine lacks. Asks before it acts: what is there is left alone.

mod aiortc;
mod cache;
mod deny;
mod driver;
mod platform;
mod tools;

use std::process::Command;

use anyhow::{Result, bail};
use clap::ValueEnum;

pub(crate) use deny::cargo_deny;

use self::{
    platform::Platform,
    tools::{TOOLS, Tool},
};
use crate::shell;

/// What a machine is wanted for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Purpose {
    /// Compiling the workspace and running its programs.
    Build,
    /// Measuring: no more than building needs.
    Bench,
    /// Running every test: the browsers and servers that they talk to.
    Test,
    /// Everything that `cargo xtask ci` runs.
    Ci,
}

/// Makes the machine fit for `purpose`. Prints nothing where nothing is missing.
pub(crate) fn run(purpose: Purpose) -> Result<()> {
    let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| tool.purpose <= purpose && !tool.is_present()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    if purpose >= Purpose::Test {
        driver::install()?;
        aiortc::install()?;
    }
    if purpose >= Purpose::Ci {
        deny::install()?;
    }
    Ok(())
}

fn install(missing: &[&Tool]) -> Result<()> {
    for tool in missing {
        eprintln!("setup: {} is missing: {}", tool.name, tool.reason);
    }
    for mut command in commands_for(Platform::detect(), platform::is_root(), missing)? {
        shell::run(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    let absent: Vec<&str> = missing.iter().filter(|tool| !tool.is_present()).map(|tool| tool.name).collect();
    if !absent.is_empty() {
        bail!("the packages were installed, but {} cannot be found", absent.join(", "));
    }
    eprintln!("setup: done");
    Ok(())
}

/// The commands that install `missing`. Where this program may not run them, an error with what a person has to do.
fn commands_for(platform: Platform, root: bool, missing: &[&Tool]) -> Result<Vec<Command>> {
    let Some(commands) = platform.install_commands(missing) else {
        let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
        bail!("this system's package manager is unknown: install {} and run this again", names.join(", "));
    };
    if !platform.may_install(root) {
        bail!("run this, then try again:\n\n    {}\n", platform.as_one_line(root, &commands));
    }
    Ok(commands)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a person without cmake and libvpx is told; `None` if they are installed for him.
    fn told(platform: Platform, root: bool) -> Option<String> {
        let missing: Vec<&Tool> = TOOLS.iter().filter(|tool| ["cmake", "libvpx"].contains(&tool.name)).collect();
        commands_for(platform, root, &missing).err().map(|error| error.to_string())
    }

    #[test]
    fn without_root_the_command_that_installs_cmake_and_libvpx_is_named() {
        let told = |platform| told(platform, false).unwrap();
        for platform in [Platform::Debian, Platform::Ubuntu] {
            let command = "sudo apt-get update && sudo apt-get install --yes --no-install-recommends cmake libvpx-dev";
            assert_eq!(told(platform), format!("run this, then try again:\n\n    {command}\n"));
        }
        assert!(told(Platform::Fedora).contains("    sudo dnf install --assumeyes cmake libvpx-devel\n"));
        assert!(told(Platform::Arch).contains("    sudo pacman -S --needed cmake libvpx\n"));
        assert!(told(Platform::Homebrew).contains("    brew install cmake libvpx\n"));
    }

    #[test]
    fn on_an_unknown_system_what_is_missing_is_named() {
        let expected = "this system's package manager is unknown: install cmake, libvpx and run this again";
        assert_eq!(told(Platform::Unknown, true).as_deref(), Some(expected));
        assert_eq!(told(Platform::Unknown, false).as_deref(), Some(expected));
    }

    #[test]
    fn root_installs_only_where_that_is_tested() {
        assert_eq!((told(Platform::Debian, true), told(Platform::Ubuntu, true)), (None, None));
        assert!(told(Platform::Fedora, true).unwrap().contains("    dnf install --assumeyes cmake libvpx-devel\n"));
    }
}
