//! A page that is reloaded comes back under its name, and media flows again.

use std::time::{Duration, Instant};

use crate::{
    driver::{Browser, Kind},
    page::{Page, channel_is_open, has_decoded, is_connected},
    picture::MIRRORED,
    serve::{BOT, Serve},
    turn,
};

cases! {
    chromium_in_vp8(Chromium, "VP8");
    firefox_in_vp8(Firefox, "VP8");
    firefox_in_vp9(Firefox, "VP9");
}

fn check(kind: Kind, codec: &str) {
    let _turn = turn();
    let serve = Serve::start();
    let parameters = format!("codec={}&pipeline=mirror", codec.to_lowercase());
    let page = Page::join(Browser::shared(kind), &serve, "page", &parameters);
    page.connected_to(BOT, Duration::from_secs(10));
    page.wait_until(&has_decoded(BOT, 10), Duration::from_secs(10));
    serve.events();
    let reloaded = Instant::now();
    page.reload();
    let loaded = reloaded.elapsed();
    let flows = [is_connected(BOT), channel_is_open(BOT), has_decoded(BOT, 0)].join(" && ");
    page.wait_until(&flows, Duration::from_secs(50));
    let back = reloaded.elapsed();
    let told: Vec<String> = serve.events().iter().map(|event| event["event"].to_string()).collect();
    println!("{kind:?} {codec}: loaded after {loaded:.2?}, media flows again after {back:.2?}; the bot said {told:?}");
    assert!(back <= Duration::from_secs(5), "{back:?}");
    page.shows(BOT, MIRRORED, Duration::from_secs(5));
    page.hears(BOT, 440.0, Duration::from_secs(5));
    page.echoes_text("back again", Duration::from_secs(5));
}
