//! `serve --max-peers`: a page that is one too many is told so, and called as soon as there is room.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{BOT, Serve},
    turn,
};

#[test]
fn the_second_page_of_a_bot_for_one() {
    let _turn = turn();
    let serve = Serve::start_with(&["--max-peers", "1"]);
    let browser = Browser::shared(Kind::Chromium);
    let first = Page::join(browser, &serve, "first", "");
    first.connected_to(BOT, Duration::from_secs(10));
    let second = Page::join(browser, &serve, "second", "");
    second.wait_until(SAID, Duration::from_secs(10));
    // The bot is one matter, the others in the room are another.
    second.connected_to("first", Duration::from_secs(10));
    let told = second.eval("return remotemedia.problems().filter((p) => p.code === 'peer-busy').length");
    assert_eq!(told, 1, "it does not ask again and again");
    drop(first);
    let connected = second.connected_to(BOT, Duration::from_secs(20));
    println!("{connected:.2?} after the first page has left the bot talks to the second");
    second.wait_until(&format!("!({SAID})"), Duration::from_secs(5));
}

const SAID: &str = "[...document.querySelectorAll('.notice[data-code=\"peer-busy\"]')]
    .some((card) => card.textContent.includes('remotemedia talks to as many others as it may'))";
