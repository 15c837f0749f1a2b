//! Everything about this workspace that is not `cargo build`.
#![forbid(unsafe_code)]

mod bench;
mod ci;
mod demo;
mod features;
mod layers;
mod setup;
mod shell;
mod test;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::workspace::Workspace;

/// Everything about this workspace that is not `cargo build`.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Installs what this machine lacks; does nothing the second time.
    Setup {
        /// What the machine is wanted for.
        #[arg(value_enum, default_value = "build")]
        purpose: setup::Purpose,
    },
    /// Serves a page on which you see and hear yourself come back through a pipeline; ends with Ctrl-C.
    Demo {
        /// No page: two native peers play a whole call by themselves and print what they measured.
        #[arg(long)]
        headless: bool,
        /// Passed on to `remotemedia serve`, or to the headless demo.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs every test: unit, integration, doctests, browsers.
    Test {
        /// Passed on to `cargo test`.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Runs what a change has to pass, and stops at the first failure.
    Ci {
        /// Only these steps: setup, format, layers, deny, clippy, features, docs, test.
        steps: Vec<String>,
    },
    /// Measures in release mode.
    Bench {
        /// The bench to run; without it, all of them.
        name: Option<String>,
        /// One JSON object on the last line of standard output.
        #[arg(long)]
        json: bool,
    },
    /// Checks that the crates keep to their floors and to their rules.
    CheckLayers,
}

fn main() -> ExitCode {
    match run(Arguments::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<()> {
    let workspace = Workspace::load()?;
    match task {
        Task::Setup { purpose } => setup::run(purpose),
        Task::Demo { headless, arguments } => demo::run(&workspace, headless, &arguments),
        Task::Test { arguments } => test::run(&workspace, &arguments),
        Task::Ci { steps } => ci::run(&workspace, &steps),
        Task::Bench { name, json } => bench::run(&workspace, name.as_deref(), json),
        Task::CheckLayers => layers::run(&workspace),
    }
}
