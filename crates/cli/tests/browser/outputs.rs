//! A pipeline with several outputs: one of them comes back, and the page chooses which.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::{BOT, Serve, example},
    turn,
};

#[test]
fn a_page_chooses_the_quality_that_it_is_sent() {
    let _turn = turn();
    let tiers = example("broadcast_tiers.yaml");
    let serve = Serve::start_with(&["--manifest", tiers.to_str().unwrap()]);
    let parameters = "pipeline=broadcast_tiers&width=960&height=540";
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", parameters);
    page.connected_to(BOT, Duration::from_secs(10));
    assert_eq!(page.eval("return remotemedia.state().output"), "full", "the first, until another is chosen");
    let is_high = |height: u32| format!("(await remotemedia.stats({BOT:?})).in.video.height === {height}");
    // Chromium begins with less, and asks for more step by step.
    page.wait_until(&is_high(540), Duration::from_secs(45));
    page.eval(
        "const choice = document.getElementById('output');
         choice.value = 'small';
         choice.dispatchEvent(new Event('change', { bubbles: true }));",
    );
    let seen = page.wait_until(&is_high(480), Duration::from_secs(10));
    println!("480 lines {seen:.2?} after they were chosen");
    // The nodes on the way there run, and no others.
    let running = format!("(await (await fetch('/api/peers/{}/pipeline')).json())", page.name);
    page.wait_until(&format!("{running}.nodes.map(({{ id }}) => id).join() === 'scale_480'"), Duration::from_secs(5));
    page.wait_until("remotemedia.state().output === 'small'", Duration::from_secs(5));
    page.hears(BOT, 440.0, Duration::from_secs(5));
}
