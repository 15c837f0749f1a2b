use anyhow::Result;

use crate::{
    setup::{self, Purpose},
    shell,
    workspace::Workspace,
};

/// What the demo does with whoever opens the page, unless it is told otherwise. The first is what they get.
const PIPELINES: [&str; 2] = ["examples/pipelines/mirror.yaml", "examples/pipelines/upside-down.yaml"];

/// Serves a page to look at, on http://localhost:8080 unless `arguments` say otherwise. With `headless`, plays a whole call
/// between two native peers and measures it.
pub(crate) fn run(workspace: &Workspace, headless: bool, arguments: &[String]) -> Result<()> {
    setup::run(Purpose::Build)?;
    let mut cargo = shell::cargo(&workspace.root);
    if headless {
        cargo.args(["run", "--locked", "--release", "--package=remotemedia-examples", "--example=headless_demo", "--"]);
        return shell::run(cargo.args(arguments));
    }
    cargo.args(["run", "--locked", "--release", "--package=remotemedia-cli", "--", "serve"]);
    if !arguments.iter().any(|argument| argument.starts_with("--manifest")) {
        cargo.args(PIPELINES.iter().flat_map(|pipeline| ["--manifest", pipeline]));
    }
    shell::run(cargo.args(arguments))
}
