//! Three pages and the bot in one room, one page reloading again and again: the others' pictures go on.

use std::time::{Duration, Instant};

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{BOT, Serve},
    turn,
};

const RELOAD_EVERY: Duration = Duration::from_secs(7);
const WANTED_GAP: Duration = Duration::from_millis(500);
/// Ten times that: a machine that has other work delays pictures too.
const LONGEST_GAP: Duration = Duration::from_secs(5);

#[test]
fn three_chromium_pages_and_the_bot() {
    let _turn = turn();
    let lasts = std::env::var("REMOTEMEDIA_ROOM_SECS").map_or(20, |seconds| seconds.parse().unwrap());
    let lasts = Duration::from_secs(lasts);
    let serve = Serve::start();
    let browser = Browser::shared(Kind::Chromium);
    // Small pictures: what is tested are comings and goings, and nine encoders run.
    let join = |name| Page::join(browser, &serve, name, "codec=vp8&width=320&height=180&fps=20");
    let [alice, bob, restless] = ["alice", "bob", "restless"].map(join);
    let everybody = [(&alice, ["bob", "restless"]), (&bob, ["alice", "restless"]), (&restless, ["alice", "bob"])];
    for (page, others) in everybody {
        for peer in others.iter().chain([&BOT]) {
            page.connected_to(peer, Duration::from_secs(20));
        }
    }
    let watched = [(&alice, "bob"), (&alice, BOT), (&bob, "alice"), (&bob, BOT)];
    for (page, peer) in watched {
        page.wait_until(&format!("(probe.quarters({peer:?}), true)"), Duration::from_secs(10));
        page.watch(peer);
    }
    let begin = Instant::now();
    let mut reloads = 0;
    while begin.elapsed() < lasts {
        let now = Instant::now();
        restless.run_for(RELOAD_EVERY.min(lasts.saturating_sub(begin.elapsed())));
        if begin.elapsed() >= lasts {
            break;
        }
        restless.reload();
        for peer in ["alice", "bob", BOT] {
            restless.connected_to(peer, Duration::from_secs(20));
        }
        for page in [&alice, &bob] {
            page.connected_to("restless", Duration::from_secs(20));
        }
        reloads += 1;
        println!(
            "reload {reloads}: everybody is connected again after {:.2?}",
            now.elapsed().saturating_sub(RELOAD_EVERY)
        );
    }
    let results = watched.map(|(page, peer)| (page.name.as_str(), peer, page.watched(peer)));
    for (page, peer, seen) in &results {
        let rate = seen.pictures as f64 / seen.lasted.as_secs_f64();
        let verdict = if seen.longest_gap > WANTED_GAP { ", more than wanted" } else { "" };
        println!(
            "{page} sees {peer}: {rate:.1} pictures/s, longest gap {:.0?} at {:.1?}{verdict}",
            seen.longest_gap, seen.at
        );
    }
    assert!(reloads > 0 || lasts < RELOAD_EVERY);
    for (page, peer, seen) in results {
        assert!(seen.pictures > 0 && seen.longest_gap <= LONGEST_GAP, "{page} sees {peer}: {seen:?}");
    }
}
