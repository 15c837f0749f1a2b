//! A peer that takes nothing but H.264, and a Firefox that has none: a call of sound and messages, and both sides say why.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    driver::{Browser, Kind},
    h264_only_firefox::has_h264,
    page::Page,
    serve::{Call, Serve},
    sound, turn,
};

const NOTHING_ELSE: [&str; 5] = ["--room", "quiet", "--codec", "h264", "--no-fallback"];

#[test]
fn it_calls_the_page() {
    check(|serve, page, arguments| serve.call(&page.name, arguments), &json!([]));
}

#[test]
fn the_page_calls_it() {
    check(|serve, _, arguments| serve.await_call(arguments), &json!(["VP8", "VP9"]));
}

/// `theirs` is what it knows of the page's codecs.
fn check(begin: impl FnOnce(&Serve, &Page, &[&str]) -> Call, theirs: &Value) {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Firefox), &serve, "page", "room=quiet&tone=660");
    if has_h264(&page) {
        return;
    }
    page.wait_until("remotemedia.state().joined", Duration::from_secs(10));
    let folder = tempfile::tempdir().unwrap();
    let audio = folder.path().join("out.wav");
    let further = ["--duration", "9", "--message", "hello", "--record-audio", audio.to_str().unwrap()];
    let call = begin(&serve, &page, &[&NOTHING_ELSE[..], &further].concat());
    page.connected_to(Call::NAME, Duration::from_secs(10));
    page.wait_until(SAID, Duration::from_secs(5));
    let told = format!("remotemedia.messages().some((m) => m.from === {:?} && m.text === 'hello')", Call::NAME);
    page.wait_until(&told, Duration::from_secs(5));
    page.hears(Call::NAME, 440.0, Duration::from_secs(4));
    page.eval(&format!("remotemedia.send({:?}, 'hello yourself')", Call::NAME));
    let problems = page.eval("return remotemedia.problems().filter((p) => p.code === 'no-common-codec')");
    let connections = page.eval("return probe.connections.length");
    let lines = call.finish(Duration::from_secs(60));
    let (hz, ..) = sound::recorded(&audio);
    let said: Vec<&Value> = lines.iter().filter(|line| line["event"] == "video_unavailable").collect();
    let figures = &lines.last().unwrap()["peers"][&page.name];
    println!("the page says {problems}, the other side {said:?} and hears {hz:.1} Hz; {figures}");
    let expected = json!({"event": "video_unavailable", "peer": page.name, "ours": ["H264"], "theirs": theirs});
    let mut sorted = said[0].clone();
    sorted["theirs"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!((said.len(), sorted), (1, expected), "{lines:?}");
    assert_eq!(problems.as_array().unwrap().len(), 1, "it is said once");
    assert_eq!(connections, 1, "the call goes on as it began");
    assert!((hz - 660.0).abs() <= 5.0, "{hz} Hz");
    assert!(lines.iter().any(|line| line["text"] == "hello yourself"), "{lines:?}");
    assert_eq!((&figures["video"]["codec"], &figures["video"]["frames"]), (&Value::Null, &json!(0)));
}

/// Whether the page shows in words that there is no common codec.
const SAID: &str = "[...document.querySelectorAll('[data-code=\"no-common-codec\"]')]
    .some((card) => card.textContent.includes('caller and this browser have no video codec in common'))";
