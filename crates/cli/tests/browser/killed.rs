//! A browser that dies without a word, or one of its tabs, is gone for everybody else in seconds, with all that it held.

use std::time::{Duration, Instant};

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded},
    serve::{BOT, Resources, Serve},
    turn,
};

const WANTED: Duration = Duration::from_secs(2);
/// Threads that work for nobody end after a while without work.
const ALL_RELEASED: Duration = Duration::from_secs(30);

in_each_codec!();

#[test]
fn a_tab_of_chromium() {
    dies(Kind::Chromium, "VP8", |browser, tab| {
        tab.crash();
        // Its browser outlives it.
        Some(browser)
    });
}

fn check(kind: Kind, codec: &str) {
    dies(kind, codec, |browser, _| {
        browser.kill();
        None
    });
}

/// `kill` answers what is left of the browser.
fn dies(kind: Kind, codec: &str, kill: impl FnOnce(Browser, &Page) -> Option<Browser>) {
    let _turn = turn();
    let serve = Serve::start();
    let stays = Page::join(Browser::shared(Kind::Chromium), &serve, "stays", "codec=vp8");
    stays.connected_to(BOT, Duration::from_secs(10));
    stays.wait_until(&has_decoded(BOT, 0), Duration::from_secs(10));
    let before = serve.resources();
    let victim = Browser::launch(kind);
    let dies = Page::join(&victim, &serve, "dies", &format!("codec={}", codec.to_lowercase()));
    dies.connected_to(BOT, Duration::from_secs(10));
    stays.connected_to("dies", Duration::from_secs(10));
    stays.wait_until(&has_decoded("dies", 0), Duration::from_secs(10));
    dies.wait_until(&has_decoded(BOT, 0), Duration::from_secs(10));
    let status = |code: u16| format!("(await fetch('/api/peers/dies/pipeline')).status === {code}");
    stays.wait_until(&status(200), Duration::from_secs(5));
    // A silence means more of somebody who sends.
    let sends = "(await (await fetch('/api/peers/dies/stats')).json()).video.packets > 0";
    stays.wait_until(sends, Duration::from_secs(10));
    assert_eq!(dies.stats(BOT)["out"]["video"]["codec"], codec);
    let during = serve.resources();
    let killed = Instant::now();
    let _left = kill(victim, &dies);
    stays.wait_until("!remotemedia.peers().some((p) => p.id === 'dies')", Duration::from_secs(40));
    let gone = killed.elapsed();
    stays.wait_until(&status(404), Duration::from_secs(40));
    let forgotten = killed.elapsed();
    println!(
        "{kind:?} in {codec} killed: gone from the other page after {gone:.2?}, from the bot after {forgotten:.2?}"
    );
    assert!(gone <= WANTED, "{gone:?}");
    assert!(forgotten <= WANTED, "{forgotten:?}");
    assert_eq!(stays.eval("return document.querySelectorAll('article[data-peer=\"dies\"]').length"), 0);
    stays.echoes_text("I am still here", Duration::from_secs(5));
    let Some((before, during)) = before.zip(during) else { return };
    let released = |now: Option<Resources>| {
        now.is_some_and(|now| {
            let fewer = now.descriptors <= before.descriptors && now.threads <= before.threads;
            fewer && now.udp_sockets == before.udp_sockets
        })
    };
    assert!(during.udp_sockets > before.udp_sockets, "{before:?}, and with one more {during:?}");
    while !released(serve.resources()) {
        let now = serve.resources();
        assert!(killed.elapsed() < ALL_RELEASED, "the bot held {before:?}, then {during:?}, and still has {now:?}");
        stays.run_for(Duration::from_millis(50));
    }
    println!(
        "the bot held {before:?} before, {during:?} meanwhile, and no more than before after {:.2?}",
        killed.elapsed()
    );
}
