//! A browser that plays no sound before the page is touched: the page says so, and a click on the button is enough.

use std::time::Duration;

use serde_json::json;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded},
    serve::Serve,
    turn,
};

#[test]
fn chromium_as_it_is_by_default() {
    let _turn = turn();
    let arguments = json!({"extra_args": ["--autoplay-policy=document-user-activation-required"]});
    let careful = Browser::launch_with(Kind::Chromium, arguments);
    let serve = Serve::start();
    // The bot's echo of a test picture is silent anyway.
    let speaker = Page::join(Browser::shared(Kind::Chromium), &serve, "speaker", "room=quiet&tone=660");
    speaker.wait_until("remotemedia.state().joined", Duration::from_secs(10));
    let listener = Page::join(&careful, &serve, "listener", "room=quiet&tone=550");
    // The driver's looks into a page count as touching it, so the speaker is asked first.
    speaker.connected_to("listener", Duration::from_secs(10));
    speaker.wait_until(&has_decoded("listener", 30), Duration::from_secs(10));
    listener.wait_until(SAID, Duration::from_secs(5));
    assert_eq!(listener.eval(SOUND), json!({"muted": true, "paused": false}), "pictures play, sound does not");
    listener.click(".notice[data-code='autoplay-blocked'] button.secondary");
    listener.wait_until(&format!("!({SAID})"), Duration::from_secs(5));
    assert_eq!(listener.eval(SOUND), json!({"muted": false, "paused": false}));
    drop(listener);
    careful.kill();
}

const SAID: &str = "[...document.querySelectorAll('.notice[data-code=\"autoplay-blocked\"]')]
    .some((card) => card.textContent.includes('plays no sound before you touch the page') && card.textContent.includes('Play sound'))";

const SOUND: &str = "const { muted, paused } = document.querySelector('article[data-peer=\"speaker\"] video');
    return { muted, paused };";
