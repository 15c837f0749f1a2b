//! A page joins, and sees, hears and reads itself through the bot's pipeline, in each codec that its browser has.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded, is_full_size, number},
    picture::MIRRORED,
    serve::{BOT, Serve},
    turn,
};

in_each_codec!();

fn check(kind: Kind, codec: &str) {
    let _turn = turn();
    let serve = Serve::start();
    let parameters = format!("codec={}&pipeline=mirror", codec.to_lowercase());
    let page = Page::join(Browser::shared(kind), &serve, "page", &parameters);
    let connected = page.connected_to(BOT, Duration::from_secs(10));
    let seen = page.wait_until(&has_decoded(BOT, 0), Duration::from_secs(10));
    let rate = page.frame_rate(BOT, Duration::from_secs(3));
    // What comes back is as large as what the bot decoded.
    let large = page.wait_until(&is_full_size(BOT), Duration::from_secs(30));
    let stats = page.stats(BOT);
    page.shows(BOT, MIRRORED, Duration::from_secs(5));
    let tone = page.hears(BOT, 440.0, Duration::from_secs(5));
    let text = page.echoes_text("ünïcode, and back", Duration::from_secs(5));
    let binary = page.echoes_binary(60_000, Duration::from_secs(5));
    println!(
        "{kind:?} {codec}: connected after {connected:.2?} ({} ms as the page counts), first picture {seen:.2?} later, {rate:.1} \
         frames/s, {}x{} another {large:.2?} later, {tone}, text back after {text:.0?}, 60 kB after {binary:.0?}, round trip {} ms",
        stats["connect_ms"], stats["in"]["video"]["width"], stats["in"]["video"]["height"], stats["rtt_ms"],
    );
    for direction in ["in", "out"] {
        assert_eq!(stats[direction]["video"]["codec"], codec, "{direction}");
    }
    assert!(rate >= 15.0, "{rate} frames/s");
    // Sent with an amplitude of 0.25; the pipeline doubles it.
    assert!((0.3..0.6).contains(&tone.amplitude), "{tone}");
    assert!(number(&stats["in"]["audio"]["packets"]) > 0.0);
}
