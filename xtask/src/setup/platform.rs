use std::{fs, process::Command};

use super::tools::{Packages, Tool};
use crate::shell;

/// Where programs come from on this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Platform {
    Debian,
    Ubuntu,
    Fedora,
    Arch,
    Homebrew,
    Unknown,
}

impl Platform {
    pub(crate) fn detect() -> Self {
        if cfg!(target_os = "macos") {
            return Self::Homebrew;
        }
        Self::from_os_release(&fs::read_to_string("/etc/os-release").unwrap_or_default())
    }

    /// Judges by `ID`, then by each word of `ID_LIKE`.
    fn from_os_release(text: &str) -> Self {
        let field = |name: &str| {
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            value.unwrap_or_default().trim_matches('"').to_owned()
        };
        let names = format!("{} {}", field("ID"), field("ID_LIKE"));
        let known = names.split_whitespace().find_map(|name| match name {
            "debian" => Some(Self::Debian),
            "ubuntu" => Some(Self::Ubuntu),
            "fedora" | "rhel" => Some(Self::Fedora),
            "arch" => Some(Self::Arch),
            _ => None,
        });
        known.unwrap_or(Self::Unknown)
    }

    /// Whether this program may install by itself: root, where that has been tested.
    pub(crate) fn may_install(self, root: bool) -> bool {
        matches!(self, Self::Debian | Self::Ubuntu) && root
    }

    /// The commands that install `tools`; `None` where the package manager is unknown or lacks one of them.
    pub(crate) fn install_commands(self, tools: &[&Tool]) -> Option<Vec<Command>> {
        let names: Vec<&str> = tools.iter().map(|tool| self.package(&tool.packages)).collect::<Option<_>>()?;
        let packages = names.iter().flat_map(|names| names.split(' '));
        let manager = |words: &[&str]| {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]);
            command
        };
        let mut install = match self {
            Self::Debian | Self::Ubuntu => manager(&["apt-get", "install", "--yes", "--no-install-recommends"]),
            Self::Fedora => manager(&["dnf", "install", "--assumeyes"]),
            Self::Arch => manager(&["pacman", "-S", "--needed"]),
            Self::Homebrew => manager(&["brew", "install"]),
            Self::Unknown => return None,
        };
        install.args(packages);
        Some(match self {
            Self::Debian | Self::Ubuntu => vec![manager(&["apt-get", "update"]), install],
            _ => vec![install],
        })
    }

    /// What a person pastes into a shell to run `commands`.
    pub(crate) fn as_one_line(self, root: bool, commands: &[Command]) -> String {
        let prefix = if self == Self::Homebrew || root { "" } else { "sudo " };
        commands.iter().map(|command| format!("{prefix}{}", shell::line(command))).collect::<Vec<_>>().join(" && ")
    }

    fn package(self, packages: &Packages) -> Option<&'static str> {
        let name = match self {
            Self::Debian => packages.debian,
            Self::Ubuntu => packages.ubuntu,
            Self::Fedora => packages.fedora,
            Self::Arch => packages.arch,
            Self::Homebrew => packages.homebrew,
            Self::Unknown => "",
        };
        (!name.is_empty()).then_some(name)
    }
}

pub(crate) fn is_root() -> bool {
    shell::output(Command::new("id").arg("-u")).is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::{super::tools::TOOLS, *};

    fn one_line(platform: Platform, names: &[&str]) -> Option<String> {
        let tools: Vec<&Tool> = TOOLS.iter().filter(|tool| names.contains(&tool.name)).collect();
        assert_eq!(tools.len(), names.len());
        Some(platform.as_one_line(true, &platform.install_commands(&tools)?))
    }

    #[test]
    fn distributions_and_their_children_are_told_apart() {
        assert_eq!(Platform::from_os_release("NAME=\"Debian\"\nID=debian\n"), Platform::Debian);
        assert_eq!(Platform::from_os_release("ID=ubuntu\nID_LIKE=debian"), Platform::Ubuntu);
        assert_eq!(Platform::from_os_release("ID=linuxmint\nID_LIKE=\"ubuntu debian\""), Platform::Ubuntu);
        assert_eq!(Platform::from_os_release("ID=raspbian\nID_LIKE=debian"), Platform::Debian);
        assert_eq!(Platform::from_os_release("ID=\"rocky\"\nID_LIKE=\"rhel centos fedora\""), Platform::Fedora);
        assert_eq!(Platform::from_os_release("ID=nixos"), Platform::Unknown);
        assert_eq!(Platform::from_os_release(""), Platform::Unknown);
    }

    #[test]
    fn one_command_installs_everything_that_is_missing() {
        assert_eq!(
            one_line(Platform::Debian, &["libvpx", "iproute2 and nftables"]).as_deref(),
            Some("apt-get update && apt-get install --yes --no-install-recommends libvpx-dev iproute2 nftables")
        );
        assert_eq!(one_line(Platform::Homebrew, &["libvpx", "nasm"]).as_deref(), Some("brew install libvpx nasm"));
    }

    #[test]
    fn what_cannot_be_installed_has_no_command() {
        assert_eq!(one_line(Platform::Unknown, &["nasm"]), None);
        assert_eq!(one_line(Platform::Homebrew, &["iproute2 and nftables"]), None);
    }
}
