use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{
    Violation, public,
    rules::{self, Source},
    table,
    tokens::Tokens,
};
use crate::workspace::Workspace;

/// A Rust file of the workspace.
pub(crate) struct SourceFile {
    /// Relative to the workspace, with forward slashes.
    pub(crate) path: String,
    /// The package it belongs to and its path inside; `None` outside every package.
    pub(crate) package: Option<(String, String)>,
    pub(crate) text: String,
}

/// Reads every Rust file under the workspace's root, build outputs apart.
pub(crate) fn read(workspace: &Workspace) -> Result<Vec<SourceFile>> {
    let mut paths = Vec::new();
    collect(&workspace.root, &mut paths)?;
    paths.sort();
    paths.iter().map(|path| read_one(workspace, path)).collect()
}

/// Checks every file, and that each place said to be sans-IO exists once its crate has any code.
pub(crate) fn check(files: &[SourceFile]) -> Vec<Violation> {
    let mut violations = Vec::new();
    let parsed: Vec<(&SourceFile, Tokens, syn::File)> = files
        .iter()
        .filter_map(|file| match syn::parse_file(&file.text) {
            Ok(tree) => {
                let tokens = Tokens::of(quote_tokens(&file.text));
                Some((file, tokens, tree))
            }
            Err(error) => {
                violations.push(Violation::new(&file.path, format!("is not Rust: {error}")));
                None
            }
        })
        .collect();
    let tests: BTreeSet<String> =
        parsed.iter().flat_map(|(file, tokens, _)| test_files(&file.path, &tokens.test_modules())).collect();
    for (file, tokens, tree) in &parsed {
        let (package, inside) = file.package.as_ref().map_or(("", ""), |(package, inside)| (package, inside));
        let shipped = inside.starts_with("src/") && !tests.iter().any(|test| is_under(&file.path, test));
        let sans_io =
            shipped && table::find(package).is_some_and(|known| known.sans_io.iter().any(|p| is_under(inside, p)));
        violations.extend(rules::check(&Source { path: &file.path, tokens, sans_io }));
        if shipped {
            violations.extend(public::check(&file.path, package, tree));
        }
    }
    violations.extend(missing_places(files));
    violations
}

/// A rule about a place that was renamed would hold for nothing, silently.
fn missing_places(files: &[SourceFile]) -> Vec<Violation> {
    let inside = |name: &str| -> Vec<&str> {
        let of = |file: &SourceFile| file.package.as_ref().is_some_and(|(package, _)| package == name);
        files.iter().filter(|file| of(file)).filter_map(|file| Some(file.package.as_ref()?.1.as_str())).collect()
    };
    let mut violations = Vec::new();
    for known in table::CRATES {
        let files = inside(known.name);
        if files.iter().filter(|file| file.starts_with("src/")).count() < 2 {
            continue;
        }
        for place in known.sans_io.iter().filter(|place| !files.iter().any(|file| is_under(file, place))) {
            let message = format!("has no {place}, which xtask/src/layers/table.rs says is sans-IO");
            violations.push(Violation::new(known.name, message));
        }
    }
    violations
}

/// Whether `path` is the file `place.rs`, or in the folder `place`.
fn is_under(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
}

/// Where the modules `names`, declared in the file `path`, are: without `.rs`, so that they match [`is_under`].
fn test_files(path: &str, names: &[String]) -> Vec<String> {
    let (folder, file) = path.rsplit_once('/').unwrap_or(("", path));
    let stem = file.trim_end_matches(".rs");
    let base = if ["lib", "main", "mod"].contains(&stem) { folder.to_owned() } else { format!("{folder}/{stem}") };
    names.iter().map(|name| format!("{base}/{name}")).collect()
}

fn quote_tokens(text: &str) -> proc_macro2::TokenStream {
    // A file that parsed lexes too; a shebang line is all that separates the two, and only binaries of scripts have one.
    text.parse().unwrap_or_default()
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) -> Result<()> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let kind = entry.file_type()?;
        if kind.is_dir() && !name.starts_with('.') && name != "target" && name != "node_modules" {
            collect(&entry.path(), paths)?;
        } else if kind.is_file() && name.ends_with(".rs") {
            paths.push(entry.path());
        }
    }
    Ok(())
}

fn read_one(workspace: &Workspace, path: &Path) -> Result<SourceFile> {
    let slashes = |path: &Path| path.to_string_lossy().replace('\\', "/");
    let package = workspace.packages.iter().find_map(|package| {
        path.strip_prefix(package.folder()).ok().map(|inside| (package.name.clone(), slashes(inside)))
    });
    let text = fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?;
    Ok(SourceFile { path: slashes(path.strip_prefix(&workspace.root).unwrap_or(path)), package, text })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(folder: &str, package: &str, inside: &str, text: &str) -> SourceFile {
        SourceFile {
            path: format!("{folder}/{inside}"),
            package: Some((package.to_owned(), inside.to_owned())),
            text: text.to_owned(),
        }
    }

    fn messages(files: &[SourceFile]) -> Vec<String> {
        check(files).iter().map(ToString::to_string).collect()
    }

    const CLOCK: &str = "fn now() -> Instant { Instant::now() }";

    #[test]
    fn sans_io_places_are_judged_and_their_neighbours_are_not() {
        let signaling = |inside, text| file("crates/signaling", "remotemedia-signaling", inside, text);
        let found = messages(&[
            signaling("src/lib.rs", CLOCK),
            signaling("src/client/mod.rs", CLOCK),
            signaling("src/protocol/mod.rs", CLOCK),
            signaling("src/state.rs", CLOCK),
            signaling("tests/glare.rs", CLOCK),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("crates/signaling/src/protocol/mod.rs:1: Instant::now"), "{found:?}");
        assert!(found[1].starts_with("crates/signaling/src/state.rs:1: Instant::now"), "{found:?}");
    }

    #[test]
    fn a_test_module_in_its_own_file_may_read_the_clock() {
        let jitter = |inside, text| file("crates/jitter", "remotemedia-jitter", inside, text);
        let found = messages(&[
            jitter("src/lib.rs", "mod audio;"),
            jitter("src/audio.rs", "mod state;\n#[cfg(test)]\nmod tests;"),
            jitter("src/audio/tests.rs", CLOCK),
            jitter("src/audio/state.rs", CLOCK),
        ]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("crates/jitter/src/audio/state.rs:1"), "{found:?}");
    }

    #[test]
    fn a_place_that_was_renamed_is_noticed() {
        let found = messages(&[
            file("crates/netsim", "remotemedia-netsim", "src/lib.rs", "mod link;"),
            file("crates/netsim", "remotemedia-netsim", "src/link.rs", ""),
        ]);
        assert_eq!(found, ["remotemedia-netsim: has no src/nat, which xtask/src/layers/table.rs says is sans-IO"]);
    }

    #[test]
    fn a_file_that_is_not_rust_is_named() {
        let found = messages(&[file("crates/mesh", "remotemedia-mesh", "src/lib.rs", "fn {")]);
        assert!(found.len() == 1 && found[0].starts_with("crates/mesh/src/lib.rs: is not Rust"), "{found:?}");
    }
}
