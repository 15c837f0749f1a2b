//! The figures beside a call: rates, round trip, frames, and how long each node of the pipeline takes.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{BOT, Serve},
    turn,
};

#[test]
fn a_call_with_the_bot() {
    let _turn = turn();
    let soon = Duration::from_secs(10);
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "pipeline=mirror");
    page.connected_to(BOT, soon);
    page.run_for(Duration::from_secs(5));
    for (cell, pattern) in [
        ("up", r"^[1-9][\d.]* [kM]bit\/s$"),
        ("down", r"^[1-9][\d.]* [kM]bit\/s$"),
        ("rtt", r"^\d[\d.]* ms$"),
        ("fps", r"^[1-9]\d*$"),
    ] {
        page.wait_until(&format!("/{pattern}/.test({})", text(&format!(".cell.{cell} b"))), soon);
    }
    page.wait_until(&format!(r"/^\w+ · \d+×\d+ · [\d,]+ frames · loss \d/.test({})", text(".summary")), soon);
    page.wait_until(&format!("({TIMES}).join() === 'flip,louder'"), soon);
    println!(
        "{}",
        page.eval("return [...document.querySelectorAll('.cell b, #graph .figure')].map((one) => one.textContent)")
    );

    page.click("article.bot .figures .link");
    page.wait_until(&format!("/Frames decoded[1-9]/.test({})", text(".table")), soon);
    page.wait_until(&format!(r"/Estimated bandwidth[1-9][\d.]* [kM]bit\/s/.test({})", text(".table")), soon);
}

/// What a part of the bot's tile says.
fn text(selector: &str) -> String {
    format!("document.querySelector('article.bot {selector}').textContent")
}

/// The nodes in the drawing that say how long they take.
pub(crate) const TIMES: &str = "[...document.querySelectorAll('#graph .node.inner')]
    .filter((node) => /^[\\d.]+ (µs|ms) mean/.test(node.querySelector('.figure').textContent))
    .map((node) => node.querySelector('.id').textContent)";
