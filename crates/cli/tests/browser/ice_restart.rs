//! The path of a call is looked for anew while media flows.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded},
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
    let page = Page::join(Browser::shared(kind), &serve, "page", &format!("codec={}", codec.to_lowercase()));
    page.connected_to(BOT, Duration::from_secs(10));
    page.wait_until(&has_decoded(BOT, 30), Duration::from_secs(10));
    page.watch_decoded(BOT);
    page.run_for(Duration::from_secs(1));
    let before = page.watched(BOT);
    let credentials = page.eval(CREDENTIALS);
    page.eval(&format!("await remotemedia.restartIce({BOT:?})"));
    let renewed = page.wait_until(&format!("({CHANGED})({credentials})"), Duration::from_secs(10));
    page.run_for(Duration::from_secs(3));
    let seen = page.watched(BOT);
    let echoed = page.echoes_text("still here", Duration::from_secs(5));
    println!(
        "{kind:?} {codec}: both sides renewed after {renewed:.2?}, longest gap {:.0?} ({:.0?} before the restart), {} pictures in {:.1?}, \
         text back after {echoed:.0?}",
        seen.longest_gap, before.longest_gap, seen.pictures, seen.lasted,
    );
    assert!(seen.longest_gap <= Duration::from_secs(1), "{seen:?}");
    assert_eq!(page.eval("return probe.connections.length"), 1, "the call was made anew");
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
