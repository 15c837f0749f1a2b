//! The path of a call is looked for anew while media flows, at the wish of either side.

use std::time::Duration;

use serde_json::json;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded, number},
    serve::{BOT, Serve},
    turn, within_reason,
};

const WANTED_GAP: Duration = Duration::from_secs(1);

mod started_by_the_page {
    in_each_codec!();

    fn check(kind: crate::driver::Kind, codec: &str) {
        super::check(kind, codec, &[super::Starter::Page]);
    }
}

mod started_by_the_bot {
    in_each_codec!();

    fn check(kind: crate::driver::Kind, codec: &str) {
        super::check(kind, codec, &[super::Starter::Bot]);
    }
}

mod started_by_one_after_the_other {
    cases! {
        chromium_in_vp8(Chromium, "VP8");
        firefox_in_vp8(Firefox, "VP8");
    }

    fn check(kind: crate::driver::Kind, codec: &str) {
        super::check(kind, codec, &[super::Starter::Page, super::Starter::Bot, super::Starter::Page]);
    }
}

/// Who wants the new path.
#[derive(Clone, Copy, Debug)]
enum Starter {
    Page,
    Bot,
}

fn check(kind: Kind, codec: &str, starters: &[Starter]) {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(kind), &serve, "page", &format!("codec={}", codec.to_lowercase()));
    page.connected_to(BOT, Duration::from_secs(10));
    page.wait_until(&has_decoded(BOT, 30), Duration::from_secs(10));
    for &starter in starters {
        restart(&page, BOT, starter);
        let echoed = page.echoes_text("still here", Duration::from_secs(5));
        println!("{kind:?} {codec}: text back after {echoed:.0?}");
        page.hears(BOT, 440.0, Duration::from_secs(5));
    }
}

/// Has the page look for a new path to a peer, checks that it is found and that media goes on, and answers the longest gap
/// between pictures.
pub(crate) fn restart_by_page(page: &Page, peer: &str) -> Duration {
    restart(page, peer, Starter::Page)
}

fn restart(page: &Page, peer: &str, starter: Starter) -> Duration {
    page.watch(peer);
    page.run_for(Duration::from_secs(1));
    let before = page.watched(peer);
    let credentials = page.eval(CREDENTIALS);
    let audio_before = audio_packets(page, peer);
    start(starter, page, peer);
    let renewed = page.wait_until(&format!("({CHANGED})({credentials})"), Duration::from_secs(10));
    let used = page.wait_until(&format!("await ({USED})()"), Duration::from_secs(10));
    page.run_for(Duration::from_secs(3));
    let seen = page.watched(peer);
    let audio = audio_packets(page, peer) - audio_before;
    let verdict = if seen.longest_gap > WANTED_GAP { ", more than wanted" } else { "" };
    println!(
        "{starter:?} restarts; credentials of both sides are new after {renewed:.2?} and in use {used:.2?} later, longest gap \
         {:.0?}{verdict} ({:.0?} before the restart), {} pictures in {:.1?}, {audio} packets of sound since the restart",
        seen.longest_gap, before.longest_gap, seen.pictures, seen.lasted,
    );
    assert!(seen.longest_gap <= within_reason(WANTED_GAP, 3), "{seen:?}");
    // 50 a second; a third of them would not be sound that goes on.
    assert!(audio >= 50.0, "{audio} packets of sound in more than three seconds");
    assert_eq!(page.eval("return probe.connections.length"), 1, "the call was made anew");
    seen.longest_gap
}

fn start(starter: Starter, page: &Page, peer: &str) {
    match starter {
        Starter::Page => page.eval(&format!("await remotemedia.restartIce({peer:?})")),
        Starter::Bot => {
            let asked = format!(
                "const answer = await fetch('/api/peers/{}/restart-ice', {{ method: 'POST' }});
                 return [answer.status, typeof (await answer.json()).text]",
                page.name
            );
            let answer = page.eval(&asked);
            assert_eq!(answer, json!([202, "string"]));
            answer
        }
    };
}

fn audio_packets(page: &Page, peer: &str) -> f64 {
    number(&page.stats(peer)["in"]["audio"]["packets"])
}

/// The ICE credentials of both sides.
const CREDENTIALS: &str = "const [pc] = probe.connections;
    const ufrag = ({ sdp }) => /a=ice-ufrag:(\\S+)/.exec(sdp)[1];
    return [ufrag(pc.localDescription), ufrag(pc.remoteDescription)];";

/// Whether both have become others, and the negotiation is done.
const CHANGED: &str = "([ours, theirs]) => {
    const [pc] = probe.connections;
    const ufrag = ({ sdp }) => /a=ice-ufrag:(\\S+)/.exec(sdp)[1];
    return pc.signalingState === 'stable' && ufrag(pc.localDescription) !== ours && ufrag(pc.remoteDescription) !== theirs;
}";

/// Whether the pair of candidates that carries the call is one of the new credentials, where the browser tells.
const USED: &str = "async () => {
    const [pc] = probe.connections;
    const report = await pc.getStats();
    const all = [...report.values()];
    const transport = all.find((one) => one.type === 'transport' && one.selectedCandidatePairId);
    const pair = report.get(transport?.selectedCandidatePairId) ?? all.find((one) => one.type === 'candidate-pair' && one.selected);
    const ufrag = report.get(pair?.localCandidateId)?.usernameFragment ?? transport?.iceLocalUsernameFragment;
    return pc.connectionState === 'connected' && (!ufrag || pc.localDescription.sdp.includes(`a=ice-ufrag:${ufrag}`));
}";
