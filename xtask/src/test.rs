use std::{
    fmt,
    io::{BufRead, BufReader, IsTerminal, Write, stdout},
    process::Stdio,
};

use anyhow::{Context, Result, bail};

use crate::{
    setup::{self, Purpose},
    shell,
    workspace::Workspace,
};

/// Turns on the features that nothing in the workspace needs, so that their tests run too.
pub(crate) const OPTIONAL: &str = "--features=remotemedia-nodes/onnx";

/// Sets the machine up, runs every test of the workspace, and prints their sum; `arguments` go to `cargo test`.
pub(crate) fn run(workspace: &Workspace, arguments: &[String]) -> Result<()> {
    println!("{}", run_all(workspace, arguments)?);
    Ok(())
}

/// As [`run`], but leaves the sum to the caller to print, unless a test failed.
pub(crate) fn run_all(workspace: &Workspace, arguments: &[String]) -> Result<Tally> {
    setup::run(Purpose::Test)?;
    let mut command = shell::cargo(&workspace.root);
    command.args(["test", "--locked", "--workspace", OPTIONAL]).args(arguments).stdout(Stdio::piped());
    if stdout().is_terminal() {
        command.env("CARGO_TERM_COLOR", "always");
    }
    let line = shell::line(&command);
    eprintln!("$ {line}");
    let mut child = command.spawn().with_context(|| format!("`{line}` could not be started"))?;
    let mut tally = Tally::default();
    let mut reader = BufReader::new(child.stdout.take().context("cargo test has no output")?);
    let mut text = Vec::new();
    while reader.read_until(b'\n', &mut text)? > 0 {
        stdout().write_all(&text)?;
        tally.count(&String::from_utf8_lossy(&text));
        text.clear();
    }
    let status = child.wait()?;
    if !status.success() {
        println!("{tally}");
        bail!("`{line}` failed ({status})");
    }
    if tally.passed == 0 && arguments.is_empty() {
        bail!("`{line}` ran no test");
    }
    Ok(tally)
}

/// The sum of what the test programs report one by one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Tally {
    /// Adds the figures of a line such as `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn count(&mut self, line: &str) {
        let Some((_, result)) = line.split_once("test result:") else { return };
        let words: Vec<&str> = result.split([' ', ';', '.']).filter(|word| !word.is_empty()).collect();
        for pair in words.windows(2) {
            let [number, what] = pair else { continue };
            let Ok(number) = number.parse::<u64>() else { continue };
            match *what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.skipped += number,
                _ => {}
            }
        }
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_of_many_programs_add_up() {
        let mut tally = Tally::default();
        for line in [
            "running 4 tests",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.01s",
            "test result: \u{1b}[31mFAILED\u{1b}[0m. 2 passed; 5 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s",
            "9 passed",
        ] {
            tally.count(line);
        }
        assert_eq!(tally, Tally { passed: 5, failed: 5, skipped: 1 });
        assert_eq!(tally.to_string(), "5 passed, 5 failed, 1 skipped");
    }
}
