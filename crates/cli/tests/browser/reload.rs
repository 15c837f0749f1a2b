//! A page that is reloaded comes back under its name, and media flows again; a call to it ends.

use std::time::{Duration, Instant};

use crate::{
    driver::{Browser, Kind},
    page::{Page, channel_is_open, has_decoded, is_connected},
    picture::MIRRORED,
    serve::{BOT, Call, Serve},
    turn,
};

in_each_codec!();

#[test]
fn a_page_that_was_called_ends_the_call() {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "room=quiet");
    page.wait_until("remotemedia.state().joined", Duration::from_secs(10));
    let call = serve.call(&page.name, &["--room", "quiet", "--codec", "vp8"]);
    page.connected_to(Call::NAME, Duration::from_secs(10));
    page.wait_until(&has_decoded(Call::NAME, 0), Duration::from_secs(10));
    let reloaded = Instant::now();
    page.reload();
    assert_eq!(call.event("peer_disconnected", Duration::from_secs(10))["peer"], "page");
    println!("the caller learned it {:.2?} after the reload began, and ends", reloaded.elapsed());
    let lines = call.finish(Duration::from_secs(20));
    assert!(lines.last().unwrap()["peers"]["page"]["video"]["frames"].as_u64() > Some(0), "{lines:?}");
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
    assert_eq!(page.stats(BOT)["in"]["video"]["codec"], codec);
    page.shows(BOT, MIRRORED, Duration::from_secs(5));
    page.hears(BOT, 440.0, Duration::from_secs(5));
    page.echoes_text("back again", Duration::from_secs(5));
}
