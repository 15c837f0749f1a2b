//! Each example runs by itself for a few seconds, and what it prints about the media that arrived is as it should be. Time
//! runs as it does on a busy machine: bounds are wide here, and narrow where the same is shown in virtual time.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// One at a time: each keeps a core or two busy.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the example prints in `seconds`.
fn run(example: &str, seconds: u32) -> Vec<String> {
    let output = Command::new(path_of(example)).arg("--duration").arg(seconds.to_string()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    print!("{text}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{example} ended with {}", output.status);
    text.lines().map(str::to_owned).collect()
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

fn line<'a>(lines: &'a [String], beginning: &str) -> &'a str {
    lines.iter().find(|line| line.starts_with(beginning)).unwrap_or_else(|| panic!("no line begins with {beginning:?}"))
}

#[test]
fn the_quickstart_prints_the_lines_of_the_guide() {
    let _turn = turn();
    // It ends by itself, whatever it is told.
    let lines = run("quickstart", 1);
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
fn in_a_conference_each_hears_the_others_and_not_themselves() {
    let _turn = turn();
    let lines = run("conference", 12);
    let table = lines.iter().skip_while(|line| !line.starts_with("heard by")).skip(1).take(5);
    for (listener, line) in table.enumerate() {
        // The name of the listener ends in a number too.
        let levels = &numbers(line)[1..];
        for (speaker, level) in levels.iter().enumerate() {
            if speaker == listener {
                assert!(*level < -45.0, "{listener} hears themselves at {level} dB");
            } else {
                assert!((level + 20.0).abs() < 3.0, "{listener} hears {speaker} at {level} dB");
            }
        }
        assert_eq!(levels.len(), 5);
    }
}

#[test]
fn each_viewer_of_a_broadcast_gets_its_own_quality() {
    let _turn = turn();
    let lines = run("broadcast_tiers", 6);
    for (viewer, size) in [("wall", "1920x1080"), ("laptop", "1280x720"), ("phone", "854x480")] {
        let line = line(&lines, viewer);
        assert!(line.ends_with(size), "{line}");
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
    let interrupted = numbers(line(&lines, "interrupted"));
    // Milliseconds from the onset, seconds heard; 250 ms is held to in virtual time.
    assert!(interrupted[0] < 2_500.0 && interrupted[1] > 0.5, "{interrupted:?}");
    assert!(numbers(lines.last().unwrap())[0] >= 1.0);
}
