//! Why a page could not join: it says so in words, with what to do, and the test picture is a way out where one is possible.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{BOT, Serve},
    turn,
};

#[test]
fn no_camera_in_chromium() {
    let _turn = turn();
    let browser = Browser::launch_with(Kind::Chromium, json!({"fake_media": false}));
    check(&browser, "no-camera", "No camera or microphone was found.", "");
    browser.kill();
}

#[test]
fn no_permission_in_chromium() {
    let _turn = turn();
    let browser = Browser::launch_with(Kind::Chromium, json!({"extra_args": ["--use-fake-ui-for-media-stream=deny"]}));
    check(&browser, "permission-denied", "not allowed to use the camera", "");
    browser.kill();
}

#[test]
fn no_permission_in_firefox() {
    let _turn = turn();
    let prefs = json!({
        "media.navigator.permission.disabled": false,
        "permissions.default.camera": 2,
        "permissions.default.microphone": 2,
    });
    let browser = Browser::launch_with(Kind::Firefox, json!({"extra_prefs": prefs}));
    check(&browser, "permission-denied", "not allowed to use the camera", "");
    browser.kill();
}

/// No browser without a head has a camera that another program could hold: the error is the one that browsers give then.
#[test]
fn a_camera_that_is_in_use() {
    let _turn = turn();
    let in_use = "navigator.mediaDevices.getUserMedia = async () => {
        throw new DOMException('Could not start video source', 'NotReadableError');
    }";
    check(Browser::shared(Kind::Chromium), "device-busy", "in use by another program", in_use);
}

#[test]
fn a_page_that_did_not_come_over_a_secure_connection() {
    let _turn = turn();
    // A name that stands for this machine, and that is not "localhost".
    let arguments = json!({"extra_args": ["--host-resolver-rules=MAP somewhere.test 127.0.0.1"]});
    let browser = Browser::launch_with(Kind::Chromium, arguments);
    let serve = Serve::start();
    let address = serve.page_url.replace("127.0.0.1", "somewhere.test");
    let url = format!("{address}?join&source=camera&name=page");
    let page = Page::open(&browser, &url, "page", "");
    assert_eq!(page.eval("return window.isSecureContext"), false);
    refused(&page, "insecure-context", "secure pages only");
    way_out(&page);
    drop(page);
    browser.kill();
}

#[test]
fn a_browser_that_cannot_make_calls() {
    let _turn = turn();
    let browser = Browser::launch_with(Kind::Firefox, json!({"extra_prefs": {"media.peerconnection.enabled": false}}));
    let serve = Serve::start();
    let page = Page::join(&browser, &serve, "page", "");
    let help = refused(&page, "no-webrtc", "cannot make calls");
    assert_eq!(help, Value::Null, "a test picture is no help");
    drop(page);
    browser.kill();
}

/// A page that wants camera and microphone, after `script`, says `words` of the problem `code`.
fn check(browser: &Browser, code: &str, words: &str, script: &str) {
    let serve = Serve::start();
    let url = format!("{}?join&source=camera&name=page", serve.page_url);
    let page = Page::open(browser, &url, "page", script);
    refused(&page, code, words);
    way_out(&page);
}

/// Waits until the page says why it did not join, and answers what the button in that text says.
pub(crate) fn refused(page: &Page, code: &str, words: &str) -> Value {
    page.wait_until(&format!("remotemedia.problems().some((p) => p.code === {code:?})"), Duration::from_secs(20));
    let seen = page.eval(
        "const card = document.getElementById('join-problem');
         const shown = card.getClientRects().length > 0;
         const help = card.querySelector('button');
         return { text: shown ? card.textContent : '', help: help?.textContent ?? null, problems: remotemedia.problems() }",
    );
    println!("{code}: {}", seen["text"]);
    assert!(seen["text"].as_str().unwrap().contains(words), "{seen}");
    assert_eq!(page.eval("return remotemedia.state().joined"), false);
    seen["help"].clone()
}

/// The page joins with the test picture instead.
fn way_out(page: &Page) {
    page.click("#join-problem button");
    page.connected_to(BOT, Duration::from_secs(20));
    assert_eq!(page.eval("return document.getElementById('lobby').hidden"), true);
}
