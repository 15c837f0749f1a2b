//! A browser that dies without a word is gone for everybody else in seconds.

use std::time::{Duration, Instant};

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded},
    serve::{BOT, Serve},
    turn,
};

#[test]
fn chromium() {
    check(Kind::Chromium);
}

#[test]
fn firefox() {
    check(Kind::Firefox);
}

fn check(kind: Kind) {
    let _turn = turn();
    let serve = Serve::start();
    let stays = Page::join(Browser::shared(Kind::Chromium), &serve, "stays", "codec=vp8");
    let victim = Browser::launch(kind);
    let dies = Page::join(&victim, &serve, "dies", "codec=vp8");
    dies.connected_to(BOT, Duration::from_secs(10));
    stays.connected_to("dies", Duration::from_secs(10));
    stays.wait_until(&has_decoded("dies", 0), Duration::from_secs(10));
    let status = |code: u16| format!("(await fetch('/api/peers/dies/pipeline')).status === {code}");
    stays.wait_until(&status(200), Duration::from_secs(5));
    // A silence means more of somebody who sends.
    let sends = "(await (await fetch('/api/peers/dies/stats')).json()).video.packets > 0";
    stays.wait_until(sends, Duration::from_secs(10));
    let killed = Instant::now();
    victim.kill();
    stays.wait_until("!remotemedia.peers().some((p) => p.id === 'dies')", Duration::from_secs(40));
    let gone = killed.elapsed();
    stays.wait_until(&status(404), Duration::from_secs(40));
    let forgotten = killed.elapsed();
    println!("{kind:?} killed: gone from the other page after {gone:.2?}, from the bot after {forgotten:.2?}");
    assert!(gone <= Duration::from_secs(2), "{gone:?}");
    assert!(forgotten <= Duration::from_secs(2), "{forgotten:?}");
    assert_eq!(stays.eval("return document.querySelectorAll('article[data-peer=\"dies\"]').length"), 0);
    stays.echoes_text("I am still here", Duration::from_secs(5));
}
