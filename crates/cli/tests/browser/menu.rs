//! Every pipeline of the examples, chosen from the page's menu, works on what a browser sends.

use std::time::{Duration, Instant};

use crate::{
    driver::{Browser, Kind},
    figures::TIMES,
    page::Page,
    serve::{BOT, Serve, example},
    turn,
};

const SOON: Duration = Duration::from_secs(15);

/// The name in the menu, whether pictures come back, and whether sound does.
const MENU: [(&str, bool, bool); 6] = [
    ("background_blur", true, true),
    ("conference", false, false),
    ("broadcast_tiers", true, true),
    ("data_channel_control", true, true),
    ("simple_pipeline", false, true),
    ("voice_agent", false, false),
];

#[test]
fn each_pipeline_of_the_examples_runs_in_a_call_with_a_browser() {
    let _turn = turn();
    let files = MENU.map(|(name, ..)| example(&format!("{name}.yaml")));
    let arguments: Vec<&str> = files.iter().flat_map(|file| ["--manifest", file.to_str().unwrap()]).collect();
    let serve = Serve::start_with(&arguments);
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "codec=vp8");
    page.connected_to(BOT, SOON);
    for (name, pictures, sound) in MENU {
        let chosen = Instant::now();
        page.eval(&format!("await remotemedia.setPipeline({name:?})"));
        page.wait_until(&format!("remotemedia.state().pipeline === {name:?}"), SOON);
        // The broadcast's first output is the picture as it came, past all nodes.
        if name != "broadcast_tiers" {
            page.wait_until(&format!("({TIMES}).length > 0"), SOON);
        }
        if pictures {
            page.wait_until(&format!("(await probe.rate({BOT:?}, 500)) > 5"), SOON);
        }
        if sound {
            page.hears(BOT, 440.0, SOON);
        }
        let nodes = page.eval(&format!("return {TIMES}"));
        println!("{name}: {nodes} at work, and what is to come back is there after {:.1?}", chosen.elapsed());
    }
}
