//! A microphone without a camera: the page joins with sound alone, says so, and the test picture is at hand.

use std::time::Duration;

use serde_json::json;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded},
    serve::{BOT, Serve},
    turn,
};

/// Firefox records what the sound server plays to nowhere; there is no camera.
#[test]
fn firefox_without_a_camera() {
    let _turn = turn();
    let serve = Serve::start();
    let browser = Browser::launch_with(Kind::Firefox, json!({"fake_media": false}));
    let url = format!("{}?join&source=camera&name=page", serve.page_url);
    let page = Page::open(&browser, &url, "page", "");
    page.connected_to(BOT, Duration::from_secs(20));
    page.wait_until(SAID, Duration::from_secs(5));
    assert_eq!(page.eval(&has_pictures()), false);
    page.click(".notice[data-code='no-camera'] button.secondary");
    let seen = page.wait_until(&has_decoded(BOT, 10), Duration::from_secs(10));
    println!("{seen:.2?} after the test picture was chosen it came back");
    drop(page);
    browser.kill();
}

fn has_pictures() -> String {
    format!("return {}", has_decoded(BOT, 0))
}

const SAID: &str = "[...document.querySelectorAll('.notice[data-code=\"no-camera\"]')]
    .some((card) => card.textContent.includes('No camera was found. You are in without picture.'))";
