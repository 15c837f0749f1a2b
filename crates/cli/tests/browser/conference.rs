//! Two pages choose the conference: each hears the other and not itself; who chooses something else is not touched by it.

use std::time::Duration;

use crate::{
    driver::{Browser, Kind},
    page::{Page, number},
    serve::{BOT, Serve, example},
    turn,
};

const SOON: Duration = Duration::from_secs(10);

#[test]
fn two_pages_hear_each_other_and_not_themselves() {
    let _turn = turn();
    let conference = example("conference.yaml");
    let serve = Serve::start_with(&["--manifest", conference.to_str().unwrap()]);
    let browser = Browser::shared(Kind::Chromium);
    let low = Page::join(browser, &serve, "low", "tone=440&video=0&pipeline=conference");
    let high = Page::join(browser, &serve, "high", "tone=660&video=0");
    for page in [&low, &high] {
        page.connected_to(BOT, SOON);
    }
    // One in the conference, the other with the pipeline that everybody has at first.
    low.wait_until("remotemedia.state().together.join() === 'low'", SOON);
    high.hears(BOT, 660.0, SOON);

    high.eval("await remotemedia.setPipeline('conference')");
    for (page, own, other) in [(&low, 440.0, 660.0), (&high, 660.0, 440.0)] {
        let tone = page.hears(BOT, other, SOON);
        let (theirs, mine) = (level(page, other), level(page, own));
        println!("{} hears {tone}; the other is {:.0} dB louder than itself", page.name, theirs - mine);
        assert!(theirs - mine > 25.0, "{theirs} dB of the other, {mine} dB of itself");
        page.wait_until("remotemedia.state().together.join() === 'high,low'", SOON);
    }
    // The direct call between them would let everybody be heard twice.
    low.wait_until(&is_muted("high"), SOON);
    assert!(text(&low, "#pipeline-about").contains("With you: high."), "{}", text(&low, "#pipeline-about"));

    high.eval("await remotemedia.setPipeline('mirror')");
    high.hears(BOT, 660.0, SOON);
    low.wait_until(&format!("!({})", is_muted("high")), SOON);
    low.wait_until(&format!("probe.level({BOT:?}, 660) < {} - 25", level(&high, 660.0)), SOON);
}

/// How loud a frequency is that comes from the bot, in dB.
fn level(page: &Page, hz: f64) -> f64 {
    number(&page.eval(&format!("return probe.level({BOT:?}, {hz})")))
}

fn is_muted(peer: &str) -> String {
    format!("document.querySelector('article[data-peer={peer:?}] video').muted")
}

fn text(page: &Page, selector: &str) -> String {
    page.eval(&format!("return document.querySelector({selector:?}).textContent")).as_str().unwrap().to_owned()
}
