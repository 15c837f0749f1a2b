use super::{
    Violation,
    table::{self, Floor},
};
use crate::workspace::{Dependency, Package};

/// Checks every dependency between the workspace's packages, and those on packages a crate must not know.
pub(crate) fn check(packages: &[Package]) -> Vec<Violation> {
    packages.iter().flat_map(|package| check_package(package, packages)).collect()
}

fn check_package(package: &Package, packages: &[Package]) -> Vec<Violation> {
    let place = format!("{}/Cargo.toml", package.name);
    let Some(known) = table::find(&package.name) else {
        return vec![Violation::new(place, "stands on no floor: give it one in xtask/src/layers/table.rs")];
    };
    let mut violations = Vec::new();
    for dependency in package.shipped_dependencies() {
        if known.ignorant_of.contains(&dependency.name.as_str()) {
            violations.push(Violation::new(&place, format!("must know nothing of {}", dependency.name)));
        }
        if let Some(message) = wrong_floor(known, dependency) {
            violations.push(Violation::new(&place, message));
        }
    }
    if package.name == table::STANDS_ALONE {
        let ours = |dependency: &&Dependency| packages.iter().any(|package| package.name == dependency.name);
        violations.extend(package.dependencies.iter().filter(ours).map(|dependency| {
            Violation::new(&place, format!("must build alone, but depends on {} of this workspace", dependency.name))
        }));
    }
    violations
}

fn wrong_floor(from: &table::Crate, dependency: &Dependency) -> Option<String> {
    let to = table::find(&dependency.name)?;
    if table::ALLOWED.contains(&(from.name, to.name)) {
        return None;
    }
    match (from.floor, to.floor) {
        (Floor::Level(from), Floor::Level(to)) if to < from => None,
        (Floor::Level(from), Floor::Level(to_floor)) if to_floor == from => {
            Some(format!("arrow to {} points sideways (both on floor {from})", to.name))
        }
        (Floor::Level(from), Floor::Level(to_floor)) => {
            Some(format!("arrow to {} points up (floor {from} to floor {to_floor})", to.name))
        }
        (Floor::Tool, Floor::Level(_)) => None,
        (_, Floor::Tool) => Some(format!("{} serves development: only tests may depend on it", to.name)),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Package {
        Package {
            name: name.to_owned(),
            manifest_path: format!("/{name}/Cargo.toml").into(),
            dependencies: dependencies
                .iter()
                .map(|&(name, kind)| Dependency { name: name.to_owned(), kind: kind.map(str::to_owned) })
                .collect(),
            targets: Vec::new(),
            features: BTreeMap::new(),
        }
    }

    fn messages(packages: &[Package]) -> Vec<String> {
        check(packages).into_iter().map(|violation| violation.to_string()).collect()
    }

    #[test]
    fn arrows_down_are_fine() {
        let packages = [
            package("remotemedia-mesh", &[("remotemedia-rtp", None), ("remotemedia-media", None), ("webrtc", None)]),
            package("remotemedia-rtp", &[("remotemedia-media", None), ("rtc", None)]),
            package("remotemedia-netsim", &[("remotemedia-mesh", None)]),
        ];
        assert_eq!(messages(&packages), Vec::<String>::new());
    }

    #[test]
    fn arrows_up_and_sideways_are_caught_in_normal_and_build_dependencies() {
        let found = messages(&[
            package("remotemedia-rtp", &[("remotemedia-mesh", None)]),
            package("remotemedia-jitter", &[("remotemedia-codecs", Some("build"))]),
        ]);
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("points up (floor 1 to floor 2)"), "{found:?}");
        assert!(found[1].contains("points sideways (both on floor 1)"), "{found:?}");
    }

    #[test]
    fn tests_may_look_up_but_nothing_ships_a_tool() {
        assert_eq!(
            messages(&[package("remotemedia-mesh", &[("remotemedia-netsim", Some("dev"))])]),
            Vec::<String>::new()
        );
        let found = messages(&[package("remotemedia-webrtc", &[("remotemedia-netsim", None)])]);
        assert!(found.len() == 1 && found[0].contains("only tests"), "{found:?}");
    }

    #[test]
    fn only_the_mesh_knows_webrtc_and_only_mesh_and_rtp_know_rtc() {
        for known in table::CRATES {
            let uses = |dependency| messages(&[package(known.name, &[(dependency, None)])]).is_empty();
            assert_eq!(uses("webrtc"), known.name == "remotemedia-mesh", "{} and webrtc", known.name);
            assert_eq!(
                uses("rtc"),
                ["remotemedia-mesh", "remotemedia-rtp"].contains(&known.name),
                "{} and rtc",
                known.name
            );
        }
    }

    #[test]
    fn sans_io_crates_have_no_runtime() {
        for name in ["media", "rtp", "jitter", "sync", "congestion", "codecs"] {
            let name = format!("remotemedia-{name}");
            let found = messages(&[package(&name, &[("tokio", None), ("tokio", Some("dev"))])]);
            assert_eq!(found, [format!("{name}/Cargo.toml: must know nothing of tokio")]);
        }
    }

    #[test]
    fn a_crate_without_a_floor_is_caught() {
        let found = messages(&[package("remotemedia-surprise", &[])]);
        assert!(found.len() == 1 && found[0].contains("stands on no floor"), "{found:?}");
    }

    #[test]
    fn xtask_depends_on_no_crate_of_the_workspace_not_even_in_tests() {
        let packages = [package("xtask", &[("remotemedia-media", Some("dev"))]), package("remotemedia-media", &[])];
        let found = messages(&packages);
        assert!(found.len() == 1 && found[0].contains("must build alone"), "{found:?}");
    }
}
