//! Programs that print one JSON object a line.

use std::{
    env,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long anything may take that has no bound of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A child that is killed at the end, with what it said shown if the test failed.
pub(crate) struct Process {
    name: &'static str,
    child: Child,
    lines: mpsc::Receiver<Value>,
    log: Option<thread::JoinHandle<String>>,
}

impl Process {
    /// The program under test.
    pub(crate) fn remotemedia(name: &'static str, arguments: &[&str]) -> Self {
        Self::start(name, Command::new(env!("CARGO_BIN_EXE_remotemedia")).args(arguments))
    }

    /// The peer in Python.
    pub(crate) fn python(arguments: &[&str]) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aiortc/peer.py");
        Self::start("python", Command::new(interpreter()).arg(program).args(arguments))
    }

    fn start(name: &'static str, command: &mut Command) -> Self {
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

    /// The next event of that name; others before it are skipped.
    pub(crate) fn event(&self, name: &str, within: Duration) -> Value {
        let limit = Instant::now() + within;
        loop {
            match self.lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                Ok(line) if line["event"] == name => return line,
                Ok(_) => {}
                Err(error) => panic!("no {name} from {} within {within:?}: {error}", self.name),
            }
        }
    }

    /// Waits for its end and answers what it printed since it was last looked at.
    pub(crate) fn finish(mut self, within: Duration) -> Vec<Value> {
        let limit = Instant::now() + within;
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
                Ok(line) => lines.push(line),
                Err(mpsc::RecvTimeoutError::Disconnected) => break,
                Err(mpsc::RecvTimeoutError::Timeout) => panic!("{} did not end within {within:?}", self.name),
            }
        }
        let status = self.child.wait().unwrap();
        assert!(status.success(), "{} ended with {status} after {lines:?}", self.name);
        lines
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

/// The Python that has aiortc: `REMOTEMEDIA_AIORTC_PYTHON`, or where `cargo xtask setup test` puts it.
fn interpreter() -> PathBuf {
    if let Some(python) = env::var_os("REMOTEMEDIA_AIORTC_PYTHON") {
        return python.into();
    }
    let pinned = include_str!("requirements.txt").lines().find_map(|line| line.strip_prefix("aiortc=="));
    let folder = format!("remotemedia-xtask/aiortc-{}", pinned.unwrap());
    let absolute = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let base = absolute("XDG_CACHE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".cache")));
    let python = base.map(|base| base.join(folder).join("bin/python")).filter(|python| python.is_file());
    python.expect("aiortc is not installed: run `cargo xtask setup test`")
}
