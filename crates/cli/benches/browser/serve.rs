use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::figure::{Figure, Report};

/// The bot's name.
pub(crate) const BOT: &str = "remotemedia";

const MIRROR: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/pipelines/mirror.yaml");

/// A bot that sends everything back, mirrored and louder if the page asks for that; it ends when this is dropped.
pub(crate) struct Serve {
    child: Child,
    pub(crate) page_url: String,
    signaling_url: String,
}

impl Serve {
    pub(crate) fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_remotemedia"))
            .args(["serve", "--listen", "127.0.0.1:0", "--json", "--manifest", MIRROR])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let ready: Value = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        // Who comes and goes is read, so that the program never waits to say it.
        thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
        let url = |name: &str| ready[name].as_str().unwrap().to_owned();
        Self { child, page_url: url("page_url"), signaling_url: url("signaling_url") }
    }

    /// Processor time of the bot so far, all threads; `None` where the system does not tell as Linux does.
    pub(crate) fn cpu_time(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).ok()?;
        // The second field is the name in parentheses, which may hold spaces: count from behind it.
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
        // Linux counts these in hundredths of a second on every architecture.
        Some(Duration::from_millis((ticks(11)? + ticks(12)?) * 10))
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// `remotemedia call`, with a test card of 1280x720.
pub(crate) struct Caller(Child);

impl Caller {
    pub(crate) const NAME: &str = "caller";

    pub(crate) fn start(serve: &Serve, to: &str, codec: &str) -> Self {
        let whom =
            ["call", "--signaling", &serve.signaling_url, "--peer-id", Self::NAME, "--to", to, "--room", "quiet"];
        let media = ["--size", "1280x720", "--codec", codec, "--json"];
        let mut command = Command::new(env!("CARGO_BIN_EXE_remotemedia"));
        Self(command.args(whom).args(media).stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap())
    }

    /// Waits for its end, which is when the page hangs up, and answers its figures.
    pub(crate) fn finish(self) -> Value {
        // It prints less than a pipe holds.
        let output = self.0.wait_with_output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        serde_json::from_str(text.lines().last().unwrap()).unwrap()
    }
}

/// What a bot without a call costs.
pub(crate) fn measure_idle(report: &mut Report) {
    let serve = Serve::start();
    let (begin, before) = (Instant::now(), serve.cpu_time());
    thread::sleep(Duration::from_secs(5));
    if let Some((after, before)) = serve.cpu_time().zip(before) {
        let share = (after - before).as_secs_f64() / begin.elapsed().as_secs_f64();
        report.add("idle_bot_core_share", Figure::new("cores", vec![share]));
    }
}
