use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value};

use crate::{
    setup::{self, Purpose},
    shell,
    workspace::{Package, Workspace},
};

/// The bench that needs what tests need.
const WITH_BROWSERS: &str = "browser";

/// A bench program of the workspace.
struct Bench<'a> {
    package: &'a str,
    name: &'a str,
    /// Measured with criterion, which prints and keeps its figures in its own way, and knows no `--json`.
    criterion: bool,
}

/// Runs the bench called `name`, or all of them, in release mode.
pub(crate) fn run(workspace: &Workspace, name: Option<&str>, json: bool) -> Result<()> {
    let benches: Vec<Bench<'_>> = workspace.packages.iter().flat_map(benches_of).collect();
    let chosen: Vec<&Bench<'_>> = match name {
        Some(name) => benches.iter().filter(|bench| bench.name == name).collect(),
        None => benches.iter().filter(|bench| !(json && bench.criterion)).collect(),
    };
    if chosen.is_empty() {
        let names: Vec<&str> = benches.iter().map(|bench| bench.name).collect();
        bail!("no bench to run; the workspace has: [{}]", names.join(", "));
    }
    if let (true, Some(bench)) = (json, chosen.iter().find(|bench| bench.criterion)) {
        bail!(
            "{} is measured with criterion, which writes its figures under target/criterion: leave --json out",
            bench.name
        );
    }
    let browsers = chosen.iter().any(|bench| bench.name == WITH_BROWSERS);
    setup::run(if browsers { Purpose::Test } else { Purpose::Bench })?;
    let mut results = Map::new();
    for bench in &chosen {
        let mut cargo = shell::cargo(&workspace.root);
        cargo.args(["bench", "--locked", "--package", bench.package, "--bench", bench.name, "--"]);
        if !json {
            shell::run(&mut cargo)?;
        } else if name.is_some() {
            shell::run(cargo.arg("--json"))?;
        } else {
            results.insert(bench.name.to_owned(), last_line_as_json(cargo.arg("--json"))?);
        }
    }
    if json && name.is_none() {
        println!("{}", Value::Object(results));
    }
    Ok(())
}

fn benches_of(package: &Package) -> Vec<Bench<'_>> {
    let criterion = package.dependencies.iter().any(|dependency| dependency.name == "criterion");
    let targets = package.targets.iter().filter(|target| target.is("bench"));
    targets.map(|target| Bench { package: &package.name, name: &target.name, criterion }).collect()
}

/// Runs a command, passes its output on, and answers its last line.
fn last_line_as_json(command: &mut Command) -> Result<Value> {
    let line = shell::line(command);
    eprintln!("$ {line}");
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("`{line}` could not be started"))?;
    let mut last = String::new();
    for text in BufReader::new(child.stdout.take().context("cargo bench has no output")?).lines() {
        let text = text?;
        if !text.trim().is_empty() {
            last = text;
            println!("{last}");
        }
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{line}` failed ({status})");
    }
    serde_json::from_str(&last).with_context(|| format!("the last line of `{line}` is not JSON: {last}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_of_a_bench_is_its_result() {
        let json = last_line_as_json(Command::new("sh").args(["-c", "echo table; echo '{\"a\":1}'; echo"])).unwrap();
        assert_eq!(json, serde_json::json!({"a": 1}));
        assert!(last_line_as_json(Command::new("sh").args(["-c", "echo '{}'; exit 1"])).is_err());
        assert!(last_line_as_json(Command::new("echo").arg("no json")).is_err());
    }
}
