//! The `remotemedia` program.
#![forbid(unsafe_code)]

mod output;
mod shutdown;
mod signal;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing_subscriber::EnvFilter;

/// WebRTC calls, servers and signaling from the command line.
///
/// Data goes to standard output, logs go to standard error (RUST_LOG=debug for more of them). The exit code is 0 for
/// success, 1 for a failure, 2 for a wrong command line.
#[derive(Parser)]
#[command(name = "remotemedia", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run a signaling server.
    Signal(signal::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,remotemedia=info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    let result = match Cli::parse().command {
        Command::Signal(args) => signal::run(args).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remotemedia: {error:#}");
            ExitCode::FAILURE
        }
    }
}
