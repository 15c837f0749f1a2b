//! The program under test: `remotemedia serve` and `remotemedia call`.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::Value;

use crate::driver::PATIENCE;

/// The bot's name.
pub(crate) const BOT: &str = "remotemedia";

/// A server of its own for one test, with the pipelines `mirror` and `echo`.
pub(crate) struct Serve {
    process: Process,
    pub(crate) signaling_url: String,
    pub(crate) page_url: String,
}

impl Serve {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with further arguments.
    pub(crate) fn start_with(further: &[&str]) -> Self {
        let mirror = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/pipelines/mirror.yaml");
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--json", "--manifest", mirror.to_str().unwrap()];
        let process = Process::start("serve", &[&arguments, further].concat());
        let ready = process.line(PATIENCE).expect("serve ends before it is ready");
        assert_eq!(ready["event"], "ready", "{ready}");
        let url = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self { signaling_url: url("signaling_url"), page_url: url("page_url"), process }
    }

    /// Starts `remotemedia call`, under the name `caller`, to the peer `to`.
    pub(crate) fn call(&self, to: &str, arguments: &[&str]) -> Call {
        let own = ["call", "--signaling", &self.signaling_url, "--peer-id", Call::NAME, "--to", to, "--json"];
        Call(Process::start("call", &[&own, arguments].concat()))
    }

    /// What happened so far that has not been looked at.
    pub(crate) fn events(&self) -> Vec<Value> {
        self.process.lines.try_iter().collect()
    }
}

/// A native participant.
pub(crate) struct Call(Process);

impl Call {
    pub(crate) const NAME: &'static str = "caller";

    /// Waits for its end and answers what it printed, a JSON object a line; the last has the figures.
    pub(crate) fn finish(mut self, within: Duration) -> Vec<Value> {
        let mut lines = Vec::new();
        while let Some(line) = self.0.line(within) {
            lines.push(line);
        }
        let status = self.0.child.wait().unwrap();
        assert!(status.success(), "call ended with {status} after {lines:?}");
        lines
    }
}

/// A child that is killed at the end, with what it said shown if the test failed.
struct Process {
    name: &'static str,
    child: Child,
    lines: mpsc::Receiver<Value>,
    log: Option<thread::JoinHandle<String>>,
}

impl Process {
    fn start(name: &'static str, arguments: &[&str]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_remotemedia"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
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
    fn line(&self, within: Duration) -> Option<Value> {
        match self.lines.recv_timeout(within) {
            Ok(line) => Some(line),
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("{} said nothing for {within:?}", self.name),
        }
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
