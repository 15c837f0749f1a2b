use std::process::{Command, Stdio};

use super::Purpose;
use crate::shell;

/// Something that the workspace needs and cargo does not bring.
pub(crate) struct Tool {
    pub(crate) name: &'static str,
    /// The first purpose that needs it; those after it in [`Purpose`] need it too.
    pub(crate) purpose: Purpose,
    /// Why.
    pub(crate) reason: &'static str,
    probe: Probe,
    pub(crate) packages: Packages,
}

/// What the package is called. An empty name: not to be had there.
pub(crate) struct Packages {
    pub(crate) debian: &'static str,
    pub(crate) ubuntu: &'static str,
    pub(crate) fedora: &'static str,
    pub(crate) arch: &'static str,
    pub(crate) homebrew: &'static str,
}

/// How to see that a tool is there.
enum Probe {
    /// All of these groups of programs, of each at least one.
    Programs(&'static [&'static [&'static str]]),
    /// A library that pkg-config knows.
    Library(&'static str),
    /// Node.js of this major version or a later one, and npm.
    Node(u32),
}

impl Tool {
    pub(crate) fn is_present(&self) -> bool {
        match self.probe {
            Probe::Programs(groups) => {
                groups.iter().all(|group| group.iter().any(|program| shell::which(program).is_some()))
            }
            Probe::Library(library) => Command::new("pkg-config")
                .args(["--exists", library])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok_and(|status| status.success()),
            Probe::Node(least) => {
                let version = shell::output(Command::new("node").arg("--version")).ok();
                shell::which("npm").is_some()
                    && version.and_then(|text| major(&text)).is_some_and(|major| major >= least)
            }
        }
    }
}

/// The first number of a version such as `v20.1.0`.
fn major(version: &str) -> Option<u32> {
    version.trim().trim_start_matches('v').split('.').next()?.parse().ok()
}

const fn packages(
    debian: &'static str,
    ubuntu: &'static str,
    fedora: &'static str,
    arch: &'static str,
    homebrew: &'static str,
) -> Packages {
    Packages { debian, ubuntu, fedora, arch, homebrew }
}

/// Everything, in the order in which it is named to a person.
pub(crate) const TOOLS: &[Tool] = &[
    Tool {
        name: "a C and C++ compiler",
        purpose: Purpose::Build,
        reason: "Opus and OpenH264 are compiled from source",
        probe: Probe::Programs(&[&["cc"], &["c++"], &["make"]]),
        packages: packages("build-essential", "build-essential", "gcc-c++ make", "base-devel", "gcc"),
    },
    Tool {
        name: "cmake",
        purpose: Purpose::Build,
        reason: "Opus is built with it",
        probe: Probe::Programs(&[&["cmake"]]),
        packages: packages("cmake", "cmake", "cmake", "cmake", "cmake"),
    },
    Tool {
        name: "pkg-config",
        purpose: Purpose::Build,
        reason: "libvpx is found with it",
        probe: Probe::Programs(&[&["pkg-config"]]),
        packages: packages("pkg-config", "pkg-config", "pkgconf-pkg-config", "pkgconf", "pkgconf"),
    },
    Tool {
        name: "libvpx",
        purpose: Purpose::Build,
        reason: "VP8 and VP9; the feature `vpx` switches it off",
        probe: Probe::Library("vpx"),
        packages: packages("libvpx-dev", "libvpx-dev", "libvpx-devel", "libvpx", "libvpx"),
    },
    Tool {
        name: "nasm",
        purpose: Purpose::Build,
        reason: "OpenH264 is built with its assembly then; without, encoding takes about 1.7 times as long",
        probe: Probe::Programs(&[&["nasm"]]),
        packages: packages("nasm", "nasm", "nasm", "nasm", "nasm"),
    },
    Tool {
        name: "Chromium",
        purpose: Purpose::Test,
        reason: "calls are tested against it",
        probe: Probe::Programs(&[&["chromium", "chromium-browser", "google-chrome"]]),
        packages: packages("chromium", "chromium-browser", "chromium", "chromium", ""),
    },
    Tool {
        name: "Firefox",
        purpose: Purpose::Test,
        reason: "calls are tested against it",
        probe: Probe::Programs(&[&["firefox-esr", "firefox"]]),
        packages: packages("firefox-esr", "firefox", "firefox", "firefox", ""),
    },
    Tool {
        name: "coturn",
        purpose: Purpose::Test,
        reason: "the STUN and TURN server of the tests",
        probe: Probe::Programs(&[&["turnserver"]]),
        packages: packages("coturn", "coturn", "coturn", "coturn", "coturn"),
    },
    Tool {
        name: "nats-server",
        purpose: Purpose::Test,
        reason: "the message broker of the tests",
        probe: Probe::Programs(&[&["nats-server"]]),
        packages: packages("nats-server", "nats-server", "nats-server", "nats-server", "nats-server"),
    },
    Tool {
        name: "ffmpeg",
        purpose: Purpose::Test,
        reason: "an independent decoder to compare with",
        probe: Probe::Programs(&[&["ffmpeg"]]),
        packages: packages("ffmpeg", "ffmpeg", "ffmpeg-free", "ffmpeg", "ffmpeg"),
    },
    Tool {
        name: "iproute2 and nftables",
        purpose: Purpose::Test,
        reason: "network namespaces and address translation",
        probe: Probe::Programs(&[&["ip"], &["nft"]]),
        packages: packages("iproute2 nftables", "iproute2 nftables", "iproute nftables", "iproute2 nftables", ""),
    },
    Tool {
        name: "Node.js 18 with npm",
        purpose: Purpose::Test,
        reason: "drives the browsers",
        probe: Probe::Node(18),
        packages: packages("nodejs npm", "nodejs npm", "nodejs npm", "nodejs npm", "node"),
    },
    Tool {
        name: "PulseAudio",
        purpose: Purpose::Test,
        reason: "Firefox plays to it where there is no sound card, and makes no sound without",
        probe: Probe::Programs(&[&["pulseaudio"]]),
        packages: packages("pulseaudio", "pulseaudio", "pulseaudio", "pulseaudio", "pulseaudio"),
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(probe: Probe) -> Tool {
        Tool { name: "a", purpose: Purpose::Build, reason: "", probe, packages: packages("", "", "", "", "") }
    }

    #[test]
    fn a_tool_is_present_when_each_group_has_one_of_its_programs() {
        assert!(tool(Probe::Programs(&[&["no-such-program", "sh"], &["ls"]])).is_present());
        assert!(!tool(Probe::Programs(&[&["sh"], &["no-such-program"]])).is_present());
    }

    #[test]
    fn a_library_nobody_installed_is_absent() {
        assert!(!tool(Probe::Library("no-such-library-anywhere")).is_present());
    }

    #[test]
    fn versions_are_told_by_their_first_number() {
        assert_eq!(major("v20.1.0\n"), Some(20));
        assert_eq!(major("18.0"), Some(18));
        assert_eq!(major("nightly"), None);
    }

    #[test]
    fn what_building_needs_testing_needs_too() {
        assert!(Purpose::Build < Purpose::Bench && Purpose::Bench < Purpose::Test && Purpose::Test < Purpose::Ci);
        assert!(TOOLS.iter().all(|tool| !tool.packages.debian.is_empty()));
    }
}
