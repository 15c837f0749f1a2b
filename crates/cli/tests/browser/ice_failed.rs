//! No network path: the page says so next to the peer's name, once, and offers to try again.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{BOT, Serve},
    turn,
};

/// A firewall that lets nothing through: only relays may be used, and there are none.
const FIREWALL: &str = "const Open = window.RTCPeerConnection;
    window.firewall = true;
    window.RTCPeerConnection = class extends Open {
        constructor(options) {
            super({ ...options, ...(window.firewall ? { iceTransportPolicy: 'relay' } : {}) });
        }
    };";

#[test]
fn a_page_behind_a_firewall() {
    let _turn = turn();
    let serve = Serve::start();
    let url = format!("{}?join&source=test&name=page", serve.page_url);
    let page = Page::open(Browser::shared(Kind::Chromium), &url, "page", FIREWALL);
    let said = page.wait_until(SAID, Duration::from_secs(60));
    // On a busy machine it may be later with it than the page.
    let told = (0..500).any(|_| {
        page.eval("await probe.pause(20)");
        serve.events().iter().any(|event| event["event"] == "peer_failed")
    });
    assert!(told, "the bot says so as well");
    // The second try fails like the first, and nothing is said anew.
    page.wait_until("probe.connections.length >= 3", Duration::from_secs(60));
    let problems = page.eval("return remotemedia.problems().filter((p) => p.code === 'ice-failed').length");
    assert_eq!(problems, 1);
    page.eval("window.firewall = false");
    page.click(".notice[data-code='ice-failed'] button.secondary");
    let connected = page.connected_to(BOT, Duration::from_secs(20));
    println!("said after {said:.1?}; connected {connected:.2?} after the firewall let it and \"Try again\" was chosen");
    page.wait_until(&format!("!({SAID})"), Duration::from_secs(5));
}

const SAID: &str = "[...document.querySelectorAll('.notice[data-code=\"ice-failed\"]')]
    .some((card) => card.textContent.includes('remotemedia: No network path was found') && card.textContent.includes('Try again'))";
