//! A peer that takes nothing but H.264, and a Firefox that has none: a call of sound and messages, and both sides say why.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    h264_only_firefox::talk,
    page::Page,
    serve::{Call, Serve},
    turn,
};

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
    let lines = talk(begin, &["--no-fallback", "--duration", "9"], |page| {
        page.wait_until(SAID, Duration::from_secs(5));
        let problems = page.eval("return remotemedia.problems().filter((p) => p.code === 'no-common-codec')");
        println!("the page says {problems}");
        assert_eq!(problems.as_array().unwrap().len(), 1, "it is said once");
        assert_eq!(page.eval("return probe.connections.length"), 1, "the call goes on as it began");
    });
    let said: Vec<&Value> = lines.iter().filter(|line| line["event"] == "video_unavailable").collect();
    let figures = &lines.last().unwrap()["peers"]["page"];
    println!("the other side says {said:?}; {figures}");
    let expected = json!({"event": "video_unavailable", "peer": "page", "ours": ["H264"], "theirs": theirs});
    let mut sorted = said[0].clone();
    sorted["theirs"].as_array_mut().unwrap().sort_by_key(Value::to_string);
    assert_eq!((said.len(), sorted), (1, expected), "{lines:?}");
    assert_eq!((&figures["video"]["codec"], &figures["video"]["frames"]), (&Value::Null, &json!(0)));
}

/// Whether the page shows in words that there is no common codec.
const SAID: &str = "[...document.querySelectorAll('[data-code=\"no-common-codec\"]')]
    .some((card) => card.textContent.includes('caller and this browser have no video codec in common'))";
