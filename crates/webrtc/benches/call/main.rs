//! `cargo xtask bench call`: what a call costs and how long things take, over loopback, signaling included.
//!
//! Prints a table, and with `--json` one JSON object on the last line. Figures whose process matters (processor share,
//! memory) are taken in a child process of this same program.
//!
//! It fails, after everything was printed, if a figure is beyond what is promised of it.

mod audio;
mod child;
mod connect;
mod data;
mod figure;
mod limits;
mod memory;
mod peers;
mod process;
mod video;

use figure::Report;
use limits::Limits;

type Error = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Error> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    if let Some(at) = args.iter().position(|a| a == "--child") {
        return runtime.block_on(child::run(&args[at + 1..]));
    }
    let json = args.iter().any(|a| a == "--json");
    // What is no option names figures to take; none means all.
    let wanted: Vec<&str> = args.iter().map(String::as_str).filter(|a| !a.starts_with("--")).collect();
    let is_wanted = |name: &str| wanted.is_empty() || wanted.contains(&name);
    let (mut report, mut limits) = (Report::default(), Limits::default());
    runtime.block_on(async {
        if is_wanted("connect_ms") || is_wanted("first_media_ms") {
            connect::measure(&mut report, &mut limits).await?;
        }
        if is_wanted("audio_push_pull_ms") {
            audio::measure(&mut report, &mut limits).await?;
        }
        if is_wanted("video_app_to_app_ms") {
            video::measure_latency(&mut report).await?;
        }
        if is_wanted("sender_core_share") {
            video::measure_sender(&mut report, &mut limits).await?;
        }
        if is_wanted("rss_mb") {
            memory::measure(&mut report, &mut limits).await?;
        }
        if is_wanted("data_channel_mb_s") {
            data::measure(&mut report, &mut limits).await?;
        }
        Ok::<(), Error>(())
    })?;
    report.print_table();
    if json {
        println!("{}", report.to_json());
    }
    limits.check()
}
