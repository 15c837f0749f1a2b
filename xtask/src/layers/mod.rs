//! Keeps the crates on their floors: what `docs/architecture.md` tells, checked.

mod arrows;
mod handbook;
mod public;
mod rules;
mod sources;
mod table;
mod tokens;
mod traps;
mod trees;

use std::fmt;

use anyhow::{Result, bail};

use crate::workspace::Workspace;

/// One way in which the workspace breaks its own rules.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Violation {
    /// A file and line, or a manifest.
    place: String,
    /// What is wrong there, and what would be right.
    message: String,
}

impl Violation {
    fn new(place: impl Into<String>, message: impl Into<String>) -> Self {
        Self { place: place.into(), message: message.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

/// Whether a package is for users, and no tool for those who develop it.
pub(crate) fn ships(package: &str) -> bool {
    table::find(package).is_some_and(|known| known.floor != table::Floor::Tool)
}

/// Checks arrows between crates, what their tests bring, every source file, and that the handbook and the page on the WebRTC stack tell the same
/// story.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let files = sources::read(workspace)?;
    let mut violations = arrows::check(&workspace.packages);
    violations.extend(sources::check(&files));
    violations.extend(handbook::check(workspace));
    violations.extend(traps::check(workspace, &files));
    violations.extend(trees::check(workspace)?);
    violations.sort();
    for violation in &violations {
        eprintln!("{violation}");
    }
    if !violations.is_empty() {
        bail!("check-layers found {} violation(s); docs/architecture.md tells the rules", violations.len());
    }
    println!("layers: {} crates on their floors, {} source files clean", workspace.packages.len(), files.len());
    Ok(())
}
