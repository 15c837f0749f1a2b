//! Files that are not played or recorded to their end.

use std::{fs, path::Path};

use serde_json::Value;

use crate::{
    ends::ends_loud,
    process::{Ended, PATIENCE, Process, mirror, serve},
};

/// A call to a bot that sends back what it gets: how it ended, and what it told of a file meanwhile.
fn call_the_bot(further: &[&str]) -> (Ended, Value) {
    let (_bot, ready) = serve(&["--manifest", mirror().to_str().unwrap()]);
    let signaling = ready["signaling_url"].as_str().unwrap();
    let call =
        ["call", "--signaling", signaling, "--peer-id", "alice", "--to", "remotemedia", "--codec", "vp8", "--json"];
    let call = Process::remotemedia("call", &[&call[..], further].concat());
    let told = call.event("file_failed", PATIENCE);
    (call.end(PATIENCE), told)
}

/// The call has failed for that reason, after its figures, which are answered.
fn figures(ended: &Ended, told: &Value, reason: &str) -> Value {
    assert!(told["error"].as_str().unwrap().contains(reason), "{told}");
    assert_eq!(ended.code, Some(1), "{:?} {}", ended.lines, ended.log);
    let [.., figures, error] = &ended.lines[..] else { panic!("{:?}", ended.lines) };
    assert_eq!((&error["event"], &error["error"]), (&Value::from("error"), &told["error"]));
    figures["peers"]["remotemedia"].clone()
}

/// `/dev/full` takes nothing, as a disk without space.
#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_said_at_once_and_the_call_goes_on() {
    for (argument, kind) in [("--record-audio", "audio"), ("--record-video", "video")] {
        let (ended, told) = call_the_bot(&[argument, "/dev/full", "--duration", "5"]);
        let peer = figures(&ended, &told, "the disk is full: /dev/full");
        assert!(!ended.log.contains("too slow"), "{}", ended.log);
        assert!(peer[kind]["frames"].as_u64() > Some(30), "{peer}");
    }
}

#[test]
fn files_that_are_cut_off_are_sent_until_there_while_the_other_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (voice, clip) = (path("voice.wav"), path("clip.y4m"));
    ends_loud(Path::new(&voice));
    let picture = [&b"FRAME\n"[..], &[128; 64 * 48 * 3 / 2]].concat();
    let film = [&b"YUV4MPEG2 W64 H48 F25:1 C420jpeg\n"[..], &picture.repeat(25), &picture[..1_000]].concat();
    fs::write(&clip, film).unwrap();
    let (ended, told) = call_the_bot(&["--audio", &voice, "--video", &clip]);
    let peer = figures(&ended, &told, "clip.y4m is cut off in the middle of picture 26");
    assert_eq!((&peer["video"]["frames_sent"], &peer["audio"]["frames_sent"]), (&25.into(), &100.into()), "{peer}");
    let sound = fs::read(&voice).unwrap();
    fs::write(&voice, &sound[..sound.len() / 2]).unwrap();
    let (ended, told) = call_the_bot(&["--audio", &voice]);
    let peer = figures(&ended, &told, "voice.wav is cut off");
    let sent = peer["audio"]["frames_sent"].as_u64().unwrap();
    assert!((48..=50).contains(&sent), "half of 100: {peer}");
}
