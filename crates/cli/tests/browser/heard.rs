//! An agent that is interrupted knows how much of what it said a browser has played.

use std::{f32::consts::TAU, time::Duration};

use remotemedia_webrtc::{AudioFrame, Interruption, Target, WebRtcTransport, WebRtcTransportConfig};

use crate::{
    driver::{Browser, Kind},
    page::{Page, number},
    serve::Serve,
    turn,
};

const AGENT: &str = "agent";

/// The agent says one thing after another, each cut off elsewhere. Firefox is not asked: its script processors lose buffers.
#[test]
fn what_chromium_has_played_is_what_the_agent_thinks() {
    let _turn = turn();
    let serve = Serve::start();
    let page = Page::join(Browser::shared(Kind::Chromium), &serve, "page", "room=quiet");
    page.wait_until("remotemedia.state().joined", Duration::from_secs(10));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let agent = runtime.block_on(join(&serve, &page.name));
    page.connected_to(AGENT, Duration::from_secs(10));
    // The playout of the browser has settled by then.
    page.eval("await probe.pause(1_000)");
    let mut off = Vec::new();
    for said in [Duration::from_millis(430), Duration::from_millis(1_275), Duration::from_millis(2_510)] {
        page.eval(&format!("probe.listenFor({AGENT:?})"));
        let interruption = runtime.block_on(say_for(&agent, &page.name, said));
        assert!(!interruption.peers[page.name.as_str()].is_measured, "a browser tells nothing");
        let thought = interruption.heard(&page.name).as_secs_f64();
        let heard = number(&page.eval(&format!("return probe.loudFor({AGENT:?}, 5_000)")));
        println!("{:.0} ms were heard, the agent thinks {:.0}", heard * 1e3, thought * 1e3);
        off.push(((thought - heard) * 1e3).abs());
    }
    runtime.block_on(agent.shutdown()).unwrap();
    // It is within 60 ms; what a browser on a busy machine makes up while it waits for packets is heard, too.
    assert!(off.iter().all(|off| *off <= 120.0), "off by {off:.0?} ms");
}

async fn join(serve: &Serve, page: &str) -> WebRtcTransport {
    let config = WebRtcTransportConfig {
        signaling_url: serve.signaling_url.clone(),
        peer_id: AGENT.to_owned(),
        room: "quiet".to_owned(),
        enable_video: false,
        ..Default::default()
    };
    let agent = WebRtcTransport::new(config).unwrap();
    agent.start().await.unwrap();
    agent.connect_peer(page).await.unwrap();
    agent
}

/// Begins to say a tone of five seconds, and is interrupted.
async fn say_for(agent: &WebRtcTransport, page: &str, said: Duration) -> Interruption {
    let speaker = agent.speaker(Target::peer(page).unwrap()).unwrap();
    let tone = |n: usize| 0.3 * (TAU * 440.0 * n as f32 / 48_000.0).sin();
    speaker.play(AudioFrame::new((0..5 * 48_000).map(tone).collect::<Vec<f32>>(), 48_000, 1).unwrap()).await;
    tokio::time::sleep(said).await;
    speaker.interrupt().await
}
