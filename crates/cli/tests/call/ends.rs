//! When it ends, with which exit code, and what becomes of files.

use std::{
    fs,
    net::TcpListener,
    path::Path,
    time::{Duration, Instant},
};

use crate::{
    process::{PATIENCE, Process},
    signaling::{Signaling, meets},
};

/// Two seconds at 16 kHz, silent but for the last quarter of a second.
pub(crate) fn ends_loud(path: &Path) {
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
    let bob = signaling.call("bob", &["--codec", "VP8", "--record-audio", &heard, "--duration", "60", "--json"]);
    // Bob may not be there yet.
    let alice = ["--codec", "vp8", "--to", "bob", "--audio", &voice, "--json"];
    let call = || signaling.call("alice", &alice).end(PATIENCE);
    let ended = (0..50).map(|_| call()).find(|ended| ended.code == Some(0)).expect("a call with bob");
    let figures = ended.lines.last().unwrap();
    assert_eq!(figures["peers"]["bob"]["audio"]["frames_sent"], 100, "{figures}");
    bob.finish(PATIENCE);
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
    let refused = signaling.call("alice", &["--audio", path, "--record-audio", path]).end(PATIENCE);
    assert_eq!(refused.code, Some(2), "{}", refused.log);
    assert!(
        refused.log.contains("--record-audio and --audio") && refused.log.contains("into another"),
        "{}",
        refused.log
    );
    // Nobody has to come.
    signaling.call("alice", &["--record-audio", path, "--duration", "0.5"]).finish(PATIENCE);
    assert_eq!(fs::read(&voice).unwrap(), before);
}

#[tokio::test]
async fn a_peer_that_does_not_answer_in_time_is_a_failure() {
    let signaling = Signaling::start();
    let client = signaling.client("bob").await;
    let ended = signaling.call("alice", &["--to", "bob", "--duration", "1"]).end(PATIENCE);
    assert_eq!(ended.code, Some(1), "{}", ended.log);
    assert!(ended.log.contains("bob did not answer") && ended.log.contains("--duration"), "{}", ended.log);
    client.leave().await.unwrap();
}

#[test]
fn the_duration_counts_while_the_server_keeps_one_waiting() {
    // It takes connections and says nothing.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}", silent.local_addr().unwrap());
    let begin = Instant::now();
    let call = ["call", "--signaling", &url, "--peer-id", "alice", "--duration", "0.5"];
    Process::remotemedia("call", &call).end(PATIENCE);
    println!("ended after {:.2?}", begin.elapsed());
    assert!(begin.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_server_that_goes_away_is_told_while_one_waits() {
    let signaling = Signaling::start();
    let mut call = signaling.call("alice", &["--json", "--duration", "60"]);
    meets(&signaling.client("bob").await, "alice").await;
    drop(signaling);
    let event = call.line(PATIENCE).unwrap();
    assert_eq!((&event["event"], &event["connected"]), (&"signaling".into(), &false.into()));
    call.child.kill().unwrap();
    let log = call.end(PATIENCE).log;
    assert!(log.is_empty(), "{log}");
}
