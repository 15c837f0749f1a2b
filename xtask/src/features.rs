use std::{collections::BTreeSet, fs, path::Path};

use anyhow::{Context, Result, bail};

use crate::{
    layers, shell,
    workspace::{Package, Workspace},
};

/// The feature that links the system's libvpx, and the package that does so.
const VPX: (&str, &str) = ("vpx", "libvpx-native-sys");

/// What tests look at in a build without features: that it names the feature to turn on.
const OFF: &[&str] = &[
    "--package=remotemedia-codecs",
    "--package=remotemedia-nodes",
    "--no-default-features",
    "--lib",
    "--test=features",
    "--test=files_off",
];

/// Checks that each crate that ships builds alone, with each sensible choice of the features that its own code knows, that
/// libvpx is not needed where `vpx` is off, and that what is off is told by name.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    let mut runs = 0;
    for package in workspace.packages.iter().filter(|package| layers::ships(&package.name)) {
        for choice in choices(&own_features(package)?, &defaults(package)) {
            runs += 1;
            let mut clippy = shell::cargo(&workspace.root);
            clippy.args([
                "clippy",
                "--locked",
                "--quiet",
                "--package",
                &package.name,
                if package.is_library() { "--lib" } else { "--bins" },
                "--no-default-features",
            ]);
            if !choice.is_empty() {
                clippy.args(["--features", &choice.join(",")]);
            }
            shell::run(clippy.args(["--", "--deny=warnings"]))?;
        }
        if package.features.contains_key(VPX.0) {
            check_without_libvpx(workspace, package)?;
        }
    }
    println!("features: {runs} choices build");
    shell::run(shell::cargo(&workspace.root).args(["test", "--locked", "--quiet"]).args(OFF))
}

/// Every feature of a package but the default.
fn features(package: &Package) -> Vec<&str> {
    package.features.keys().map(String::as_str).filter(|name| *name != "default").collect()
}

/// The features that decide what of the package's own code is compiled. Those that it only hands on to a dependency change
/// nothing here, and are checked with that.
fn own_features(package: &Package) -> Result<Vec<&str>> {
    let mut code = String::new();
    read_all(&package.folder().join("src"), &mut code)?;
    Ok(named_in(&code, features(package)))
}

fn named_in<'a>(code: &str, mut features: Vec<&'a str>) -> Vec<&'a str> {
    features.retain(|feature| code.contains(&format!("feature = \"{feature}\"")));
    features
}

/// Appends every Rust file in `folder` to `code`.
fn read_all(folder: &Path, code: &mut String) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| format!("{} cannot be read", folder.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read_all(&path, code)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            code.push_str(&fs::read_to_string(&path).with_context(|| format!("{} cannot be read", path.display()))?);
        }
    }
    Ok(())
}

/// What is on unless it is turned off.
fn defaults(package: &Package) -> Vec<&str> {
    package.features.get("default").into_iter().flatten().map(String::as_str).collect()
}

/// No feature, each alone, and of those in `defaults` all but each. All of them together are what every other step builds.
fn choices<'a>(features: &[&'a str], defaults: &[&str]) -> Vec<Vec<&'a str>> {
    let alone = features.iter().map(|feature| vec![*feature]);
    let usual: Vec<&str> = features.iter().copied().filter(|name| defaults.contains(name)).collect();
    let all_but = usual.iter().map(|left_out| usual.iter().copied().filter(|name| name != left_out).collect());
    let choices: BTreeSet<Vec<&str>> = std::iter::once(Vec::new()).chain(alone).chain(all_but).collect();
    choices.into_iter().collect()
}

fn check_without_libvpx(workspace: &Workspace, package: &Package) -> Result<()> {
    let others = choices(&features(package), &features(package)).into_iter().filter(|choice| !choice.contains(&VPX.0));
    for choice in others {
        let mut tree = shell::cargo(&workspace.root);
        tree.args(["tree", "--locked", "--package", &package.name, "--no-default-features", "--prefix=none"]);
        tree.args(["--edges=normal,build", "--format={p}", "--features", &choice.join(",")]);
        if shell::output(&mut tree)?.lines().any(|line| line.split(' ').next() == Some(VPX.1)) {
            bail!("{} without {} still needs {} (features: {})", package.name, VPX.0, VPX.1, choice.join(", "));
        }
    }
    println!("features: {} builds without libvpx where {} is off", package.name, VPX.0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_features_are_built_in_every_choice_but_all() {
        let names = ["h264", "opus", "vpx"];
        let choices: Vec<String> = choices(&names, &names).iter().map(|choice| choice.join("+")).collect();
        assert_eq!(choices, ["", "h264", "h264+opus", "h264+vpx", "opus", "opus+vpx", "vpx"]);
    }

    #[test]
    fn what_is_off_unless_asked_for_is_built_alone() {
        let choices = choices(&["files", "onnx", "voice"], &["files", "opus", "voice"]);
        assert_eq!(choices, [vec![], vec!["files"], vec!["onnx"], vec!["voice"]]);
    }

    #[test]
    fn few_features_are_not_built_twice() {
        assert_eq!(choices(&[], &[]), [Vec::<&str>::new()]);
        assert_eq!(choices(&["nodes"], &["nodes"]), [vec![], vec!["nodes"]]);
        let both = ["client", "server"];
        assert_eq!(choices(&both, &both), [vec![], vec!["client"], vec!["server"]]);
    }

    #[test]
    fn a_feature_that_is_handed_on_is_none_of_ones_own() {
        let code = "#[cfg(all(test, feature = \"nodes\"))] // the feature vpx";
        assert_eq!(named_in(code, vec!["nodes", "node", "vpx"]), ["nodes"]);
    }
}
