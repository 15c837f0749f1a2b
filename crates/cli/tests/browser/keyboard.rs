//! The page without a mouse: the Tab key goes to everything that can be used.

use std::time::Duration;

use serde_json::json;

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{BOT, Serve},
    turn,
};

#[test]
fn the_tab_key_reaches_everything() {
    let _turn = turn();
    let soon = Duration::from_secs(10);
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "pipeline=mirror");
    page.connected_to(BOT, soon);
    // The knobs can be turned once the pipeline runs.
    page.wait_until("document.querySelector('.knobs input')?.disabled === false", soon);
    page.eval("window.reached = new Set(); document.querySelector('.brand').focus()");
    let mut left = json!(null);
    for _ in 0..100 {
        page.press("Tab");
        left = page.eval(LEFT);
        if left == json!([]) {
            break;
        }
    }
    assert_eq!(left, json!([]), "the key does not reach these");
    let count = page.eval("return reached.size");
    assert!(count.as_u64() >= Some(20), "{count} are not all there is in a call");
}

/// What can be used and has not had the focus.
const LEFT: &str = "reached.add(document.activeElement);
    return [...document.querySelectorAll('button, input, select')]
        .filter((one) => !one.disabled && one.checkVisibility() && !reached.has(one))
        .map((one) => one.id || one.getAttribute('aria-label') || one.outerHTML);";
