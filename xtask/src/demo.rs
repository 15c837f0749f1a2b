use anyhow::Result;

use crate::{
    setup::{self, Purpose},
    shell,
    workspace::Workspace,
};

/// Where the page is served unless the arguments say otherwise.
const LISTEN: &str = "127.0.0.1:8080";

/// Starts the demo: a page to open, or with `headless` a measured call between two native peers.
pub(crate) fn run(workspace: &Workspace, headless: bool, arguments: &[String]) -> Result<()> {
    setup::run(Purpose::Build)?;
    let mut cargo = shell::cargo(&workspace.root);
    cargo.args(["run", "--locked", "--release"]);
    if headless {
        cargo.args(["--package", "remotemedia-examples", "--example", "headless_demo", "--"]);
    } else {
        cargo.args(["--package", "remotemedia-cli", "--bin", "remotemedia", "--", "serve"]);
        if !arguments.iter().any(|argument| argument.starts_with("--listen")) {
            cargo.args(["--listen", LISTEN]);
            eprintln!("demo: once it is ready, open http://{} in a browser", LISTEN.replace("127.0.0.1", "localhost"));
        }
    }
    shell::run(cargo.args(arguments))
}
