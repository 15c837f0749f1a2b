//! `cargo xtask bench browser`: browsers send 1280x720 to the bot of `remotemedia serve`, which decodes it, encodes it and
//! sends it back. `cargo xtask setup test` installs what this needs.
//!
//! Prints a table, and with `--json` one JSON object on the last line. Arguments such as `chromium` or `firefox_vp8` name the
//! cases to measure; without, all are.
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure ends, and says where")]

mod call;
#[path = "../../tests/browser/driver.rs"]
mod driver;
#[path = "../../../webrtc/benches/call/figure.rs"]
mod figure;
mod serve;

use driver::Kind::{Chromium, Firefox};
use figure::Report;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // What is no option names cases to measure; none means all.
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let mut report = Report::default();
    serve::measure_idle(&mut report);
    for (kind, codec) in [
        (Chromium, "vp8"),
        (Chromium, "vp9"),
        (Chromium, "h264"),
        // Firefox downloads its H.264 after its first start.
        (Firefox, "vp8"),
        (Firefox, "vp9"),
    ] {
        let case = format!("{kind:?}_{codec}").to_lowercase();
        if wanted.is_empty() || wanted.iter().any(|name| case.starts_with(name.as_str())) {
            call::measure(&mut report, &case, kind, codec);
        }
    }
    report.print_table();
    if arguments.iter().any(|argument| argument == "--json") {
        println!("{}", report.to_json());
    }
}
