/// Where a crate stands. Arrows point down only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Floor {
    /// A crate that ships; it may use what stands on a lower floor.
    Level(u8),
    /// Serves development. It may use every floor; no floor may use it outside its tests.
    Tool,
}

/// What is known of one crate of the workspace.
pub(crate) struct Crate {
    pub(crate) name: &'static str,
    pub(crate) floor: Floor,
    /// Dependencies, of the workspace or from elsewhere, that it must not have although its floor would allow them.
    pub(crate) ignorant_of: &'static [&'static str],
    /// Source files and folders, relative to the crate, that must be free of runtimes, sockets and ambient clocks.
    pub(crate) sans_io: &'static [&'static str],
}

/// Nothing of a runtime, a socket or a peer connection.
const NO_IO: &[&str] = &["tokio", "tokio-util", "axum", "socket2", "rtc", "webrtc"];
const EVERYTHING: &[&str] = &["src"];
const NOTHING: &[&str] = &[];

/// Every crate of the workspace.
pub(crate) const CRATES: &[Crate] = &[
    Crate { name: "remotemedia-media", floor: Floor::Level(0), ignorant_of: NO_IO, sans_io: EVERYTHING },
    Crate { name: "remotemedia-scale", floor: Floor::Level(0), ignorant_of: NO_IO, sans_io: EVERYTHING },
    Crate {
        name: "remotemedia-rtp",
        floor: Floor::Level(1),
        ignorant_of: &["tokio", "tokio-util", "axum", "socket2", "webrtc"],
        sans_io: EVERYTHING,
    },
    Crate { name: "remotemedia-jitter", floor: Floor::Level(1), ignorant_of: NO_IO, sans_io: EVERYTHING },
    Crate { name: "remotemedia-sync", floor: Floor::Level(1), ignorant_of: NO_IO, sans_io: EVERYTHING },
    Crate { name: "remotemedia-congestion", floor: Floor::Level(1), ignorant_of: NO_IO, sans_io: EVERYTHING },
    Crate { name: "remotemedia-resample", floor: Floor::Level(1), ignorant_of: NO_IO, sans_io: EVERYTHING },
    Crate { name: "remotemedia-codecs", floor: Floor::Level(1), ignorant_of: NO_IO, sans_io: EVERYTHING },
    Crate {
        name: "remotemedia-signaling",
        floor: Floor::Level(1),
        ignorant_of: &["rtc", "webrtc"],
        sans_io: &["src/protocol", "src/state"],
    },
    Crate {
        name: "remotemedia-runtime-core",
        floor: Floor::Level(1),
        ignorant_of: &["axum", "socket2", "rtc", "webrtc", "opus", "openh264", "libvpx-native-sys"],
        sans_io: NOTHING,
    },
    Crate { name: "remotemedia-nodes", floor: Floor::Level(2), ignorant_of: &["rtc", "webrtc"], sans_io: NOTHING },
    Crate {
        name: "remotemedia-mesh",
        floor: Floor::Level(2),
        ignorant_of: &["remotemedia-codecs", "remotemedia-runtime-core", "remotemedia-signaling", "axum"],
        sans_io: NOTHING,
    },
    Crate {
        name: "remotemedia-webrtc",
        floor: Floor::Level(3),
        ignorant_of: &["axum", "clap", "rtc", "webrtc"],
        sans_io: NOTHING,
    },
    Crate { name: "remotemedia-cli", floor: Floor::Level(4), ignorant_of: &["rtc", "webrtc"], sans_io: NOTHING },
    Crate {
        name: "remotemedia-netsim",
        floor: Floor::Tool,
        ignorant_of: &["rtc", "webrtc"],
        sans_io: &["src/link", "src/nat"],
    },
    Crate { name: "remotemedia-examples", floor: Floor::Tool, ignorant_of: &["rtc", "webrtc"], sans_io: NOTHING },
    Crate { name: "xtask", floor: Floor::Tool, ignorant_of: &["rtc", "webrtc"], sans_io: NOTHING },
];

/// Arrows that would break the floors and are meant.
pub(crate) const ALLOWED: &[(&str, &str)] = &[("remotemedia-examples", "remotemedia-netsim")];

/// The crate that builds everything else must build when nothing else does.
pub(crate) const STANDS_ALONE: &str = "xtask";

/// The crate whose adapter hides the WebRTC implementation, and may show its types.
pub(crate) const ADAPTER: &str = "remotemedia-mesh";

/// The packages of the WebRTC implementation.
pub(crate) const IMPLEMENTATION: &[&str] = &["rtc", "webrtc"];

/// Folders and files, relative to the workspace, in which `unsafe` may stand: bindings to C, system calls of network
/// namespaces, and counting allocators of benches.
pub(crate) fn may_be_unsafe(path: &str) -> bool {
    path.starts_with("crates/codecs/")
        || path.starts_with("crates/netsim/src/netns")
        || path.split('/').any(|part| part == "benches")
}

pub(crate) fn find(name: &str) -> Option<&'static Crate> {
    CRATES.iter().find(|known| known.name == name)
}
