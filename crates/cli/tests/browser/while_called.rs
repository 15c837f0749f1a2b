//! In a call that `remotemedia call` made: the page writes, adds its video, looks for a new path, and dies.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::{
    driver::{Browser, Kind},
    ice_restart::restart_by_page,
    page::{Page, has_decoded},
    picture::{self, TEST_PICTURE},
    serve::{Call, Serve},
    turn,
};

in_each_codec!();

fn check(kind: Kind, codec: &str) {
    let _turn = turn();
    let soon = Duration::from_secs(10);
    let serve = Serve::start();
    let folder = tempfile::tempdir().unwrap();
    let video = folder.path().join("out.y4m");
    let browser = Browser::launch(kind);
    // What it offers when it adds its picture is in its own order of codecs.
    let parameters = format!("room=quiet&video=0&codec={}", codec.to_lowercase());
    let page = Page::join(&browser, &serve, "page", &parameters);
    page.wait_until("remotemedia.state().joined", soon);
    let media = ["--codec", &codec.to_lowercase(), "--record-video", video.to_str().unwrap()];
    let call = serve.call(&page.name, &[&media[..], &["--room", "quiet", "--duration", "90"]].concat());
    page.connected_to(Call::NAME, soon);
    page.wait_until(&has_decoded(Call::NAME, 0), soon);

    page.eval(&format!("remotemedia.send({:?}, 'ünïcode')", Call::NAME));
    page.eval(&format!("remotemedia.send({:?}, new Uint8Array(60_000))", Call::NAME));
    assert_eq!(call.event("message", soon)["text"], "ünïcode");
    assert_eq!(call.event("message", soon)["bytes"], 60_000);

    page.eval("await remotemedia.addVideo()");
    let sends = "(await remotemedia.stats('caller')).out.video.frames > 30";
    let added = page.wait_until(sends, soon);
    assert_eq!(page.stats(Call::NAME)["out"]["video"]["codec"], codec);

    page.hears(Call::NAME, 440.0, soon);

    let longest_gap = restart_by_page(&page, Call::NAME);
    page.hears(Call::NAME, 440.0, soon);
    let told = format!("remotemedia.send({:?}, 'still here')", Call::NAME);
    page.eval(&told);
    assert_eq!(call.event("message", soon)["text"], "still here");

    let killed = Instant::now();
    browser.kill();
    let gone = call.event("peer_disconnected", Duration::from_secs(40));
    let noticed = killed.elapsed();
    let lines = call.finish(Duration::from_secs(20));
    let figures = &lines.last().unwrap()["peers"][&page.name];
    let (quarters, pictures) = picture::recorded(&video);
    println!(
        "{kind:?} {codec}: 30 pictures {added:.2?} after video was added, longest gap {longest_gap:.0?} around the restart, death noticed \
         after {noticed:.2?}; recorded {pictures} pictures; {figures}"
    );
    assert_eq!(gone["peer"], json!(page.name));
    assert!(noticed <= Duration::from_secs(2), "{noticed:?}");
    assert_eq!(figures["video"]["codec"], codec, "{figures}");
    assert_eq!(quarters, TEST_PICTURE);
}
