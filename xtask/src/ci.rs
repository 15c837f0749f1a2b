use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::{
    features, layers,
    setup::{self, Purpose},
    shell, test,
    workspace::Workspace,
};

/// A named part of the run.
type Step = (&'static str, fn(&Workspace) -> Result<()>);

/// What a change has to pass, cheapest first; the tests come last, so that their own lines close the output.
const STEPS: &[Step] = &[
    ("setup", |_| setup::run(Purpose::Ci)),
    ("format", format),
    ("layers", layers::run),
    ("deny", deny),
    ("clippy", clippy),
    ("features", features::run),
    ("docs", docs),
    ("test", |workspace| test::run(workspace, &[])),
];

/// Runs every step, times it, and stops at the first that fails.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut times: Vec<(&str, Duration)> = Vec::new();
    for (name, step) in STEPS {
        if *name == "test" {
            println!("ci: before the tests: {}", summary(&times));
        }
        println!("ci: {name} …");
        let start = Instant::now();
        let result = step(workspace);
        times.push((name, start.elapsed()));
        if let Err(error) = result {
            println!("ci: {name} FAILED; {}", summary(&times));
            return Err(error).with_context(|| format!("the step {name} failed"));
        }
        eprintln!("ci: {name} took {}", readable(start.elapsed()));
    }
    eprintln!("ci: all passed: {}", summary(&times));
    Ok(())
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
    shell::run(clippy.args(["clippy", "--locked", "--workspace", "--all-targets", "--", "--deny=warnings"]))
}

fn docs(workspace: &Workspace) -> Result<()> {
    let mut doc = shell::cargo(&workspace.root);
    shell::run(doc.env("RUSTDOCFLAGS", "--deny=warnings").args(["doc", "--locked", "--workspace", "--no-deps"]))
}

fn summary(times: &[(&str, Duration)]) -> String {
    let total: Duration = times.iter().map(|(_, time)| *time).sum();
    let each: Vec<String> = times.iter().map(|(name, time)| format!("{name} {}", readable(*time))).collect();
    format!("{} (total {})", each.join(", "), readable(total))
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
        let times = [("a", Duration::from_millis(1_250)), ("b", Duration::from_secs(119))];
        assert_eq!(summary(&times), "a 1.2 s, b 1 min 59 s (total 2 min 00 s)");
    }

    #[test]
    fn the_tests_come_last() {
        assert_eq!(STEPS.last().map(|(name, _)| *name), Some("test"));
    }
}
