//! A server that goes away: the page says so, with what to do, and what it was doing goes on when there is a server again.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    not_joined::refused,
    page::{Page, is_connected},
    picture::TEST_PICTURE,
    serve::{BOT, Serve},
    turn,
};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn for_a_moment() {
    check("true");
}

#[test]
fn until_the_call_with_its_bot_broke_too() {
    check(&format!("!{}", is_connected(BOT)));
}

/// The server is killed in the middle of a call, and another one is started when `condition` holds in the page.
fn check(condition: &str) {
    let _turn = turn();
    let serve = Serve::start();
    // Not the pipeline that everybody has at first: the choice is to last.
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "pipeline=echo");
    page.connected_to(BOT, SOON);
    page.shows(BOT, TEST_PICTURE, SOON);
    let address = serve.kill();
    let said = page.wait_until(SAID, SOON);
    page.wait_until("document.getElementById('signal').textContent === 'Reconnecting to the server…'", SOON);
    page.wait_until(condition, 2 * SOON);
    let _again = Serve::start_at(&address);
    // Between two tries there are ten seconds at most.
    let reached = page.wait_until(&format!("!({SAID})"), 2 * SOON);
    let flows = page.wait_until(&format!("(await probe.rate({BOT:?}, 500)) > 5"), 2 * SOON);
    println!(
        "said after {said:.2?}; the new server is reached {reached:.2?} after it began, pictures {flows:.2?} later"
    );
    page.connected_to(BOT, SOON);
    page.shows(BOT, TEST_PICTURE, SOON);
    page.hears(BOT, 440.0, SOON);
    page.echoes_text("here again", SOON);
    assert_eq!(page.eval("return document.getElementById('signal').textContent"), "");
    let told = page.eval("return remotemedia.problems().map((p) => p.code).join()");
    assert_eq!(told, "server-gone", "it is said once, and nothing else is");
}

#[test]
fn before_the_page_has_joined() {
    let _turn = turn();
    let serve = Serve::start();
    let url = format!("{}?source=test&name=page", serve.page_url);
    let page = Page::open(Browser::shared(Kind::Chromium), &url, "page", "");
    page.wait_until("document.getElementById('pipeline').options.length > 0", SOON);
    let address = serve.kill();
    page.click("#join-button");
    let words = "The server does not answer. See whether “remotemedia serve” is running, then join again.";
    refused(&page, "server-unreachable", words);
    let _again = Serve::start_at(&address);
    page.click("#join-button");
    page.connected_to(BOT, SOON);
    assert_eq!(page.eval("return document.getElementById('lobby').hidden"), true);
}

const SAID: &str = "[...document.querySelectorAll('.notice[data-code=\"server-gone\"]')]
    .some((card) => card.textContent.includes('The connection to the server is lost. This page reconnects by itself')
        && card.textContent.includes('see whether “remotemedia serve” is running'))";
