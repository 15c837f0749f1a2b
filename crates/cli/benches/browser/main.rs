//! `cargo xtask bench browser`: browsers send 1280x720 to the bot of `remotemedia serve`, which decodes it, mirrors it, encodes it
//! and sends it back, and `remotemedia call` sends as much to a page and gets as much. `cargo xtask setup test` installs what this
//! needs.
//!
//! Fails, after it has printed everything, if pictures did not come in the codec that was asked for and in that size for most of
//! the time, or if pictures, sound or messages did not come back as they should. Prints a table, and with `--json` one JSON
//! object on the last line. Arguments such as `chromium` or `firefox_vp8` name the cases to measure; without, all are.
#![allow(clippy::unwrap_used, reason = "a bench that cannot measure ends, and says where")]

mod call;
#[path = "../../tests/browser/driver.rs"]
mod driver;
#[path = "../../../webrtc/benches/call/figure.rs"]
mod figure;
mod serve;

use std::process::ExitCode;

use driver::Kind::{Chromium, Firefox};
use figure::Report;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    // What is no option names cases to measure; none means all.
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let mut report = Report::default();
    serve::measure_idle(&mut report);
    let mut faults = Vec::new();
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
            faults.extend(call::page_calls_bot(&mut report, &case, kind, codec));
            faults.extend(call::call_calls_page(&mut report, &format!("{case}_called"), kind, codec));
        }
    }
    report.print_table();
    if arguments.iter().any(|argument| argument == "--json") {
        println!("{}", report.to_json());
    }
    for fault in &faults {
        eprintln!("not as it should be: {fault}");
    }
    if faults.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
