//! Three browsers and the bot in one room, one page reloading again and again: the others' pictures go on.

use std::time::{Duration, Instant};

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded},
    serve::{BOT, Serve},
    turn, within_reason,
};

const SHORT: Duration = Duration::from_secs(24);
const RELOAD_EVERY: Duration = Duration::from_secs(7);
const WANTED_GAP: Duration = Duration::from_millis(500);

#[test]
fn three_browsers_and_the_bot() {
    let _turn = turn();
    let lasts = std::env::var("REMOTEMEDIA_ROOM_SECS").ok().map(|seconds| seconds.parse().unwrap());
    let lasts = lasts.map_or(SHORT, Duration::from_secs);
    let serve = Serve::start();
    let others = [Kind::Chromium; 2].map(Browser::launch);
    // Small pictures in small windows: what is tested are comings and goings, and twelve encoders run.
    let join = |name, browser| Page::join(browser, &serve, name, "codec=vp8&width=320&height=180&fps=20");
    let alice = join("alice", Browser::shared(Kind::Chromium));
    let [bob, restless] = [("bob", &others[0]), ("restless", &others[1])].map(|(name, browser)| join(name, browser));
    for page in [&alice, &bob, &restless] {
        page.resize(480, 360);
    }
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
        restless.run_for(RELOAD_EVERY.min(lasts.saturating_sub(begin.elapsed())));
        if begin.elapsed() >= lasts {
            break;
        }
        restless.reload();
        let reloaded = Instant::now();
        for peer in ["alice", "bob", BOT] {
            restless.connected_to(peer, Duration::from_secs(20));
        }
        for page in [&alice, &bob] {
            page.connected_to("restless", Duration::from_secs(20));
            page.wait_until(&has_decoded("restless", 0), Duration::from_secs(20));
        }
        reloads += 1;
        println!(
            "reload {reloads}: everybody is connected again and sees who came back {:.2?} after it was loaded",
            reloaded.elapsed()
        );
    }
    let longest = within_reason(WANTED_GAP, 10);
    let results = watched.map(|(page, peer)| (page.name.as_str(), peer, page.watched(peer)));
    for (page, peer, seen) in &results {
        let rate = seen.pictures as f64 / seen.lasted.as_secs_f64();
        let verdict = if seen.longest_gap > WANTED_GAP { ", more than wanted" } else { "" };
        println!(
            "{page} sees {peer}: {rate:.1} pictures/s, longest gap {:.0?} at {:.1?}{verdict}",
            seen.longest_gap, seen.at
        );
    }
    assert!(reloads > 0);
    for (page, peer, seen) in results {
        assert!(seen.pictures > 0 && seen.longest_gap <= longest, "{page} sees {peer}: {seen:?}");
    }
}
