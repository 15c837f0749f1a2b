//! The README's ten lines do what it says, with a server as the demo's is.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::process::Command;

#[path = "support/process.rs"]
mod process;

use self::process::{PATIENCE, Process, mirror, serve};

/// The code that the README shows first.
fn shown() -> &'static str {
    let readme = include_str!("../../../README.md");
    readme.split_once("```rust,no_run\n").unwrap().1.split_once("```").unwrap().0
}

#[test]
fn the_example_is_what_the_readme_shows_but_for_the_servers_address() {
    let example = include_str!("../examples/ten_lines.rs");
    let without_address = example.replace("..server() }", "..Default::default() }");
    assert!(without_address.contains(shown()), "{} is not in {without_address}", shown());
}

#[test]
fn a_picture_comes_back() {
    let mirror = mirror();
    let (_serve, ready) = serve(&["--manifest", mirror.to_str().unwrap()]);
    // Unless told which targets to take, `cargo test` builds examples too, and puts them beside the folder in which this test is.
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("examples");
    let program = folder.join(format!("ten_lines{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "`cargo test -p remotemedia-cli` builds {}", program.display());
    let url = ready["signaling_url"].as_str().unwrap();
    let lines = Process::start("ten_lines", Command::new(program).arg(url)).finish(PATIENCE);
    assert_eq!(lines, ["640x360 pixels came back"]);
}
