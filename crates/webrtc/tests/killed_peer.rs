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

/// The process that is killed: connects to the survivors and talks to them for ever.
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
    victim.connect_peer("witness").await.unwrap();
    talk(victim.clone(), "survivor");
    talk(victim, "witness").await.unwrap();
}

/// Talks to `listener` until it is gone or the task is aborted.
fn talk(speaker: WebRtcTransport, listener: &'static str) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let frame = RuntimeData::from(tone());
        while speaker.send_to_peer(listener, &frame).await.is_ok() {}
    })
}

fn tone() -> AudioFrame {
    AudioFrame::new((0..960).map(|n| (n as f32 * 0.05).sin() * 0.3).collect::<Vec<_>>(), 48_000, 1).unwrap()
}

/// What a process holds that a connection needs.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Holdings {
    tasks: usize,
    threads: usize,
    descriptors: usize,
}

impl Holdings {
    fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let threads = status.lines().find_map(|line| line.strip_prefix("Threads:")).unwrap();
        Self {
            tasks: tokio::runtime::Handle::current().metrics().num_alive_tasks(),
            threads: threads.trim().parse().unwrap(),
            descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count(),
        }
    }

    fn are_within(self, other: Self) -> bool {
        self.tasks <= other.tasks && self.threads <= other.threads && self.descriptors <= other.descriptors
    }
}

/// What the process holds once that has stayed the same for two seconds of a call.
async fn at_rest(listener: &WebRtcTransport, peer: &str) -> Holdings {
    let (mut holdings, mut frames) = (Holdings::now(), 0);
    while frames < 100 {
        let _ = listener.recv_audio(peer).await.unwrap().expect("the peer is there");
        let now = Holdings::now();
        frames = if now == holdings { frames + 1 } else { 0 };
        holdings = now;
    }
    holdings
}

async fn a_killed_peer_is_noticed_and_released() {
    let signaling = Signaling::start().await;
    let (survivor, witness) = (signaling.transport("survivor").await, signaling.transport("witness").await);
    // The survivors' own call goes on all the time: what is shared by connections is there before, and stays.
    in_time("the survivors' connection", survivor.connect_peer("witness")).await.unwrap();
    let calls = [talk(survivor.clone(), "witness"), talk(witness.clone(), "survivor")];
    in_time("the witness' side", is_connected(&witness, "survivor")).await;
    in_time("sound", hear(&survivor, "witness")).await;
    in_time("sound", hear(&witness, "survivor")).await;
    let before = in_time("rest", at_rest(&survivor, "witness")).await;

    let mut events = [survivor.events(), witness.events()];
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--child", &signaling.url])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    for (peer, events) in [&survivor, &witness].into_iter().zip(&mut events) {
        in_time("the connection", async {
            while !matches!(events.next().await.unwrap(), TransportEvent::PeerConnected { peer } if peer == *"victim") {
            }
        })
        .await;
        in_time("sound", hear(peer, "victim")).await;
    }
    let during = Holdings::now();
    assert!(during.tasks > before.tasks && during.descriptors > before.descriptors, "{during:?}, before {before:?}");
    // The system's SIGKILL: no goodbye of any kind.
    victim.kill().unwrap();
    let killed = Instant::now();
    victim.wait().unwrap();
    for (peer, events) in [&survivor, &witness].into_iter().zip(&mut events) {
        in_time("the notice", async {
            while !matches!(events.next().await.unwrap(), TransportEvent::PeerDisconnected { peer, .. } if peer == *"victim")
            {}
        })
        .await;
        let noticed = killed.elapsed();
        println!("{} noticed the killed peer after {noticed:?}", peer.peer_id());
        assert!(noticed < FAR_TOO_LATE, "{noticed:?}");
    }
    in_time("the release of all that the connections held", async {
        while !Holdings::now().are_within(before) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    println!("held before: {before:?}, during the call: {during:?}, after: {:?}", Holdings::now());
    for (peer, other) in [(&survivor, "witness"), (&witness, "survivor")] {
        let left: Vec<_> = peer.list_peers().await.unwrap().into_iter().map(|p| p.peer_id).collect();
        assert!(left.len() == 1 && left[0] == *other, "{left:?}");
        in_time("sound of the other survivor", hear(peer, other)).await;
    }
    for call in calls {
        call.abort();
    }
    survivor.shutdown().await.unwrap();
    witness.shutdown().await.unwrap();
}

async fn media_outlives_the_signaling_server() {
    let signaling = Signaling::start().await;
    let (alice, bob) = (signaling.transport("alice").await, signaling.transport("bob").await);
    in_time("the connection", alice.connect_peer("bob")).await.unwrap();
    let talk = talk(alice.clone(), "bob");
    in_time("bob's side", is_connected(&bob, "alice")).await;
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

/// Returns once `peer` is connected, whoever called.
async fn is_connected(transport: &WebRtcTransport, peer: &str) {
    while !transport.list_peers().await.unwrap().iter().any(|p| p.peer_id == *peer) {
        tokio::task::yield_now().await;
    }
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
