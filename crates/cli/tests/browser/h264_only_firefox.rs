//! Firefox without H.264, as it is until it has downloaded that: a call that wants it goes on with what there is.

use std::time::Duration;

use serde_json::Value;

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{BOT, Call, Serve},
    sound, turn,
};

const HAS_H264: &str =
    "return RTCRtpReceiver.getCapabilities('video').codecs.some((codec) => codec.mimeType === 'video/H264')";

#[test]
fn a_page_that_wants_it_says_so_and_calls_in_another_codec() {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Firefox), &serve, "page", "codec=h264");
    assert_eq!(page.eval(HAS_H264), false);
    page.wait_until(
        "remotemedia.problems().some((p) => p.code === 'codec-missing' && p.text)",
        Duration::from_secs(10),
    );
    page.connected_to(BOT, Duration::from_secs(10));
    let rate = page.frame_rate(BOT, Duration::from_secs(2));
    let codec = &page.stats(BOT)["in"]["video"]["codec"];
    println!("Firefox without H.264 has a call in {codec} with {rate:.1} frames/s");
    assert!(rate > 0.0 && *codec != "H264");
}

#[test]
fn a_call_that_wants_it_has_sound_and_messages() {
    let _turn = turn();
    let lines = talk(|serve, page, arguments| serve.call(&page.name, arguments), &["--duration", "5"], |_| {});
    println!("Firefox without H.264, called with it: {:?}", lines.last());
}

/// A peer that wants H.264 and a page without it hear each other and exchange texts, after which the test does something
/// `meanwhile`. Answers what the peer printed.
pub(crate) fn talk(
    begin: impl FnOnce(&Serve, &Page, &[&str]) -> Call,
    further: &[&str],
    meanwhile: impl FnOnce(&Page),
) -> Vec<Value> {
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Firefox), &serve, "page", "room=quiet&tone=660");
    assert_eq!(page.eval(HAS_H264), false);
    page.wait_until("remotemedia.state().joined", Duration::from_secs(10));
    let folder = tempfile::tempdir().unwrap();
    let audio = folder.path().join("out.wav");
    let own = ["--room", "quiet", "--codec", "h264", "--message", "hello", "--record-audio", audio.to_str().unwrap()];
    let call = begin(&serve, &page, &[&own[..], further].concat());
    page.connected_to(Call::NAME, Duration::from_secs(10));
    let told = format!("remotemedia.messages().some((m) => m.from === {:?} && m.text === 'hello')", Call::NAME);
    page.wait_until(&told, Duration::from_secs(5));
    page.hears(Call::NAME, 440.0, Duration::from_secs(4));
    page.eval(&format!("remotemedia.send({:?}, 'hello yourself')", Call::NAME));
    meanwhile(&page);
    let lines = call.finish(Duration::from_secs(60));
    let (hz, ..) = sound::recorded(&audio);
    assert!((hz - 660.0).abs() <= 5.0, "{hz} Hz");
    assert!(lines.iter().any(|line| line["text"] == "hello yourself"), "{lines:?}");
    lines
}
