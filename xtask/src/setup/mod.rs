//! Installs what a machine lacks. Asks before it acts: what is there is left alone.

mod deny;
mod driver;
mod platform;
mod tools;

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
    let platform = Platform::detect();
    let Some(commands) = platform.install_commands(missing) else {
        let names: Vec<&str> = missing.iter().map(|tool| tool.name).collect();
        bail!("this system's package manager is unknown: install {} and run this again", names.join(", "));
    };
    if !platform.may_install() {
        bail!("run this, then try again:\n\n    {}\n", platform.as_one_line(&commands));
    }
    for mut command in commands {
        shell::run(command.env("DEBIAN_FRONTEND", "noninteractive"))?;
    }
    let absent: Vec<&str> = missing.iter().filter(|tool| !tool.is_present()).map(|tool| tool.name).collect();
    if !absent.is_empty() {
        bail!("the packages were installed, but {} cannot be found", absent.join(", "));
    }
    eprintln!("setup: done");
    Ok(())
}
