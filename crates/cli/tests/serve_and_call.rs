//! `remotemedia serve` and `remotemedia call`: two programs that hold a call, and what they say when something is wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/http.rs"]
mod http;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;

use self::http::http;

fn remotemedia(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remotemedia"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A program that serves on a free port until it is dropped.
struct Serve {
    child: Child,
    lines: BufReader<ChildStdout>,
    signaling: String,
}

impl Serve {
    fn start(args: &[&str]) -> Self {
        let args = [&["serve", "--listen", "127.0.0.1:0", "--json"], args].concat();
        let mut child = remotemedia(&args).stderr(Stdio::inherit()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        lines.read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(ready["event"], "ready");
        let signaling = ready["signaling_url"].as_str().unwrap().to_owned();
        assert_eq!(ready["page_url"], format!("http://{}/", signaling.strip_prefix("ws://").unwrap()));
        Self { child, lines, signaling }
    }

    /// The next event with that name.
    fn event(&mut self, name: &str) -> Value {
        loop {
            let mut line = String::new();
            assert!(self.lines.read_line(&mut line).unwrap() > 0, "it ended before {name}");
            let event: Value = serde_json::from_str(&line).unwrap();
            if event["event"] == name {
                return event;
            }
        }
    }
}

impl Drop for Serve {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn failure(args: &[&str]) -> String {
    ended_with(1, args)
}

fn ended_with(code: i32, args: &[&str]) -> String {
    let Output { status, stdout, stderr } = remotemedia(args).output().unwrap();
    let text = String::from_utf8_lossy(&stderr).into_owned();
    assert_eq!(status.code(), Some(code), "{text}");
    assert!(stdout.is_empty());
    text
}

fn last_line(output: &Output) -> Value {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(text.lines().last().unwrap()).unwrap()
}

const MIRROR: &str = "metadata: { name: Mirror }
nodes:
  - { id: flip, node_type: VideoFlip }
  - { id: louder, node_type: Gain, params: { linear: 2 } }
connections:
  - { from: flip, to: louder }
";

/// Luma, blueness and redness in the middle of the four quarters of picture `number`.
fn quarters(file: &Path, number: usize) -> [[u8; 3]; 4] {
    let mut decoder = y4m::decode(fs::File::open(file).unwrap()).unwrap();
    let (width, height) = (decoder.get_width(), decoder.get_height());
    for _ in 0..number {
        decoder.read_frame().unwrap();
    }
    let frame = decoder.read_frame().unwrap();
    let at = |x: usize, y: usize| {
        let chroma = y / 2 * width.div_ceil(2) + x / 2;
        [frame.get_y_plane()[y * width + x], frame.get_u_plane()[chroma], frame.get_v_plane()[chroma]]
    };
    [(1, 1), (3, 1), (1, 3), (3, 3)].map(|(x, y)| at(width * x / 4, height * y / 4))
}

/// The strength of a frequency in Hz: about half the amplitude of a tone of it, squared (Goertzel's algorithm).
fn strength(samples: &[f32], rate: u32, frequency: f64) -> f64 {
    let step = frequency * std::f64::consts::TAU / f64::from(rate);
    let (re, im) = samples.iter().enumerate().fold((0.0, 0.0), |(re, im), (n, &s)| {
        let phase = step * n as f64;
        (re + f64::from(s) * phase.cos(), im + f64::from(s) * phase.sin())
    });
    (re * re + im * im).sqrt() * 2.0 / samples.len() as f64
}

#[test]
fn a_call_to_the_bot_comes_back_mirrored_and_louder_and_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let manifest = folder.path().join("mirror.yaml");
    fs::write(&manifest, MIRROR).unwrap();
    let mut serve = Serve::start(&["--manifest", manifest.to_str().unwrap()]);
    let (wav, y4m) = (folder.path().join("heard.wav"), folder.path().join("seen.y4m"));
    let output = remotemedia(&[
        "call",
        "--signaling",
        &serve.signaling,
        "--peer-id",
        "alice",
        "--to",
        "remotemedia",
        "--duration",
        "6",
        "--codec",
        "vp8",
        "--message",
        "good morning",
        "--json",
        "--record-audio",
        wav.to_str().unwrap(),
        "--record-video",
        y4m.to_str().unwrap(),
    ])
    .output()
    .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(serve.event("peer_connected")["peer"], "alice");
    assert_eq!(serve.event("peer_disconnected")["reason"], "user_requested");
    let figures = last_line(&output);
    let peer = &figures["peers"]["remotemedia"];
    println!("{figures}");
    assert!(figures["connect_ms"].as_f64().unwrap() < 5_000.0);
    assert_eq!(peer["video"]["codec"], "VP8");
    assert!(peer["video"]["frames"].as_u64().unwrap() > 60 && peer["audio"]["frames"].as_u64().unwrap() > 200);
    for kind in ["audio", "video"] {
        let [packets, lost, missing] = ["packets", "lost", "missing"].map(|name| peer[kind][name].as_u64().unwrap());
        assert!(packets > 60 && lost + missing < packets / 10, "{kind}: {peer}");
        assert!((0.0..100.0).contains(&peer[kind]["jitter_ms"].as_f64().unwrap()), "{kind}: {peer}");
    }
    assert_eq!((&peer["data"]["messages"], &peer["data"]["messages_sent"]), (&1.into(), &1.into()));
    assert!(String::from_utf8_lossy(&output.stdout).contains("good morning"));
    // The test card is red and green above, blue and yellow below; it comes back with left and right swapped.
    let [green, red, yellow, blue] = quarters(&y4m, 40);
    let near = |seen: [u8; 3], sent: [u8; 3]| seen.iter().zip(sent).all(|(a, b)| a.abs_diff(b) < 12);
    assert!(near(green, [116, 88, 65]) && near(red, [81, 98, 218]), "{green:?} {red:?}");
    assert!(near(yellow, [195, 43, 143]) && near(blue, [76, 205, 110]), "{yellow:?} {blue:?}");
    let mut reader = hound::WavReader::open(&wav).unwrap();
    let rate = reader.spec().sample_rate;
    let samples: Vec<f32> = reader.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
    // Over 100 ms, which a slight stretch of the sound does not disturb.
    let from = samples.len() / 2;
    let tone = strength(&samples[from..from + rate as usize / 10], rate, 440.0);
    assert!((tone / 0.5 - 1.0).abs() < 0.2, "a tone of 0.25 comes back twice as loud, as {tone}");
}

#[test]
fn two_participants_play_files_to_each_other_and_end_when_these_end() {
    let folder = tempfile::tempdir().unwrap();
    let serve = Serve::start(&[]);
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (wav, y4m, heard) = (path("voice.wav"), path("clip.y4m"), path("heard.wav"));
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: 16_000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(&wav, spec).unwrap();
    for n in 0..48_000 {
        let sample = (f64::from(n) * 700.0 * std::f64::consts::TAU / 16_000.0).sin() * 0.3;
        writer.write_sample((sample * 32_767.0) as i16).unwrap();
    }
    writer.finalize().unwrap();
    let mut encoder =
        y4m::encode(320, 180, y4m::Ratio::new(25, 1)).write_header(fs::File::create(&y4m).unwrap()).unwrap();
    for n in 0..75_u8 {
        let luma = vec![60 + n; 320 * 180];
        let chroma = vec![128; 160 * 90];
        encoder.write_frame(&y4m::Frame::new([&luma, &chroma, &chroma], None)).unwrap();
    }
    drop(encoder);
    let mut waiting =
        remotemedia(&["call", "--signaling", &serve.signaling, "--peer-id", "bob", "--record-audio", &heard, "--json"])
            .spawn()
            .unwrap();
    let caller = ["call", "--signaling", &serve.signaling, "--peer-id", "carol", "--to", "bob", "--json"];
    let played = ["--audio", &wav, "--video", &y4m];
    // Bob may not be there yet.
    let output = (0..50)
        .map(|_| remotemedia(&[&caller[..], &played].concat()).output().unwrap())
        .find(|output| output.status.success())
        .expect("a call with bob");
    assert_eq!(last_line(&output)["peers"]["bob"]["video"]["frames_sent"], 75);
    let mut text = String::new();
    waiting.stdout.take().unwrap().read_to_string(&mut text).unwrap();
    assert!(waiting.wait().unwrap().success(), "{text}");
    let figures: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
    let frames = figures["peers"]["carol"]["video"]["frames"].as_u64().unwrap();
    assert!((60..=75).contains(&frames), "{figures}");
    let mut reader = hound::WavReader::open(&heard).unwrap();
    let samples: Vec<f32> = reader.samples::<i16>().map(|s| f32::from(s.unwrap()) / 32_768.0).collect();
    let from = samples.len() / 2;
    let tone = strength(&samples[from..from + 4_800], 48_000, 700.0);
    assert!((tone / 0.3 - 1.0).abs() < 0.2, "{tone}");
}

#[test]
fn what_the_page_asks_is_answered_and_what_it_asks_wrongly_is_explained() {
    let serve = Serve::start(&[]);
    let (status, body) = http(&serve.signaling, "GET", "/", "");
    assert!(status.contains("200") && body.contains("<html"), "{status}");
    let (status, body) = http(&serve.signaling, "GET", "/api/info", "");
    let info: Value = serde_json::from_str(&body).unwrap();
    assert!(status.contains("200") && info["bot"] == "remotemedia" && info["default_pipeline"] == "echo", "{body}");
    for (method, path, sent, code, said) in [
        ("GET", "/api/peers/nobody/pipeline", "", "404", "nobody"),
        ("PUT", "/api/peers/nobody/pipeline", "{\"name\":\"echo\"}", "404", "nobody"),
        ("PUT", "/api/peers/nobody/pipeline", "{\"name\":\"eco\"}", "404", "there are echo"),
        ("PUT", "/api/peers/nobody/pipeline", "{", "400", "JSON"),
        ("PUT", "/api/peers/nobody/pipeline", "{\"name\":\"echo\",\"output\":\"hd\"}", "404", "there are output"),
        ("PATCH", "/api/peers/nobody/pipeline/nodes/echo", "{\"db\":3}", "404", "nobody"),
        ("PATCH", "/api/peers/nobody/pipeline/nodes/echo", "[3]", "400", "map"),
        ("GET", "/api/peers/nobody/stats", "", "404", "nobody"),
        ("POST", "/api/peers/nobody/restart-ice", "", "404", "has no call with \"nobody\""),
        ("POST", "/api/peers/no%20name/restart-ice", "", "404", "no name"),
        ("GET", "/nothing/here", "", "404", "nothing"),
        ("GET", "/page/nothing.js", "", "404", "nothing.js"),
        ("PUT", "/api/peers/nobody/pipeline", "{\"name\":\"echo\",\"outptu\":\"hd\"}", "400", "unknown field `outptu`"),
        ("DELETE", "/api/peers/nobody/pipeline", "", "405", "DELETE"),
        ("POST", "/api/info", "", "405", "POST"),
        ("GET", "/api/peers/nobody/restart-ice", "", "405", "Allow"),
        ("GET", "/api/peers/%FF/stats", "", "400", "UTF-8"),
    ] {
        let (status, body) = http(&serve.signaling, method, path, sent);
        let error: Value = serde_json::from_str(&body).unwrap();
        assert!(status.contains(code), "{method} {path}: {status}");
        assert!(error["error"].as_str().unwrap().contains(said), "{method} {path}: {body}");
    }
    assert!(http(&serve.signaling, "GET", "/page/../Cargo.toml", "").0.contains("404"));
}

#[test]
fn either_signal_ends_it_with_success() {
    for signal in ["-TERM", "-INT"] {
        let mut serve = Serve::start(&[]);
        assert!(Command::new("kill").args([signal, &serve.child.id().to_string()]).status().unwrap().success());
        assert_eq!(serve.child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn mistakes_are_named_with_what_to_do_about_them() {
    let folder = tempfile::tempdir().unwrap();
    let typo = folder.path().join("typo.yaml");
    fs::write(&typo, MIRROR.replace("VideoFlip", "VideoFlop")).unwrap();
    let text = failure(&["serve", "--listen", "127.0.0.1:0", "--manifest", typo.to_str().unwrap()]);
    assert!(text.contains("typo.yaml:3") && text.contains("VideoFlip"), "{text}");
    fs::write(&typo, MIRROR.replace("linear", "linaer")).unwrap();
    let text = failure(&["serve", "--listen", "127.0.0.1:0", "--manifest", typo.to_str().unwrap()]);
    assert_eq!(text.matches("did you mean").count(), 1, "it is said once: {text}");
    let text = failure(&["serve", "--listen", "127.0.0.1:0", "--manifest", "/no/such.yaml"]);
    assert!(text.contains("/no/such.yaml") && text.contains("check the path"), "{text}");
    assert_eq!(text.matches("No such file").count(), 1, "it is said once: {text}");
    let two = "metadata: { shared: true }\nnodes: [{ id: a, type: Output }, { id: b, type: Output }]\n\
               connections: [{ from: input, to: a }, { from: input, to: b }]\n";
    fs::write(&typo, two).unwrap();
    let text = failure(&["serve", "--listen", "127.0.0.1:0", "--manifest", typo.to_str().unwrap()]);
    assert!(text.contains("typo") && text.contains("`shared: true` has one output"), "{text}");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let text = failure(&["serve", "--listen", &taken.local_addr().unwrap().to_string()]);
    assert!(text.contains("--listen"), "{text}");
    let nobody = {
        // Nothing listens there any more.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        format!("ws://{}", listener.local_addr().unwrap())
    };
    let text = failure(&["call", "--signaling", &nobody, "--peer-id", "alice", "--to", "bob"]);
    assert!(text.contains(&nobody) && text.contains("remotemedia serve"), "{text}");
    let text = ended_with(2, &["call", "--signaling", "http://localhost", "--peer-id", "alice"]);
    assert!(text.contains("--signaling is") && text.contains("ws://"), "{text}");
    let text = ended_with(2, &["call", "--peer-id", "no spaces please"]);
    assert!(text.contains("no spaces please") && text.contains("A-Z"), "{text}");
    let text = failure(&["call", "--peer-id", "alice", "--audio", "/no/such.wav"]);
    assert!(text.contains("/no/such.wav"), "{text}");
    let serve = Serve::start(&[]);
    let text = failure(&["call", "--signaling", &serve.signaling, "--peer-id", "alice", "--to", "nobody"]);
    assert!(text.contains("nobody") && text.contains("spelling"), "{text}");
    let text = failure(&["call", "--signaling", &serve.signaling, "--peer-id", "remotemedia"]);
    assert!(text.contains("taken") && text.contains("choose another"), "{text}");
}
