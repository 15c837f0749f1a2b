//! A page joins without video and adds it later.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded},
    picture::MIRRORED,
    serve::{BOT, Serve},
    turn,
};

in_each_codec!();

fn check(kind: Kind, codec: &str) {
    let _turn = turn();
    let serve = Serve::start();
    let parameters = format!("codec={}&pipeline=mirror&video=0", codec.to_lowercase());
    let page = Page::join(Browser::shared(kind), &serve, "page", &parameters);
    page.connected_to(BOT, Duration::from_secs(10));
    page.hears(BOT, 440.0, Duration::from_secs(5));
    assert_eq!(
        page.stats(BOT)["in"]["video"]["frames_decoded"].as_u64().unwrap_or(0),
        0,
        "there is video before it is added"
    );
    page.eval("await remotemedia.addVideo()");
    let seen = page.wait_until(&has_decoded(BOT, 0), Duration::from_secs(10));
    let rate = page.frame_rate(BOT, Duration::from_secs(1));
    println!("{kind:?} {codec}: the first returned picture {seen:.2?} after video was added, then {rate:.1} frames/s");
    assert!(seen <= Duration::from_secs(3), "{seen:?}");
    page.shows(BOT, MIRRORED, Duration::from_secs(5));
    assert_eq!(page.stats(BOT)["in"]["video"]["codec"], codec);
    page.hears(BOT, 440.0, Duration::from_secs(5));
}
