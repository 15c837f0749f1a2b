//! A twentieth of all media packets is lost each way: what is lost is sent again in time, so that pictures go on and the
//! bot misses no packet of them.

use std::time::Duration;

use serde_json::json;

use crate::{
    driver::{Browser, Kind},
    is_quiet,
    page::{Page, has_decoded, number},
    serve::{BOT, Serve},
    turn, within_reason,
};

const WANTED_GAP: Duration = Duration::from_millis(500);

#[test]
fn chromium_sees_no_freeze() {
    let _turn = turn();
    let serve = Serve::start_with(&["--drop", "0.05"]);
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "codec=vp8&pipeline=mirror");
    page.connected_to(BOT, Duration::from_secs(20));
    page.wait_until(&has_decoded(BOT, 30), Duration::from_secs(20));
    let before = page.stats(BOT);
    page.watch(BOT);
    page.run_for(Duration::from_secs(30));
    let seen = page.watched(BOT);
    let after = page.stats(BOT);
    let bot = serve.stats(&page);
    let grown = |path: [&str; 3]| {
        let [direction, kind, name] = path;
        number(&after[direction][kind][name]) - number(&before[direction][kind][name])
    };
    let (sent, returned) = (grown(["out", "video", "frames"]), grown(["in", "video", "frames_decoded"]));
    let (repeated, asked) = (grown(["in", "video", "rtx"]), grown(["out", "video", "rtx"]));
    let verdict = if seen.longest_gap > WANTED_GAP { ", more than wanted" } else { "" };
    println!(
        "5 % lost each way: {sent} pictures sent, {returned} came back, longest gap {:.0?}{verdict}; packets repeated by the bot \
         {repeated}, by the page {asked}; keyframes asked for by the bot {}, by the page {}",
        seen.longest_gap,
        grown(["out", "video", "pli"]),
        grown(["in", "video", "pli"]),
    );
    println!("the bot received {}", json!({"audio": bot["audio"], "video": bot["video"]}));
    assert!(seen.longest_gap <= within_reason(WANTED_GAP, 10), "{seen:?}");
    let video = |name: &str| number(&bot["video"][name]);
    assert!(video("lost") > 0.0, "{bot}");
    // A packet is missing if every one of twenty requests or its answer is lost, so none should be. A page that a busy machine
    // does not let answer for a second is no failure of ours.
    let may_miss = if is_quiet() { 0.0 } else { video("lost") / 20.0 };
    assert!(video("missing") <= may_miss, "{} video packets never came: {bot}", video("missing"));
    assert!(number(&bot["audio"]["jitter_ms"]) < 100.0 && video("jitter_ms") < 100.0, "{bot}");
    assert!(repeated > 0.0 && asked > 0.0, "what was lost is sent again, both ways");
    // A picture that is not whole after its repetitions is lost, with those that lean on it.
    assert!(returned >= sent * 0.9, "{returned} of {sent} pictures came back");
}
