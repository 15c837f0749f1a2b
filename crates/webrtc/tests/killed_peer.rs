//! A peer whose process is killed, and a signaling server that is: who notices what.
//!
//! It runs without the usual harness, since the peer that is killed is a second process of this program.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{
    process::{Command, ExitCode, Stdio},
    time::{Duration, Instant},
};

use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
use remotemedia_webrtc::{TransportEvent, WebRtcTransport, WebRtcTransportConfig};
use support::{Signaling, in_time};

/// What the issue of noticing is measured against, tenfold: a busy machine is slow, a missing notice takes far longer.
const FAR_TOO_LATE: Duration = Duration::from_secs(20);

fn main() -> ExitCode {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let mut args = std::env::args().skip(1);
    if args.next().as_deref() == Some("--child") {
        runtime.block_on(child(&args.next().unwrap()));
        return ExitCode::SUCCESS;
    }
    runtime.block_on(async {
        a_killed_peer_is_noticed_and_released().await;
        println!("test a_killed_peer_is_noticed_and_released ... ok");
        media_outlives_the_signaling_server().await;
        println!("test media_outlives_the_signaling_server ... ok");
    });
    println!("2 passed, 0 failed");
    ExitCode::SUCCESS
}

/// The process that is killed: connects to the survivor and talks for ever.
async fn child(url: &str) {
    let config = WebRtcTransportConfig {
        signaling_url: url.into(),
        peer_id: "victim".into(),
        stun_servers: vec![],
        local_addresses: vec![[127, 0, 0, 1].into()],
        ..Default::default()
    };
    let victim = WebRtcTransport::new(config).unwrap();
    victim.start().await.unwrap();
    victim.connect_peer("survivor").await.unwrap();
    let frame = RuntimeData::from(tone());
    loop {
        victim.send_to_peer("survivor", &frame).await.unwrap();
    }
}

fn tone() -> AudioFrame {
    AudioFrame::new((0..960).map(|n| (n as f32 * 0.05).sin() * 0.3).collect::<Vec<_>>(), 48_000, 1).unwrap()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn a_killed_peer_is_noticed_and_released() {
    let signaling = Signaling::start().await;
    let survivor = signaling.transport("survivor").await;
    let mut events = survivor.events();
    let before = descriptors();
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--child", &signaling.url])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    in_time("the connection", async {
        while !matches!(events.next().await.unwrap(), TransportEvent::PeerConnected { .. }) {}
    })
    .await;
    in_time("sound", hear(&survivor, "victim")).await;
    // The system's SIGKILL: no goodbye of any kind.
    victim.kill().unwrap();
    let killed = Instant::now();
    victim.wait().unwrap();
    in_time("the notice", async {
        while !matches!(events.next().await.unwrap(), TransportEvent::PeerDisconnected { .. }) {}
    })
    .await;
    let noticed = killed.elapsed();
    println!("the killed peer was noticed after {noticed:?}");
    assert!(noticed < FAR_TOO_LATE, "{noticed:?}");
    assert!(survivor.list_peers().await.unwrap().is_empty());
    in_time("the release of its sockets", async {
        // One more than before: the signaling server holds the socket of nobody, the test its pipe.
        while descriptors() > before {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    survivor.shutdown().await.unwrap();
}

async fn media_outlives_the_signaling_server() {
    let signaling = Signaling::start().await;
    let (alice, bob) = (signaling.transport("alice").await, signaling.transport("bob").await);
    in_time("the connection", alice.connect_peer("bob")).await.unwrap();
    let speaker = alice.clone();
    let talk = tokio::spawn(async move {
        let frame = RuntimeData::from(tone());
        while speaker.send_to_peer("bob", &frame).await.is_ok() {}
    });
    in_time("bob's side", async {
        while bob.list_peers().await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    in_time("sound", hear(&bob, "alice")).await;
    drop(signaling);
    in_time("the loss of the server", async {
        while alice.is_connected() || bob.is_connected() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    // Three seconds on, well past the second of silence that ends a call whose peer is gone.
    for _ in 0..150 {
        let frame = in_time("a frame", bob.recv_audio("alice")).await.unwrap();
        assert!(frame.is_some(), "the call ended with the signaling server");
    }
    in_time("sound without the server", hear(&bob, "alice")).await;
    talk.abort();
    alice.shutdown().await.unwrap();
    bob.shutdown().await.unwrap();
}

/// Returns once something was heard.
async fn hear(listener: &WebRtcTransport, peer: &str) {
    loop {
        let frame = listener.recv_audio(peer).await.unwrap().expect("the peer is there");
        if frame.samples().iter().any(|s| s.abs() > 0.1) {
            return;
        }
    }
}
