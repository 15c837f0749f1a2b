//! A room that is full: the page says so and stays outside.

use std::time::Duration;

use remotemedia_signaling::{
    client::{Announcement, ClientConfig, SignalingClient},
    protocol::Capability,
};

use crate::{
    driver::{Browser, Kind},
    page::Page,
    serve::Serve,
    turn,
};

/// As many as a room takes, the bot among them.
const FULL: usize = 256;

#[test]
fn a_page_that_is_one_too_many() {
    let _turn = turn();
    let serve = Serve::start();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let crowd = runtime.block_on(async {
        let mut crowd = Vec::new();
        for number in 1..FULL {
            crowd.push(enter(&serve.signaling_url, number).await);
        }
        crowd
    });
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "");
    page.wait_until("remotemedia.problems().some((p) => p.code === 'room-full')", Duration::from_secs(20));
    page.wait_until(SAID, Duration::from_secs(5));
    assert_eq!(page.eval("return remotemedia.state().joined"), false);
    runtime.block_on(async {
        for somebody in &crowd {
            somebody.leave().await.unwrap();
        }
    });
    page.wait_until("remotemedia.join().then(() => true)", Duration::from_secs(20));
}

async fn enter(url: &str, number: usize) -> SignalingClient {
    let peer = format!("somebody-{number}").parse().unwrap();
    let client = SignalingClient::new(ClientConfig::new(url, peer)).unwrap();
    client.announce(Announcement::new([Capability::Data])).await.unwrap();
    client
}

const SAID: &str = "document.getElementById('join-problem').getClientRects().length > 0
    && document.getElementById('join-problem').textContent.includes('The room is full.')";
