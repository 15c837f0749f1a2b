//! A peer that dies without a word: the page says so for a while, and who it was.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{Call, Serve},
    turn,
};

#[test]
fn a_caller_that_is_killed() {
    let _turn = turn();
    let soon = Duration::from_secs(10);
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "room=quiet");
    page.wait_until("remotemedia.state().joined", soon);
    let call = serve.call(&page.name, &["--room", "quiet"]);
    page.connected_to(Call::NAME, soon);
    // Which kills it.
    drop(call);
    let said = page.wait_until(SAID, soon);
    println!("said after {said:.2?}");
    assert_eq!(page.eval("return document.querySelectorAll('article[data-peer=\"caller\"]').length"), 0);
    // It needs no click to go away.
    page.wait_until(&format!("!({SAID})"), soon);
}

const SAID: &str = "[...document.querySelectorAll('.notice[data-code=\"peer-gone\"]')]
    .some((card) => card.textContent.includes('caller left without a word. You are connected again as soon as it comes back.'))";
