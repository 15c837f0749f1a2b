//! Browsers, driven by a program for Node.js: `driver/driver.mjs` says what it takes.

use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{ChildStdin, ChildStdout, Command, Stdio},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicU64, Ordering},
        mpsc,
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};

/// How long anything may take that has no bound of its own.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A browser that is tested against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Chromium,
    Firefox,
}

/// A running browser. It ends with this process at the latest.
pub(crate) struct Browser {
    handle: Value,
}

impl Browser {
    /// One of one's own.
    pub(crate) fn launch(kind: Kind) -> Self {
        Self::launch_with(kind, json!({}))
    }

    /// The same with options of the driver's command `launch`.
    pub(crate) fn launch_with(kind: Kind, mut options: Value) -> Self {
        let name = match kind {
            Kind::Chromium => "chromium",
            Kind::Firefox => "firefox",
        };
        (options["command"], options["browser"]) = ("launch".into(), name.into());
        let started = call(options, 2 * PATIENCE).unwrap();
        println!("{} (process {})", started["version"].as_str().unwrap(), started["pid"]);
        Self { handle: started["browser"].clone() }
    }

    /// Opens a page, in a window and with a storage of its own, and answers its handle.
    pub(crate) fn open(&self, url: &str, script: &str) -> Value {
        let command = json!({"command": "open", "browser": self.handle, "url": url, "script": script});
        call(command, PATIENCE).unwrap()["page"].clone()
    }

    /// Ends all its processes at once; nobody is told.
    pub(crate) fn kill(self) {
        call(json!({"command": "kill_browser", "browser": self.handle}), PATIENCE).unwrap();
    }
}

/// Has the driver carry out a command.
pub(crate) fn call(command: Value, timeout: Duration) -> Result<Value, String> {
    static DRIVER: OnceLock<Driver> = OnceLock::new();
    DRIVER.get_or_init(Driver::start).call(command, timeout)
}

/// What is wanted by whom.
type Waiting = Arc<Mutex<HashMap<u64, mpsc::Sender<Result<Value, String>>>>>;

/// The running program; it ends when its input does, which is with this process.
struct Driver {
    input: Mutex<ChildStdin>,
    waiting: Waiting,
    next: AtomicU64,
}

impl Driver {
    fn start() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser/driver");
        assert!(
            folder.join("node_modules").is_dir(),
            "the browsers' driver is not installed: run `cargo xtask setup test`"
        );
        let mut child = Command::new("node")
            .arg(folder.join("driver.mjs"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("node cannot be started ({error}): run `cargo xtask setup test`"));
        let waiting = Waiting::default();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        thread::spawn({
            let waiting = Arc::clone(&waiting);
            move || {
                deliver(output, &waiting);
                child.wait().ok();
            }
        });
        Self { input: Mutex::new(input), waiting, next: AtomicU64::new(1) }
    }

    fn call(&self, mut command: Value, timeout: Duration) -> Result<Value, String> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        command["id"] = id.into();
        let (answer, answered) = mpsc::channel();
        self.waiting.lock().unwrap().insert(id, answer);
        writeln!(self.input.lock().unwrap(), "{command}").map_err(|error| format!("the driver is gone: {error}"))?;
        answered.recv_timeout(timeout).unwrap_or_else(|problem| {
            self.waiting.lock().unwrap().remove(&id);
            Err(match problem {
                mpsc::RecvTimeoutError::Timeout => format!("no answer within {timeout:?} to {command}"),
                mpsc::RecvTimeoutError::Disconnected => format!("the driver ended before it answered {command}"),
            })
        })
    }
}

/// Hands answers out until the driver ends, and then lets everybody who waits know.
fn deliver(output: ChildStdout, waiting: &Waiting) {
    for line in BufReader::new(output).lines().map_while(Result::ok) {
        let Ok(mut answer) = serde_json::from_str::<Value>(&line) else {
            eprintln!("driver: {line}");
            continue;
        };
        let asked = answer["id"].as_u64().and_then(|id| waiting.lock().unwrap().remove(&id));
        let result = match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["ok"].take()),
        };
        // Who gave up waiting is not told.
        asked.map(|asked| asked.send(result));
    }
    waiting.lock().unwrap().clear();
}
