//! Another codec is chosen in the page's menu in the middle of a call.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded},
    picture::MIRRORED,
    serve::{BOT, Serve},
    turn,
};

#[test]
fn in_chromium() {
    check(Kind::Chromium, &["vp9", "h264", "vp8"]);
}

#[test]
fn in_firefox() {
    check(Kind::Firefox, &["vp9", "vp8"]);
}

fn check(kind: Kind, codecs: &[&str]) {
    let _turn = turn();
    let soon = Duration::from_secs(10);
    let serve = Serve::start();
    let page = Page::join(Browser::shared(kind), &serve, "page", "codec=vp8&pipeline=mirror");
    page.connected_to(BOT, soon);
    page.wait_until(&has_decoded(BOT, 0), soon);
    for codec in codecs {
        page.watch(BOT);
        page.eval(&format!(
            "const menu = document.querySelector('#codec'); menu.value = {codec:?}; menu.dispatchEvent(new Event('change'))"
        ));
        let name = codec.to_uppercase();
        let both = format!("(({{ in: i, out: o }}) => i.video.codec === {name:?} && o.video.codec === {name:?})");
        let changed = page.wait_until(&format!("{both}(await remotemedia.stats({BOT:?}))"), soon);
        page.run_for(Duration::from_secs(2));
        let seen = page.watched(BOT);
        println!("{kind:?}: {name} both ways {changed:.2?} after it was chosen, longest gap {:.0?}", seen.longest_gap);
        page.shows(BOT, MIRRORED, Duration::from_secs(5));
        let count = "(await remotemedia.stats('remotemedia')).in.video.frames_decoded";
        page.wait_until(&format!("(globalThis.seen ??= {count}, {count} > seen + 30)"), soon);
        page.eval("globalThis.seen = undefined");
    }
    assert_eq!(page.eval("return probe.connections.length"), 1, "the call was made anew");
    page.hears(BOT, 440.0, Duration::from_secs(5));
}
