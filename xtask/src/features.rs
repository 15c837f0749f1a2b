use std::collections::BTreeSet;

use anyhow::{Result, bail};

use crate::{
    layers, shell,
    workspace::{Package, Workspace},
};

/// The feature that links the system's libvpx, and the package that does so.
const VPX: (&str, &str) = ("vpx", "libvpx-native-sys");

/// Checks that each library that ships builds alone, with each sensible choice of its features, and that libvpx is not needed
/// where `vpx` is off.
pub(crate) fn run(workspace: &Workspace) -> Result<()> {
    for package in workspace.packages.iter().filter(|package| package.is_library() && layers::ships(&package.name)) {
        for choice in choices(package) {
            let mut clippy = shell::cargo(&workspace.root);
            clippy.args([
                "clippy",
                "--locked",
                "--quiet",
                "--package",
                &package.name,
                "--lib",
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
    Ok(())
}

/// No feature, each alone, and all but each. All of them together are what every other step builds.
fn choices(package: &Package) -> Vec<Vec<&str>> {
    let features: Vec<&str> = package.features.keys().map(String::as_str).filter(|name| *name != "default").collect();
    let alone = features.iter().map(|feature| vec![*feature]);
    let all_but = features.iter().map(|left_out| features.iter().copied().filter(|name| name != left_out).collect());
    let choices: BTreeSet<Vec<&str>> = std::iter::once(Vec::new()).chain(alone).chain(all_but).collect();
    choices.into_iter().collect()
}

fn check_without_libvpx(workspace: &Workspace, package: &Package) -> Result<()> {
    let others = choices(package).into_iter().filter(|choice| !choice.contains(&VPX.0));
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

    fn package(features: &[&str]) -> Package {
        Package {
            name: "a".to_owned(),
            manifest_path: "/a/Cargo.toml".into(),
            dependencies: Vec::new(),
            targets: Vec::new(),
            features: features.iter().map(|name| ((*name).to_owned(), Vec::new())).collect(),
        }
    }

    #[test]
    fn three_features_are_built_in_every_choice_but_all() {
        let package = package(&["default", "h264", "opus", "vpx"]);
        let choices: Vec<String> = choices(&package).iter().map(|choice| choice.join("+")).collect();
        assert_eq!(choices, ["", "h264", "h264+opus", "h264+vpx", "opus", "opus+vpx", "vpx"]);
    }

    #[test]
    fn few_features_are_not_built_twice() {
        assert_eq!(choices(&package(&[])), [Vec::<&str>::new()]);
        assert_eq!(choices(&package(&["default", "client", "server"])), [vec![], vec!["client"], vec!["server"]]);
    }
}
