//! The `remotemedia` program.
#![forbid(unsafe_code)]

mod arguments;
mod call;
mod failure;
mod figures;
mod output;
mod serve;
mod shutdown;
mod signal;

use std::{io::IsTerminal, process::ExitCode};

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// WebRTC calls, servers and signaling from the command line.
///
/// Data goes to standard output, logs go to standard error (RUST_LOG=debug for more of them). The exit code is 0 for
/// success, 1 for a failure, 2 for a wrong command line.
///
/// What failed is told on standard error; with --json it is the last line of standard output, {"event":"error","error":"…"}.
#[derive(Parser)]
#[command(name = "remotemedia", version, max_term_width = 100)]
#[command(after_help = "Examples:\n  \
    remotemedia serve\n  \
    remotemedia call --peer-id alice --to remotemedia --duration 10\n  \
    remotemedia call --help")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Serve(serve::Args),
    Call(call::Args),
    Signal(signal::Args),
}

/// Warnings, and what this program has to say. The WebRTC stack warns of the ordinary: of checks before there are candidates,
/// of a server name that WebRTC does not use.
const LOGGED: &str = "warn,remotemedia=info,rtc=error,webrtc=error";

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(LOGGED));
    let colours = std::io::stderr().is_terminal();
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(colours).init();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return failure::refuse(&error),
    };
    let (json, result) = match cli.command {
        Command::Serve(args) => (args.json, serve::run(args).await),
        Command::Call(args) => (args.json, call::run(args).await),
        Command::Signal(args) => (args.json, signal::run(args).await),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failure::tell(&error, json),
    }
}
