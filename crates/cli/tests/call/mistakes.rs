//! What is wrong with a command line is said in the program's words, with an exit code that tells it from other failures.

use std::net::TcpListener;

use serde_json::Value;

use crate::process::{Ended, PATIENCE, Process};

fn run(arguments: &[&str]) -> Ended {
    Process::remotemedia("remotemedia", arguments).end(PATIENCE)
}

/// An address where nothing listens.
fn nowhere() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn wrong_arguments_end_with_exit_code_2_and_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::create_dir(path("sub")).unwrap();
    let (out, spelled_differently) = (path("out.wav"), path("sub/../out.wav"));
    let manifest = path("same.yaml");
    std::fs::write(&manifest, "nodes: [{ id: a, type: Echo }]").unwrap();
    let serve = ["serve", "--listen", "127.0.0.1:0"];
    let call = ["call", "--peer-id", "alice"];
    for (command, further, said) in [
        (&serve[..], &["--max-peers", "0"][..], "--max-peers"),
        (&serve, &["--max-peers", "-1"], "--max-peers"),
        (&serve, &["--max-peers", "257"], "256"),
        (&serve, &["--room", "a b"], "--room"),
        (&serve, &["--peer-id", "a b"], "--peer-id"),
        (&serve, &["--stun", "stun.example.com"], "--stun is \"stun.example.com\""),
        (&serve, &["--manifest", &manifest, "--manifest", &manifest], "two manifests are called \"same\""),
        (&serve, &["--drop", "2"], "from 0 to 0.5"),
        (&call, &["--to", "no spaces"], "--to"),
        (&call, &["--to", "alice"], "call somebody else"),
        (&call, &["--room", ""], "--room"),
        (&call, &["--signaling", "localhost:8080"], "--signaling is \"localhost:8080\""),
        (&call, &["--record-audio", &out, "--record-video", &spelled_differently], "name the same file"),
        (&call, &["--duration", "0"], "from 0.1 to 86400"),
        (&call, &["--size", "1280"], "such as 1280x720"),
        (&call, &["--size", "1281x720"], "both even"),
        (&call, &["--size", "64x64", "--video", "in.y4m"], "--video"),
        (&["call"], &[], "--peer-id"),
        (&["sing"], &[], "sing"),
    ] {
        let ended = run(&[command, further].concat());
        assert_eq!(ended.code, Some(2), "{command:?} {further:?}: {}", ended.log);
        assert!(ended.lines.is_empty() && ended.log.contains(said), "{command:?} {further:?}: {}", ended.log);
        let ended = run(&[command, further, &["--json"]].concat());
        let [line] = &ended.lines[..] else { panic!("{command:?} {further:?}: {:?}", ended.lines) };
        assert_eq!((ended.code, &line["event"]), (Some(2), &Value::from("error")), "{line}");
        let text = line["error"].as_str().unwrap();
        assert!(text.contains(said) && !text.contains('\n') && !text.starts_with("error"), "{text}");
        assert!(ended.log.is_empty(), "{}", ended.log);
    }
}

#[test]
fn a_failure_is_the_last_object_with_json_and_a_line_without() {
    let signaling = format!("ws://{}", nowhere());
    let no_server = ["call", "--peer-id", "alice", "--signaling", &signaling];
    for (arguments, said) in [
        (&no_server[..], "`remotemedia serve` starts a server"),
        (&["call", "--peer-id", "alice", "--audio", "/no/such.wav"], "/no/such.wav"),
        (&["call", "--peer-id", "alice", "--video", "/no/such.y4m"], "/no/such.y4m cannot be read"),
        (&["serve", "--listen", "127.0.0.1:0", "--manifest", "/no/such.yaml"], "check the path"),
        (&["signal", "--listen", "192.0.2.1:80"], "--listen"),
    ] {
        let ended = run(arguments);
        assert!(ended.code == Some(1) && ended.lines.is_empty(), "{arguments:?}: {:?} {:?}", ended.code, ended.lines);
        let line = ended.log.strip_prefix("remotemedia: ").unwrap().trim_end().to_owned();
        assert!(line.contains(said) && !line.contains('\n'), "{line}");
        let ended = run(&[arguments, &["--json"]].concat());
        assert_eq!(ended.lines, [serde_json::json!({"event": "error", "error": line})]);
        assert!(ended.code == Some(1) && ended.log.is_empty(), "{arguments:?}: {:?} {}", ended.code, ended.log);
    }
}

#[test]
fn a_password_in_an_address_is_never_printed() {
    let (secret, address) = ("s3cret", nowhere());
    let signaling = |scheme: &str| format!("{scheme}://bob:{secret}@{address}");
    for arguments in [
        &["call", "--peer-id", "alice", "--signaling", &signaling("ws")][..],
        &["call", "--peer-id", "alice", "--signaling", &signaling("http")],
        &["serve", "--listen", "127.0.0.1:0", "--stun", &format!("stun:bob:{secret}@stun.example.com:3478")],
        &["serve", "--listen", "127.0.0.1:0", "--stun", &format!("turn:bob:{secret}@turn.example.com:3478")],
    ] {
        for json in [&[""; 0][..], &["--json"]] {
            let ended = run(&[arguments, json].concat());
            let printed = format!("{:?}{}", ended.lines, ended.log);
            assert!(printed.contains("bob:…@"), "{printed}");
            assert!(ended.code != Some(0) && !printed.contains(secret), "{printed}");
        }
    }
}
