//! What the tests of a crate bring with them: those of a crate that knows nothing of connections must not compile any.

use anyhow::Result;

use super::Violation;
use crate::{shell, workspace::Workspace};

/// Crates whose tests do without connections.
const TESTED_ALONE: &[&str] = &["remotemedia-runtime-core", "remotemedia-nodes"];
/// What they do without.
const CONNECTIONS: &[&str] = &["webrtc", "rtc", "remotemedia-mesh", "remotemedia-webrtc"];

pub(super) fn check(workspace: &Workspace) -> Result<Vec<Violation>> {
    let mut violations = Vec::new();
    for name in TESTED_ALONE {
        let mut tree = shell::cargo(&workspace.root);
        tree.args(["tree", "--locked", "--package", name, "--all-features", "--edges=normal,build,dev"]);
        let tree = shell::output(tree.args(["--prefix=none", "--format={p}"]))?;
        violations.extend(found_in(&tree).map(|package| {
            Violation::new(
                format!("{name}/Cargo.toml"),
                format!("its tests bring {package}, by a dependency or one of its own"),
            )
        }));
    }
    Ok(violations)
}

/// Packages of connections in what `cargo tree` printed, a package a line, each once.
fn found_in(tree: &str) -> impl Iterator<Item = &'static str> {
    CONNECTIONS.iter().copied().filter(|name| tree.lines().any(|line| line.split(' ').next() == Some(*name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_found_by_its_whole_name() {
        let tree = "remotemedia-nodes v0.1.0 (/nodes)\nwebrtc-util v0.1.0\nrtc v0.21.1 (*)\n";
        assert_eq!(found_in(tree).collect::<Vec<_>>(), ["rtc"]);
    }
}
