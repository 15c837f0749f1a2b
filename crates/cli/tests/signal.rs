//! `remotemedia signal`: it says when it is ready, ends cleanly, and explains what is wrong.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    io::{BufRead, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Output, Stdio},
};

use serde_json::Value;

fn remotemedia(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_remotemedia"));
    command.args(args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Starts a server on a free port and reads its ready line.
fn start() -> (Child, Value) {
    let mut child = remotemedia(&["signal", "--listen", "127.0.0.1:0", "--json"]).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    (child, serde_json::from_str(&line).unwrap())
}

fn output(args: &[&str]) -> Output {
    remotemedia(args).output().unwrap()
}

#[test]
fn it_prints_where_it_listens_and_listens_there() {
    let (mut child, ready) = start();
    assert_eq!(ready["event"], "ready");
    let url = ready["signaling_url"].as_str().unwrap();
    TcpStream::connect(url.strip_prefix("ws://").unwrap()).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn either_signal_ends_it_with_success() {
    for signal in ["-TERM", "-INT"] {
        let (mut child, _) = start();
        assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
        assert_eq!(child.wait().unwrap().code(), Some(0), "{signal}");
    }
}

#[test]
fn a_port_in_use_is_a_failure_that_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let output = output(&["signal", "--listen", &address]);
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(&address) && text.contains("--listen"), "{text}");
    assert!(output.stdout.is_empty());
}

#[test]
fn a_wrong_command_line_is_exit_code_2_and_help_has_examples() {
    assert_eq!(output(&["signal", "--listen", "nowhere"]).status.code(), Some(2));
    assert_eq!(output(&["sing"]).status.code(), Some(2));
    let help = output(&["signal", "--help"]);
    assert_eq!(help.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&help.stdout).contains("Examples:"));
}
