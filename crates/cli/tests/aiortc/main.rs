//! A peer that is not of this project, made of aiortc: it calls the bot of `remotemedia serve`, and `remotemedia call` calls it.
//!
//! Such a peer has no control channel, cuts no message into chunks, and describes itself with all of its candidates at once.
//! `cargo xtask setup test` installs what it needs.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod process;

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use self::process::{PATIENCE, Process, mirror, python, serve};

/// In Y, Cb and Cr, what both sides send: red and green above, blue and yellow below.
const TEST_PICTURE: [[f64; 3]; 4] =
    [[81.0, 98.0, 218.0], [116.0, 88.0, 65.0], [76.0, 205.0, 110.0], [195.0, 43.0, 143.0]];

/// How far a colour may be off in each of the three; of any two of the four colours, one is off by twice that.
const TOLERANCE: f64 = 20.0;

#[test]
fn a_peer_in_vp8_gets_itself_back_from_the_bot_mirrored_and_louder() {
    calls_the_bot("VP8", &[]);
}

#[test]
fn a_peer_in_h264_gets_itself_back_from_the_bot_mirrored_and_louder() {
    calls_the_bot("H264", &[]);
}

#[test]
fn a_peer_that_takes_no_candidates_later_calls_the_bot() {
    calls_the_bot("VP8", &["--no-trickle"]);
}

#[test]
fn a_peer_is_called_in_vp8() {
    is_called(&["--codec", "vp8"], "VP8", &[]);
}

#[test]
fn a_peer_that_takes_no_candidates_later_is_called() {
    is_called(&["--codec", "vp8"], "VP8", &["--no-trickle"]);
}

#[test]
fn a_peer_is_called_in_h264() {
    is_called(&["--codec", "h264"], "H264", &[]);
}

#[test]
fn a_peer_without_vp9_is_called_in_vp8_if_the_caller_prefers_vp9() {
    is_called(&["--codec", "vp9"], "VP8", &[]);
}

fn calls_the_bot(codec: &str, further: &[&str]) {
    let _turn = turn();
    let (serve, signaling) = mirroring();
    let call = ["offer", "--to", "remotemedia", "--codec", codec, "--seconds", "5", "--expect-echo"];
    let python = python(&[&call[..], &["--signaling", &signaling], further].concat());
    python.event("joined", PATIENCE);
    assert_eq!(serve.event("peer_connected", PATIENCE)["peer"], "python");
    python.event("leaving", PATIENCE);
    let left = Instant::now();
    let gone = serve.event("peer_disconnected", Duration::from_secs(3));
    let noticed = left.elapsed();
    let figures = python.finish(PATIENCE).pop().unwrap();
    println!("{codec}: {figures}, its goodbye noticed after {noticed:.0?}");
    assert_eq!((&gone["peer"], &gone["reason"]), (&json!("python"), &json!("user_requested")));
    let [red, green, blue, yellow] = TEST_PICTURE;
    saw(&figures, [green, red, yellow, blue]);
    // Sent with an amplitude of 0.2; the pipeline doubles it.
    heard(&figures, 0.4);
    assert_eq!((&figures["text_equal"], &figures["binary_equal"]), (&json!(true), &json!(true)));
}

fn is_called(arguments: &[&str], codec: &str, further: &[&str]) {
    let _turn = turn();
    let (_serve, signaling) = mirroring();
    // A room without the bot.
    let room = ["--signaling", &signaling, "--room", "quiet"];
    // Long enough for the caller to end the call.
    let python = python(&[&["answer", "--seconds", "60"], &room[..], further].concat());
    python.event("joined", PATIENCE);
    let call =
        ["call", "--peer-id", "caller", "--to", "python", "--duration", "5", "--message", "hello, python", "--json"];
    let call = Process::remotemedia("call", &[&call, &room[..], arguments].concat());
    let lines = call.finish(PATIENCE);
    let told = python.finish(PATIENCE).pop().unwrap();
    let figures = lines.last().unwrap();
    println!("{codec}: the caller {figures}, the peer {told}");
    saw(&told, TEST_PICTURE);
    heard(&told, 0.25);
    assert_eq!(told["size"], json!([640, 360]));
    assert_eq!(told["texts"], json!(["hello, python"]));
    assert_eq!(told["ended_by_peer"], true, "the caller's goodbye did not arrive");
    let figures = &figures["peers"]["python"];
    let (video, audio, data) = (&figures["video"], &figures["audio"], &figures["data"]);
    assert_eq!((&video["codec"], &video["width"], &video["height"]), (&json!(codec), &json!(320), &json!(240)));
    assert!(video["frames"].as_u64() > Some(50), "{video}");
    // 20 ms each.
    assert!(audio["audible_frames"].as_u64() > Some(100), "{audio}");
    assert_eq!((&data["messages"], &data["messages_sent"]), (&json!(2), &json!(1)));
    let messages: Vec<&Value> = lines.iter().filter(|line| line["event"] == "message").collect();
    assert_eq!((&messages[0]["text"], &messages[1]["bytes"]), (&json!("hello from python"), &json!(60_000)));
}

/// A server with the bot and the mirror, and where its signaling is.
fn mirroring() -> (Process, String) {
    let mirror = mirror();
    let (serve, ready) = serve(&["--manifest", mirror.to_str().unwrap()]);
    (serve, ready["signaling_url"].as_str().unwrap().to_owned())
}

/// Checks what the peer saw.
fn saw(figures: &Value, wanted: [[f64; 3]; 4]) {
    assert!(figures["video_frames"].as_u64() > Some(50), "{figures}");
    let quarters: [[f64; 3]; 4] = serde_json::from_value(figures["quarters"].clone()).unwrap();
    let near = quarters.iter().flatten().zip(wanted.iter().flatten()).all(|(a, b)| (a - b).abs() <= TOLERANCE);
    assert!(near, "{quarters:?} instead of {wanted:?}");
}

/// Checks what the peer heard: a tone of 440 Hz.
fn heard(figures: &Value, wanted: f64) {
    let [hz, level] = ["tone_hz", "level"].map(|name| figures[name].as_f64().unwrap_or_default());
    assert!((hz - 440.0).abs() <= 5.0, "{hz} Hz");
    assert!((level / wanted - 1.0).abs() <= 0.25, "{level} instead of {wanted}");
}

/// Until the guard is dropped no other test of this binary runs: each keeps a processor busy.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
