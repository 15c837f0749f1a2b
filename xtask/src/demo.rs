use anyhow::{Result, bail};

use crate::{
    setup::{self, Purpose},
    shell,
    workspace::Workspace,
};

/// Plays a whole call between two native peers and measures it; `arguments` go to the demo.
pub(crate) fn run(workspace: &Workspace, headless: bool, arguments: &[String]) -> Result<()> {
    if !headless {
        bail!("there is no page to look at in this version: run `cargo xtask demo --headless`");
    }
    setup::run(Purpose::Build)?;
    let mut cargo = shell::cargo(&workspace.root);
    cargo.args(["run", "--locked", "--release", "--package=remotemedia-examples", "--example=headless_demo", "--"]);
    shell::run(cargo.args(arguments))
}
