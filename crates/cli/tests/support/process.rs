//! Programs that print one JSON object a line.

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// A child that is killed at the end, with what it said shown if the test failed.
pub(crate) struct Process {
    name: &'static str,
    pub(crate) child: Child,
    pub(crate) lines: mpsc::Receiver<Value>,
    log: Option<thread::JoinHandle<String>>,
}

/// How a program ended.
pub(crate) struct Ended {
    /// `None` if a signal ended it.
    pub(crate) code: Option<i32>,
    /// What it printed since it was last looked at.
    pub(crate) lines: Vec<Value>,
    /// What it wrote to standard error.
    pub(crate) log: String,
}

/// A file of the examples.
pub(crate) fn example(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(name)
}

/// The pipeline of the demo that swaps left and right and doubles the loudness.
pub(crate) fn mirror() -> PathBuf {
    example("pipelines/mirror.yaml")
}

/// How long anything may take that has no bound of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server with the bot on a free port, and what it said when it was ready.
pub(crate) fn serve(arguments: &[&str]) -> (Process, Value) {
    serve_at("127.0.0.1:0", arguments)
}

/// The same at an address.
pub(crate) fn serve_at(address: &str, arguments: &[&str]) -> (Process, Value) {
    let own = ["serve", "--listen", address, "--json"];
    let process = Process::remotemedia("serve", &[&own, arguments].concat());
    let ready = process.event("ready", PATIENCE);
    (process, ready)
}

impl Process {
    /// The program under test.
    pub(crate) fn remotemedia(name: &'static str, arguments: &[&str]) -> Self {
        Self::start(name, Command::new(env!("CARGO_BIN_EXE_remotemedia")).args(arguments))
    }

    pub(crate) fn start(name: &'static str, command: &mut Command) -> Self {
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"));
        let (output, mut errors) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).unwrap_or(Value::String(line));
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        let log = thread::spawn(move || {
            let mut log = Vec::new();
            errors.read_to_end(&mut log).ok();
            String::from_utf8_lossy(&log).into_owned()
        });
        Self { name, child, lines, log: Some(log) }
    }

    /// The next line of its output; `None` when there are no more.
    pub(crate) fn line(&self, within: Duration) -> Option<Value> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{} said nothing for {within:?}", self.name),
        }
    }

    /// The next event of that name; others before it are skipped.
    pub(crate) fn event(&self, name: &str, within: Duration) -> Value {
        let limit = Instant::now() + within;
        loop {
            let line = self.line(limit.saturating_duration_since(Instant::now()));
            let line = line.unwrap_or_else(|| panic!("{} ended before {name}", self.name));
            if line["event"] == name {
                return line;
            }
        }
    }

    /// Waits for its end, which has to be a success, and answers what it printed since it was last looked at.
    pub(crate) fn finish(self, within: Duration) -> Vec<Value> {
        let name = self.name;
        let Ended { code, lines, log } = self.end(within);
        assert_eq!(code, Some(0), "{name} failed after {lines:?} and logged:\n{log}");
        lines
    }

    /// Waits for its end, whether or not it succeeds.
    pub(crate) fn end(mut self, within: Duration) -> Ended {
        let limit = Instant::now() + within;
        let mut lines = Vec::new();
        while let Some(line) = self.line(limit.saturating_duration_since(Instant::now())) {
            lines.push(line);
        }
        let code = self.child.wait().unwrap().code();
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        Ended { code, lines, log }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        if thread::panicking() {
            let lines: Vec<String> = self.lines.try_iter().map(|line| line.to_string()).collect();
            eprintln!("--- {} printed:\n{}\n--- and logged:\n{log}", self.name, lines.join("\n"));
        }
    }
}
