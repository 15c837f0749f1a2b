//! Two pages of one name: the second is told so and what to do, and goes in under another name that is typed.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    not_joined::refused,
    page::Page,
    serve::{BOT, Serve},
    turn,
};

#[test]
fn the_second_page_of_a_name() {
    let _turn = turn();
    let soon = Duration::from_secs(10);
    let serve = Serve::start();
    let browser = Browser::shared(Kind::Chromium);
    let first = Page::join(browser, &serve, "page", "");
    first.connected_to(BOT, soon);
    let second = Page::join(browser, &serve, "page", "");
    let words = "Somebody in this room has that name already. Choose another name and join again.";
    refused(&second, "name-taken", words);
    // The name is selected: what is typed takes its place.
    second.type_text("other");
    second.press("Enter");
    second.wait_until("remotemedia.state().joined && remotemedia.state().name === 'other'", soon);
    second.connected_to("page", soon);
    second.connected_to(BOT, soon);
    first.connected_to("other", soon);
    first.echoes_text("not disturbed", soon);
    assert_eq!(first.eval("return remotemedia.problems()"), serde_json::json!([]));
}
