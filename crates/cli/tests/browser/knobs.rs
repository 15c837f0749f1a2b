//! The knobs on the page change the nodes that run: what comes back is louder, quieter, upside down, or the reason why not.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::Page,
    picture::{
        Colour::{Blue, Green, Red, Yellow},
        MIRRORED,
    },
    serve::{BOT, Serve},
    turn,
};

#[test]
fn a_slider_a_choice_and_a_number_that_is_too_large() {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "pipeline=mirror");
    page.connected_to(BOT, Duration::from_secs(10));
    let loud = page.hears(BOT, 440.0, Duration::from_secs(10));
    page.shows(BOT, MIRRORED, Duration::from_secs(5));
    page.wait_until(&format!("{}.value === '6'", knob("louder", "db", "input[type=number]")), Duration::from_secs(5));

    turn_knob(&page, "louder", "db", "input[type=range]", "-14");
    let quiet = page.hears(BOT, 440.0, Duration::from_secs(5));
    println!("at 6 dB the page hears {loud}, at -14 dB {quiet}");
    // 20 dB are a tenth.
    assert!((quiet.amplitude / loud.amplitude / 0.1 - 1.0).abs() < 0.3, "{loud}, then {quiet}");

    turn_knob(&page, "flip", "direction", "select", "vertical");
    page.shows(BOT, [Blue, Yellow, Red, Green], Duration::from_secs(5));

    turn_knob(&page, "louder", "db", "input[type=number]", "100");
    let said = "document.querySelector('.knobs[data-node=\"louder\"] .inline-problem').textContent";
    page.wait_until(&format!("{said}.includes('use a number from -120 to 60 dB')"), Duration::from_secs(5));
    let still = page.hears(BOT, 440.0, Duration::from_secs(5));
    assert!((still.amplitude / quiet.amplitude - 1.0).abs() < 0.3, "{quiet}, then {still}");
}

fn knob(node: &str, param: &str, input: &str) -> String {
    format!("document.querySelector('.knobs[data-node={node:?}] [data-param={param:?}] {input}')")
}

fn turn_knob(page: &Page, node: &str, param: &str, input: &str, value: &str) {
    page.eval(&format!(
        "const input = {};
         input.value = {value:?};
         for (const type of ['input', 'change']) input.dispatchEvent(new Event(type, {{ bubbles: true }}));",
        knob(node, param, input)
    ));
}
