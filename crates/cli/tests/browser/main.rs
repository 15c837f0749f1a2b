//! Real browsers with the page of `remotemedia serve`: against its bot, against `remotemedia call`, and against each other.
//!
//! `cargo xtask setup test` installs what this needs. The tests take turns, since browsers are heavy, and print what they
//! measured (`cargo test -p remotemedia-cli --test browser -- --nocapture`). `REMOTEMEDIA_ROOM_SECS` makes the test of a full
//! room longer, and with `REMOTEMEDIA_QUIET=1` the tests hold what is promised for a machine that has no other work.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

/// A test named for each browser and codec, which calls the file's `check`.
macro_rules! cases {
    ($($name:ident($browser:ident, $codec:literal);)*) => {$(
        #[test]
        fn $name() {
            check(crate::driver::Kind::$browser, $codec);
        }
    )*};
}

/// The same for each codec that each browser has.
macro_rules! in_each_codec {
    () => {
        cases! {
            chromium_in_vp8(Chromium, "VP8");
            chromium_in_vp9(Chromium, "VP9");
            chromium_in_h264(Chromium, "H264");
            firefox_in_vp8(Firefox, "VP8");
            firefox_in_vp9(Firefox, "VP9");
        }
    };
}

mod driver;
mod page;
mod picture;
mod serve;
mod sound;

mod autoplay;
mod call_calls_page;
mod codec_menu;
mod conference;
mod controls;
mod figures;
mod h264_only_firefox;
mod half_a_call;
mod heard;
mod ice_failed;
mod ice_restart;
mod keyboard;
mod killed;
mod knobs;
mod layout;
mod loss;
mod menu;
mod name_taken;
mod no_common_codec;
mod not_joined;
mod outputs;
mod page_calls_bot;
mod peer_busy;
mod peer_gone;
mod reload;
mod room;
mod room_full;
mod server_gone;
mod video_added;
mod while_called;

use std::{
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

impl driver::Browser {
    /// The one that all tests use that do it no harm.
    pub(crate) fn shared(kind: driver::Kind) -> &'static Self {
        static CHROMIUM: OnceLock<driver::Browser> = OnceLock::new();
        static FIREFOX: OnceLock<driver::Browser> = OnceLock::new();
        let browser = match kind {
            driver::Kind::Chromium => &CHROMIUM,
            driver::Kind::Firefox => &FIREFOX,
        };
        browser.get_or_init(|| Self::launch(kind))
    }
}

/// Whether whoever started the tests says that the machine has no other work.
fn is_quiet() -> bool {
    std::env::var_os("REMOTEMEDIA_QUIET").is_some_and(|value| value == "1")
}

/// How long something that is promised to take at most `promised` may take here: a machine that has other work delays
/// everything, so it has so many `times` that unless it is known to be quiet.
fn within_reason(promised: Duration, times: u32) -> Duration {
    if is_quiet() { promised } else { promised * times }
}

/// Until the guard is dropped no other test of this binary runs.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
