use std::fs;

use super::{Violation, sources::SourceFile};
use crate::workspace::Workspace;

const PAGE: &str = "docs/webrtc-traps.md";

/// Checks that the files and tests exist that the page on the WebRTC stack names.
pub(crate) fn check(workspace: &Workspace, files: &[SourceFile]) -> Vec<Violation> {
    match fs::read_to_string(workspace.root.join(PAGE)) {
        Ok(text) => compare(&text, files),
        Err(error) => vec![Violation::new(PAGE, format!("cannot be read: {error}"))],
    }
}

fn compare(text: &str, files: &[SourceFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let Some([_, remedy, tests]) = row(line) else { continue };
        let mut complain = |message| violations.push(Violation::new(format!("{PAGE}:{number}"), message));
        for path in quoted(remedy).filter(|word| word.ends_with(".rs")) {
            if !files.iter().any(|file| file.path == path) {
                complain(format!("names {path}, which does not exist"));
            }
        }
        let mut named = quoted(tests).peekable();
        if named.peek().is_none() {
            complain("names no test".to_owned());
        }
        for test in named {
            let definition = format!("fn {test}(");
            if !files.iter().any(|file| file.text.contains(&definition)) {
                complain(format!("names the test {test}, which does not exist"));
            }
        }
    }
    violations
}

/// The cells of a row of three, headings apart.
fn row(line: &str) -> Option<[&str; 3]> {
    let cells: Vec<&str> = line.strip_prefix('|')?.strip_suffix('|')?.split('|').map(str::trim).collect();
    let cells: [&str; 3] = cells.try_into().ok()?;
    let is_heading = cells[2] == "held by" || cells[2].starts_with("--");
    (!is_heading).then_some(cells)
}

/// What stands between backticks.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Vec<SourceFile> {
        let file = |path: &str, text: &str| SourceFile { path: path.into(), package: None, text: text.into() };
        vec![file("crates/a/src/b.rs", "pub fn work() {}"), file("crates/a/tests/c.rs", "fn it_holds() {}")]
    }

    fn complaints(row: &str) -> Vec<Violation> {
        compare(&format!("| what | remedy | held by |\n|---|---|---|\n{row}\n"), &files())
    }

    #[test]
    fn a_row_whose_file_and_test_exist_passes() {
        assert_eq!(complaints("| trap | done in `crates/a/src/b.rs` with `with_care` | `it_holds` |"), []);
        assert_eq!(complaints("no row at all"), []);
    }

    #[test]
    fn a_file_or_test_that_does_not_exist_is_caught() {
        let complaint = |message: &str| [Violation::new(format!("{PAGE}:3"), message)];
        let file = complaints("| trap | `crates/a/src/x.rs` | `it_holds` |");
        assert_eq!(file, complaint("names crates/a/src/x.rs, which does not exist"));
        let test = complaints("| trap | `crates/a/src/b.rs` | `it_held` |");
        assert_eq!(test, complaint("names the test it_held, which does not exist"));
        assert_eq!(complaints("| trap | nothing | hope |"), complaint("names no test"));
    }
}
