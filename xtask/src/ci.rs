use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::{
    features, layers,
    setup::{self, Purpose},
    shell, test,
    workspace::Workspace,
};

/// A named part of the run.
type Step = (&'static str, fn(&Workspace) -> Result<()>);

/// What a change has to pass before its tests are run, cheapest first.
const STEPS: &[Step] = &[
    ("setup", |_| setup::run(Purpose::Ci)),
    ("format", format),
    ("layers", layers::run),
    ("deny", deny),
    ("clippy", clippy),
    ("features", features::run),
    ("docs", docs),
];

/// The step after those.
const TEST: &str = "test";

/// Runs every step and then the tests, times each, and stops at the first that fails. The last line is the tests' sum.
///
/// With `only`, runs just the steps named there.
pub(crate) fn run(workspace: &Workspace, only: &[String]) -> Result<()> {
    let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).chain([TEST]).collect();
    if let Some(unknown) = only.iter().find(|name| !names.contains(&name.as_str())) {
        bail!("there is no step {unknown}; there are {}", names.join(", "));
    }
    let wanted = |name: &str| only.is_empty() || only.iter().any(|wanted| wanted == name);
    let mut times = Times::default();
    for (name, step) in STEPS.iter().filter(|(name, _)| wanted(name)) {
        times.measure(name, || step(workspace))?;
    }
    let tally = if wanted(TEST) { Some(times.measure(TEST, || test::run_all(workspace, &[]))?) } else { None };
    println!("ci: passed: {}", times.summary());
    if let Some(tally) = tally {
        println!("{tally}");
    }
    Ok(())
}

/// The steps that ran, and how long each took.
#[derive(Default)]
struct Times(Vec<(&'static str, Duration)>);

impl Times {
    fn measure<T>(&mut self, name: &'static str, step: impl FnOnce() -> Result<T>) -> Result<T> {
        println!("ci: {name} …");
        let start = Instant::now();
        let result = step();
        self.0.push((name, start.elapsed()));
        match &result {
            Ok(_) => println!("ci: {name} passed in {}", readable(start.elapsed())),
            Err(_) => println!("ci: {name} FAILED: {}", self.summary()),
        }
        result.with_context(|| format!("the step {name} failed"))
    }

    fn summary(&self) -> String {
        let total: Duration = self.0.iter().map(|(_, time)| *time).sum();
        let each: Vec<String> = self.0.iter().map(|(name, time)| format!("{name} {}", readable(*time))).collect();
        format!("{} (total {})", each.join(", "), readable(total))
    }
}

fn format(workspace: &Workspace) -> Result<()> {
    shell::run(shell::cargo(&workspace.root).args(["fmt", "--all", "--check"]))
}

fn deny(workspace: &Workspace) -> Result<()> {
    // Licences, bans and sources are in the manifests; the advisory database would have to be fetched.
    let mut deny = setup::cargo_deny()?;
    shell::run(deny.current_dir(&workspace.root).args(["--locked", "check", "bans", "licenses", "sources"]))
}

fn clippy(workspace: &Workspace) -> Result<()> {
    let mut clippy = shell::cargo(&workspace.root);
    shell::run(clippy.args([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        test::OPTIONAL,
        "--",
        "--deny=warnings",
    ]))
}

fn docs(workspace: &Workspace) -> Result<()> {
    let mut doc = shell::cargo(&workspace.root);
    shell::run(doc.env("RUSTDOCFLAGS", "--deny=warnings").args(["doc", "--locked", "--workspace", "--no-deps"]))
}

fn readable(time: Duration) -> String {
    let seconds = time.as_secs();
    if seconds < 60 {
        format!("{:.1} s", time.as_secs_f64())
    } else {
        format!("{} min {:02} s", seconds / 60, seconds % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_readable_and_add_up() {
        let times = Times(vec![("a", Duration::from_millis(1_250)), ("b", Duration::from_secs(119))]);
        assert_eq!(times.summary(), "a 1.2 s, b 1 min 59 s (total 2 min 00 s)");
    }

    #[test]
    fn a_failing_step_is_timed_and_named() {
        let mut times = Times::default();
        times.measure("good", || Ok(())).unwrap();
        let error = times.measure("bad", || -> Result<()> { anyhow::bail!("no luck") }).unwrap_err();
        assert_eq!(format!("{error:#}"), "the step bad failed: no luck");
        assert_eq!(times.0.iter().map(|(name, _)| *name).collect::<Vec<_>>(), ["good", "bad"]);
    }
}
