//! When `remotemedia call` ends, with which exit code, and what becomes of files.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use remotemedia_signaling::{
    client::{Announcement, ClientConfig, SignalingClient},
    protocol::Capability,
};
use serde_json::Value;

fn remotemedia(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remotemedia"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A signaling server on a free port, ended with the test.
struct Signaling {
    child: Child,
    url: String,
}

impl Signaling {
    fn start() -> Self {
        let mut child = remotemedia(&["signal", "--listen", "localhost:0", "--json"]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        Self { child, url: ready["signaling_url"].as_str().unwrap().to_owned() }
    }

    fn call(&self, name: &str, further: &[&str]) -> Command {
        remotemedia(&[&["call", "--signaling", &self.url, "--peer-id", name], further].concat())
    }
}

impl Drop for Signaling {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn refusal(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

/// Two seconds at 16 kHz, silent but for the last quarter of a second.
fn ends_loud(path: &Path) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for n in 0..32_000 {
        let sample = if n < 28_000 { 0.0 } else { (f64::from(n) * 0.2).sin() * 0.4 };
        writer.write_sample((sample * 32_767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
}

#[test]
fn one_file_is_played_to_its_end_and_ends_the_call() {
    let (folder, signaling) = (tempfile::tempdir().unwrap(), Signaling::start());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (voice, heard) = (path("voice.wav"), path("heard.wav"));
    ends_loud(Path::new(&voice));
    let mut bob =
        signaling.call("bob", &["--codec", "VP8", "--record-audio", &heard, "--duration", "60"]).spawn().unwrap();
    // Bob may not be there yet.
    let alice = ["--codec", "vp8", "--to", "bob", "--audio", &voice, "--json"];
    let call = || signaling.call("alice", &alice).output().unwrap();
    let output = (0..50).map(|_| call()).find(|output| output.status.success()).expect("a call with bob");
    let figures: Value = serde_json::from_str(String::from_utf8_lossy(&output.stdout).lines().last().unwrap()).unwrap();
    assert_eq!(figures["peers"]["bob"]["audio"]["frames_sent"], 100, "{figures}");
    assert!(bob.wait().unwrap().success());
    let mut reader = hound::WavReader::open(&heard).unwrap();
    let rate = reader.spec().sample_rate as usize;
    let loud = reader.samples::<i16>().filter(|sample| sample.as_ref().unwrap().unsigned_abs() > 3_000).count();
    // A sine is above a quarter of its peak for five sixths of the time.
    assert!(loud > rate / 7, "{loud} loud samples at {rate} Hz of the last quarter of a second");
}

#[test]
fn nothing_is_recorded_over_what_is_played_or_before_there_is_sound() {
    let (folder, signaling) = (tempfile::tempdir().unwrap(), Signaling::start());
    let voice = folder.path().join("voice.wav");
    ends_loud(&voice);
    let before = fs::read(&voice).unwrap();
    let path = voice.to_str().unwrap();
    let text = refusal(&signaling.call("alice", &["--audio", path, "--record-audio", path]).output().unwrap());
    assert!(text.contains("--record-audio and --audio") && text.contains("into another"), "{text}");
    let output = signaling.call("alice", &["--record-audio", path, "--duration", "0.5"]).output().unwrap();
    assert!(output.status.success(), "nobody has to come");
    assert_eq!(fs::read(&voice).unwrap(), before);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_in_time_is_a_failure() {
    let signaling = Signaling::start();
    let client = SignalingClient::new(ClientConfig::new(&signaling.url, "bob".parse().unwrap())).unwrap();
    client.announce(Announcement::new([Capability::Data])).await.unwrap();
    let call = signaling.call("alice", &["--to", "bob", "--duration", "1"]).output();
    let text = refusal(&call.unwrap());
    assert!(text.contains("bob did not answer") && text.contains("--duration"), "{text}");
    client.leave().await.unwrap();
}

#[test]
fn the_duration_counts_while_the_server_keeps_one_waiting() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    let begin = Instant::now();
    let mut call =
        remotemedia(&["call", "--signaling", &url, "--peer-id", "alice", "--duration", "0.5"]).spawn().unwrap();
    call.wait().unwrap();
    println!("ended after {:.2?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_while_one_waits() {
    let signaling = Signaling::start();
    let mut call = signaling.call("alice", &["--json", "--duration", "60"]).spawn().unwrap();
    let client = SignalingClient::new(ClientConfig::new(&signaling.url, "bob".parse().unwrap())).unwrap();
    let is_there = async || {
        let announced = client.announce(Announcement::new([Capability::Data])).await.unwrap();
        announced.peers.iter().any(|peer| peer.peer_id == "alice")
    };
    while !is_there().await {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    drop(signaling);
    let mut line = String::new();
    BufReader::new(call.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!((&event["event"], &event["connected"]), (&"signaling".into(), &false.into()));
    call.kill().unwrap();
    call.wait().unwrap();
    let mut rest = String::new();
    call.stderr.take().unwrap().read_to_string(&mut rest).unwrap();
    assert!(rest.is_empty(), "{rest}");
}
