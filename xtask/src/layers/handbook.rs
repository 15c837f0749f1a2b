use std::fs;

use super::{
    Violation,
    table::{self, Floor},
};
use crate::workspace::Workspace;

const HANDBOOK: &str = "docs/architecture.md";

/// Checks that the handbook's table of crates tells which there are, and on which floor.
pub(crate) fn check(workspace: &Workspace) -> Vec<Violation> {
    let packages: Vec<&str> = workspace.packages.iter().map(|package| package.name.as_str()).collect();
    match fs::read_to_string(workspace.root.join(HANDBOOK)) {
        Ok(text) => compare(&text, &packages),
        Err(error) => vec![Violation::new(HANDBOOK, format!("cannot be read: {error}"))],
    }
}

fn compare(text: &str, packages: &[&str]) -> Vec<Violation> {
    let told: Vec<(&str, &str)> = text.lines().filter_map(row).collect();
    let mut violations = Vec::new();
    for known in packages.iter().filter_map(|name| table::find(name)) {
        let floor = match known.floor {
            Floor::Level(level) => level.to_string(),
            Floor::Tool => "tool".to_owned(),
        };
        match told.iter().find(|(_, name)| *name == known.name) {
            None => violations.push(Violation::new(HANDBOOK, format!("has no row for {} (floor {floor})", known.name))),
            Some((there, _)) if *there != floor => violations
                .push(Violation::new(HANDBOOK, format!("puts {} on floor {there}; it stands on {floor}", known.name))),
            Some(_) => {}
        }
    }
    for (_, name) in told.iter().filter(|(_, name)| !packages.contains(name)) {
        violations.push(Violation::new(HANDBOOK, format!("has a row for {name}, which is no crate of the workspace")));
    }
    violations
}

/// The floor and the crate of a table row: `| 1 | `name` | … |`.
fn row(line: &str) -> Option<(&str, &str)> {
    let mut cells = line.strip_prefix('|')?.split('|').map(str::trim);
    let floor = cells.next()?;
    let name = cells.next()?.strip_prefix('`')?;
    let name = &name[..name.find('`')?];
    (floor == "tool" || floor.parse::<u8>().is_ok()).then_some((floor, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table_text() -> String {
        let row = |known: &table::Crate| match known.floor {
            Floor::Level(level) => format!("| {level} | `{}` (`folder`) | is |\n", known.name),
            Floor::Tool => format!("| tool | `{}` | is |\n", known.name),
        };
        table::CRATES.iter().map(row).collect()
    }

    fn packages() -> Vec<&'static str> {
        table::CRATES.iter().map(|known| known.name).collect()
    }

    #[test]
    fn the_same_table_passes() {
        assert_eq!(compare(&format!("| floor | crate |\n|---|---|\n{}", table_text()), &packages()), []);
    }

    #[test]
    fn a_missing_wrong_or_invented_row_is_caught() {
        let text = table_text();
        let missing = text.replace("`remotemedia-sync`", "sync");
        assert_eq!(
            compare(&missing, &packages()),
            [Violation::new(HANDBOOK, "has no row for remotemedia-sync (floor 1)")]
        );
        let wrong = text.replace("| 2 | `remotemedia-mesh`", "| 3 | `remotemedia-mesh`");
        assert_eq!(
            compare(&wrong, &packages()),
            [Violation::new(HANDBOOK, "puts remotemedia-mesh on floor 3; it stands on 2")]
        );
        let invented = format!("{text}| 4 | `remotemedia-ghost` | is |\n");
        let message = "has a row for remotemedia-ghost, which is no crate of the workspace";
        assert_eq!(compare(&invented, &packages()), [Violation::new(HANDBOOK, message)]);
    }
}
