//! Each example runs by itself for a few seconds, and what it prints about the media that arrived is as it should be. Time
//! runs as it does on a busy machine: bounds are wide here, and narrow where the same is shown in virtual time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
    thread::sleep,
    time::{Duration, Instant},
};

/// One at a time: each keeps a core or two busy.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long an example may take beside what it is told.
const BESIDE: Duration = Duration::from_secs(20);

/// What the example prints in `seconds`, which it keeps to.
fn run(example: &str, seconds: u32) -> Vec<String> {
    let (lines, elapsed) = run_to_end(example, seconds);
    let told = Duration::from_secs(seconds.into());
    assert!(elapsed >= told.mul_f64(0.9), "{example} took {elapsed:?} of {told:?}");
    lines
}

/// The same of one that may end sooner, and how long it took.
fn run_to_end(example: &str, seconds: u32) -> (Vec<String>, Duration) {
    let mut command = Command::new(path_of(example));
    command.arg("--duration").arg(seconds.to_string()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let started = Instant::now();
    let mut child = command.spawn().unwrap();
    let limit = Duration::from_secs(seconds.into()) + BESIDE;
    // What it prints is less than a pipe holds.
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() >= limit {
            child.kill().unwrap();
            let output = child.wait_with_output().unwrap();
            panic!("{example} runs longer than {limit:?}; it printed {}", String::from_utf8_lossy(&output.stdout));
        }
        sleep(Duration::from_millis(20));
    }
    let elapsed = started.elapsed();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    print!("{text}{}", String::from_utf8_lossy(&output.stderr));
    println!("{example} took {elapsed:.1?}");
    assert!(output.status.success(), "{example} ended with {}", output.status);
    (text.lines().map(str::to_owned).collect(), elapsed)
}

/// Cargo builds the examples together with the tests, and puts them beside the folder in which this test is.
fn path_of(example: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).unwrap().join("examples");
    folder.join(format!("{example}{}", std::env::consts::EXE_SUFFIX))
}

/// The numbers in a line, in their order.
fn numbers(line: &str) -> Vec<f64> {
    let is_part = |c: char| c.is_ascii_digit() || c == '.' || c == '-';
    line.split(|c| !is_part(c)).filter_map(|part| part.trim_end_matches('.').parse().ok()).collect()
}

/// The durations in a line, in seconds, in their order.
fn durations(line: &str) -> Vec<f64> {
    let seconds = |word: &str| {
        let word = word.trim_end_matches([',', ':']);
        let (number, unit) = word.split_at(word.find(|c: char| c.is_alphabetic() || c == 'µ')?);
        let scale = [("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)].into_iter().find(|(name, _)| *name == unit)?.1;
        Some(number.parse::<f64>().ok()? * scale)
    };
    line.split_whitespace().filter_map(seconds).collect()
}

fn line<'a>(lines: &'a [String], beginning: &str) -> &'a str {
    lines.iter().find(|line| line.starts_with(beginning)).unwrap_or_else(|| panic!("no line begins with {beginning:?}"))
}

#[test]
fn the_quickstart_prints_the_lines_of_the_guide() {
    let _turn = turn();
    // It ends by itself, whatever it is told.
    let (lines, _) = run_to_end("quickstart", 1);
    let mut wanted = vec!["Transport created".to_owned(), "Connected to signaling server".to_owned()];
    wanted.push("Connected to peer: bob".to_owned());
    wanted.extend((0..10).map(|n| format!("Sent frame {n}")));
    wanted.push("Shutdown complete".to_owned());
    assert_eq!(lines, wanted);
}

#[test]
fn a_simple_pipeline_makes_a_tone_twice_as_loud() {
    let _turn = turn();
    let lines = run("simple_pipeline", 4);
    let levels = numbers(line(&lines, "sent at"));
    assert!((levels[1] - levels[0] - 6.0).abs() < 1.5, "{levels:?} dB");
}

#[test]
fn in_a_conference_each_hears_the_others_and_not_themselves_and_nobody_hears_a_click() {
    let _turn = turn();
    // Long enough for windows of five seconds.
    let lines = run("conference", 20);
    let table = lines.iter().skip_while(|line| !line.starts_with("heard by")).skip(1).take(5);
    for (listener, line) in table.enumerate() {
        // The name of the listener ends in a number too.
        let levels = &numbers(line)[1..];
        for (speaker, level) in levels.iter().enumerate() {
            if speaker == listener {
                assert!(*level < -50.0, "{listener} hears themselves at {level} dB");
            } else {
                assert!((level + 20.0).abs() < 1.0, "{listener} hears {speaker} at {level} dB");
            }
        }
        assert_eq!(levels.len(), 5);
    }
    let around: Vec<&String> = lines.iter().filter(|line| line.contains("largest bend while the fifth")).collect();
    assert_eq!(around.len(), 4);
    for line in around {
        let [joining, leaving, calm] = numbers(line)[1..] else { panic!("{line}") };
        // Who leaves in the middle of a tone leaves a corner, but no step.
        assert!(joining.max(leaving) <= calm * 5.0, "{line}");
    }
}

#[test]
fn each_viewer_of_a_broadcast_gets_its_own_quality() {
    let _turn = turn();
    let lines = run("broadcast_tiers", 6);
    for (viewer, size) in [("wall", "1920x1080"), ("laptop", "1280x720"), ("phone", "854x480")] {
        let line = line(&lines, viewer);
        // One size and no other.
        assert!(line.ends_with(&format!(" of {size}")) && !line.contains(','), "{line}");
        assert!(numbers(line)[0] >= 10.0, "{line}");
    }
}

#[test]
fn the_camera_does_what_the_viewer_asks_for_over_the_data_channel() {
    let _turn = turn();
    let lines = run("data_channel_control", 9);
    let (before, slower, smaller) = (line(&lines, "as it"), line(&lines, "at 200"), line(&lines, "at 180"));
    assert!(before.contains("640x360") && slower.contains("640x360") && smaller.contains("320x180"), "{lines:?}");
    let rate = |line: &str| *numbers(line).last().unwrap();
    assert!(rate(before) > 400.0 && rate(slower) < 320.0, "{lines:?}");
    // It never stops: so many pictures a second.
    for line in [before, slower, smaller] {
        let pictures = line.split(", ").nth(1).and_then(|part| numbers(part).first().copied()).unwrap();
        assert!(pictures >= 5.0, "{line}");
    }
}

#[test]
fn the_background_is_blurred_and_the_person_is_not() {
    let _turn = turn();
    let lines = run("background_blur", 7);
    let (wall, shirt) = (numbers(line(&lines, "detail of the wall")), numbers(line(&lines, "detail of the shirt")));
    assert!(wall[1] < wall[0] * 0.4, "the wall: {wall:?}");
    assert!(shirt[1] > shirt[0] * 0.6, "the shirt: {shirt:?}");
}

#[test]
fn a_voice_agent_answers_and_lets_itself_be_interrupted() {
    let _turn = turn();
    let lines = run("voice_agent", 12);
    assert!(lines.iter().any(|line| line.starts_with("the caller has finished")));
    let (mut said, mut interruptions) = (0.0, 0);
    for line in &lines {
        if line.starts_with("the caller has finished") {
            said += 8.0;
        } else if line.starts_with("interrupted") {
            // 250 ms from the onset are held to in virtual time.
            let [after, heard, dropped] = durations(line)[..] else { panic!("{line}") };
            assert!(after < 2.5 && heard > 0.5, "{line}");
            // What is neither heard nor dropped is in the fade-out.
            assert!((heard + dropped - said).abs() < 0.1, "of {said} s: {line}");
            (said, interruptions) = (0.0, interruptions + 1);
        }
    }
    assert!(interruptions > 0, "nobody was interrupted");
    assert!(numbers(lines.last().unwrap())[0] >= 1.0);
}
