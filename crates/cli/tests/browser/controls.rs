//! The page's own buttons and fields: mute, stop the picture, write a message.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::{Page, number},
    picture::MIRRORED,
    serve::{BOT, Serve},
    turn,
};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn the_microphone_is_muted_and_unmuted() {
    with_a_call(|page| {
        page.hears(BOT, 440.0, SOON);
        let loud = number(&page.eval(&format!("return {LEVEL}")));
        assert_eq!(label(page, "mic"), "Mute the microphone");
        page.click("#mic");
        let quiet = page.wait_until(&format!("{LEVEL} < {loud} - 40"), SOON);
        assert_eq!(label(page, "mic"), "Unmute the microphone");
        assert_eq!(page.eval(BADGE), "You, silent");
        page.click("#mic");
        let tone = page.hears(BOT, 440.0, SOON);
        println!("{loud:.0} dB, 40 dB less {quiet:.2?} after the click, then {tone}");
        assert!((0.3..0.6).contains(&tone.amplitude), "{tone}");
        assert_eq!(label(page, "mic"), "Mute the microphone");
        assert_eq!(page.eval(BADGE), "You");
    });
}

#[test]
fn the_picture_is_stopped_and_sent_again() {
    with_a_call(|page| {
        page.shows(BOT, MIRRORED, SOON);
        assert_eq!(label(page, "camera"), "Stop the picture");
        page.click("#camera");
        page.wait_until(&format!("(await probe.rate({BOT:?}, 1_000)) === 0"), SOON);
        assert_eq!(label(page, "camera"), "Send a picture");
        assert_eq!(page.eval("return document.querySelector('article.self .why').textContent"), "You send no picture.");
        page.click("#camera");
        page.wait_until(&format!("(await probe.rate({BOT:?}, 500)) > 5"), SOON);
        assert_eq!(label(page, "camera"), "Stop the picture");
        page.shows(BOT, MIRRORED, SOON);
    });
}

#[test]
fn a_message_is_written_and_comes_back() {
    with_a_call(|page| {
        let text = "<b>ünïcode</b> & back";
        page.click("#chat-text");
        page.type_text(text);
        page.press("Enter");
        for (whose, head) in [(".own", "You to everyone"), (":not(.own)", BOT)] {
            let says = |part: &str, words: &str| format!("li.querySelector({part:?}).textContent === {words:?}");
            let is_it = format!("(li) => {} && {}", says("b", head), says("p", text));
            page.wait_until(&format!("[...document.querySelectorAll('#chat-log li{whose}')].some({is_it})"), SOON);
        }
        assert_eq!(page.eval("return document.getElementById('chat-text').value"), "");
    });
}

fn with_a_call(check: impl FnOnce(&Page)) {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "pipeline=mirror");
    page.connected_to(BOT, SOON);
    check(&page);
}

/// What a screen reader says of a button.
fn label(page: &Page, id: &str) -> String {
    page.eval(&format!("return document.getElementById({id:?}).getAttribute('aria-label')"))
        .as_str()
        .unwrap()
        .to_owned()
}

const LEVEL: &str = "probe.level('remotemedia', 440)";

const BADGE: &str = "return document.querySelector('article.self .badge').textContent";
