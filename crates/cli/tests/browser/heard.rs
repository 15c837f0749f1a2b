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
    for said in [430, 1_275, 2_510, 620, 1_130, 840, 1_710, 510, 930].map(Duration::from_millis) {
        if off.len() == 3 {
            break;
        }
        let before = Added::so_far(&page);
        page.eval(&format!("probe.listenFor({AGENT:?})"));
        let interruption = runtime.block_on(say_for(&agent, &page.name, said));
        assert!(!interruption.peers[page.name.as_str()].is_measured, "a browser tells nothing");
        let thought = interruption.heard(&page.name).as_secs_f64();
        let heard = page.eval(&format!("return probe.loudFor({AGENT:?}, 10_000)"));
        let (loud, lost) = (number(&heard["seconds"]), number(&heard["lost"]));
        let now = Added::so_far(&page);
        let (made_up, stretched) = (now.made_up - before.made_up, now.stretched - before.stretched);
        // What was played longer, or shorter, than it was said is no more of what was said for that.
        let heard = loud - made_up - stretched;
        println!(
            "{:.0} ms were heard, the agent thinks {:.0}; it was loud for {:.0} ms, of which {:.0} were made up and {:.0} stretched; \
             {lost:.2} s lost",
            heard * 1e3,
            thought * 1e3,
            loud * 1e3,
            made_up * 1e3,
            stretched * 1e3,
        );
        // A machine that is too busy to play says nothing about what was sent: then there is no truth to compare with.
        if lost < 0.02 && made_up < 0.1 {
            off.push(((thought - heard) * 1e3).abs());
        }
    }
    runtime.block_on(agent.shutdown()).unwrap();
    assert!(off.len() == 3, "it never played without a gap");
    assert!(off.iter().all(|off| *off <= 60.0), "off by {off:.0?} ms");
}

/// Seconds of sound that the browser has played beyond what came: made up, silence apart, and stretched (less what was cut out).
struct Added {
    made_up: f64,
    stretched: f64,
}

impl Added {
    fn so_far(page: &Page) -> Self {
        let js = "let [made, stretched] = [0, 0];
            for (const pc of probe.connections) for (const one of (await pc.getStats()).values()) {
                if (one.type !== 'inbound-rtp' || one.kind !== 'audio') continue;
                made += one.concealedSamples - one.silentConcealedSamples;
                stretched += one.insertedSamplesForDeceleration - one.removedSamplesForAcceleration;
            }
            return [made / 48000, stretched / 48000];";
        let [made_up, stretched] = [0, 1].map(|at| number(&page.eval(js)[at]));
        Self { made_up, stretched }
    }
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
