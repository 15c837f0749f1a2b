//! The page on a phone, and in light and dark colours.

use std::time::Duration;

use serde_json::json;

use crate::{
    driver::{Browser, Kind},
    page::{Page, has_decoded, number},
    serve::{BOT, Serve},
    turn,
};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn a_phone_shows_both_pictures_and_scrolls_down_only() {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "");
    page.connected_to(BOT, SOON);
    page.wait_until(&has_decoded(BOT, 0), SOON);
    page.resize(360, 640);
    page.wait_until("innerWidth === 360 && innerHeight === 640", SOON);
    for tile in ["self", BOT] {
        page.wait_until(&format!("({IS_SEEN})({tile:?})"), SOON);
    }
    page.wait_until(FITS, SOON);
    // One panel after the other lies over the pictures, and what is below the call fits as well.
    for button in ["#show-pipeline", "#show-chat", "#leave"] {
        page.click(button);
        page.wait_until(FITS, SOON);
    }
}

#[test]
fn texts_can_be_read_in_light_and_in_dark() {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "");
    page.connected_to(BOT, SOON);
    page.wait_until("document.querySelector('#graph .figure').textContent.includes('mean')", SOON);
    let [light, dark] = ["light", "dark"].map(|scheme| {
        page.prefer_colours(scheme);
        let seen = page.eval(COLOURS);
        println!("{scheme}: {seen}");
        for one in seen.as_array().unwrap() {
            assert!(number(&one["contrast"]) >= 4.5, "{scheme}: {one}");
        }
        seen
    });
    for (light, dark) in light.as_array().unwrap().iter().zip(dark.as_array().unwrap()) {
        for colour in ["text", "ground"] {
            assert_ne!(light[colour], dark[colour], "{}", light["of"]);
        }
    }
    assert_eq!(page.eval("return remotemedia.problems()"), json!([]));
}

const FITS: &str = "document.documentElement.scrollWidth <= document.documentElement.clientWidth";

/// Whether a tile's picture is all in the window, with nothing over its middle.
const IS_SEEN: &str = "(tile) => {
    const video = document.querySelector(`article[data-peer=\"${tile}\"] video`);
    const { left, top, right, bottom } = video.getBoundingClientRect();
    const over = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return video.videoWidth > 0 && getComputedStyle(video).opacity === '1' && right - left > 300
        && left >= 0 && top >= 0 && right <= innerWidth && bottom <= innerHeight && over?.closest('article')?.contains(video);
}";

/// Of some texts, among them a button's, the colours and their contrast as WCAG 2 has it.
const COLOURS: &str = "const canvas = Object.assign(document.createElement('canvas'), { width: 1, height: 1 });
    const context = canvas.getContext('2d', { willReadFrequently: true });
    const painted = (colours) => {
        for (context.fillStyle of colours) context.fillRect(0, 0, 1, 1);
        return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3);
    };
    const linear = (value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
    const luminance = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
    const under = (node) => (node ? [...under(node.parentElement), getComputedStyle(node).backgroundColor] : ['white']);
    const box = document.querySelector('#graph .inner rect');
    return ['body', '#leave', '.hint', '.link', '.cell .label', '#graph .figure'].map((of) => {
        const node = document.querySelector(of);
        const { fill, color } = getComputedStyle(node);
        const drawn = node instanceof SVGElement;
        const ground = painted([...under(node), ...(drawn ? [getComputedStyle(box).fill] : [])]);
        const text = painted([drawn ? fill : color]);
        const [low, high] = [luminance(ground), luminance(text)].sort((a, b) => a - b);
        return { of, text, ground, contrast: (high + 0.05) / (low + 0.05) };
    });";
