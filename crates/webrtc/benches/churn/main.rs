//! Connects and disconnects 500 times in one process, and checks that nothing is left over: live heap, tasks, threads
//! and descriptors end where they were after the first 50. `cargo test` runs it too; it needs no quiet machine.

mod heap;

use std::{fs, process::ExitCode, time::Duration};

use remotemedia_runtime_core::data::{AudioFrame, RuntimeData};
use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use remotemedia_webrtc::{DataChannelMessage, TransportEvent, WebRtcTransport, WebRtcTransportConfig};
use tokio::runtime::Handle;

type Error = Box<dyn std::error::Error + Send + Sync>;

const WARM_UP: usize = 50;
const ROUNDS: usize = 500;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Holdings {
    heap_bytes: usize,
    tasks: usize,
    threads: usize,
    descriptors: usize,
}

fn main() -> Result<ExitCode, Error> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(run())
}

async fn run() -> Result<ExitCode, Error> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("ws://{}", listener.local_addr()?);
    tokio::spawn(async move { SignalingServer::new(ServerConfig::default()).serve(listener).await });
    let alice = start(&url, "alice").await?;
    let bob = start(&url, "bob").await?;

    let mut after_warm_up = None;
    for round in 1..=ROUNDS {
        call(&alice, &bob).await?;
        if round == WARM_UP {
            after_warm_up = Some(settled(None).await?);
        }
    }
    let before = after_warm_up.ok_or("there was no warm-up")?;
    let after = settled(Some(before)).await?;
    println!("after {WARM_UP} rounds:  {before:?}\nafter {ROUNDS} rounds: {after:?}");
    alice.shutdown().await?;
    bob.shutdown().await?;
    if is_flat(before, after) {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("something was left over");
    Ok(ExitCode::FAILURE)
}

async fn start(url: &str, peer_id: &str) -> Result<WebRtcTransport, Error> {
    let transport = WebRtcTransport::new(WebRtcTransportConfig {
        signaling_url: url.into(),
        peer_id: peer_id.into(),
        stun_servers: vec![],
        local_addresses: vec![[127, 0, 0, 1].into()],
        ..Default::default()
    })?;
    transport.start().await?;
    Ok(transport)
}

/// One connection with a message and some sound, from beginning to end on both sides.
async fn call(alice: &WebRtcTransport, bob: &WebRtcTransport) -> Result<(), Error> {
    let mut events = bob.events();
    alice.connect_peer("bob").await?;
    let message = DataChannelMessage::Text { payload: "hello".into() };
    alice.send_data_channel_message("bob", &message).await?;
    let frame = AudioFrame::new(vec![0.1; 960], 48_000, 1)?;
    alice.send_to_peer("bob", &RuntimeData::from(frame)).await?;
    let received = bob.recv_data_channel_message().await?.ok_or("bob is gone")?;
    assert_eq!(received.1, message);
    let heard = bob.recv_audio("alice").await?;
    assert!(heard.is_some());
    alice.disconnect_peer("bob").await?;
    while let Some(event) = events.next().await {
        if matches!(event, TransportEvent::PeerDisconnected { .. }) {
            return Ok(());
        }
    }
    Err("the events ended".into())
}

/// What the process holds once it has come to rest: as soon as it is flat against `before`, after 5 s at the latest.
async fn settled(before: Option<Holdings>) -> Result<Holdings, Error> {
    let mut holdings = holdings()?;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = self::holdings()?;
        let done = before.map_or(now == holdings, |before| is_flat(before, now));
        holdings = now;
        if done {
            break;
        }
    }
    Ok(holdings)
}

fn holdings() -> Result<Holdings, Error> {
    let status = fs::read_to_string("/proc/self/status")?;
    let threads = status.lines().find_map(|l| l.strip_prefix("Threads:")).ok_or("no thread count")?;
    Ok(Holdings {
        heap_bytes: heap::live_bytes(),
        tasks: Handle::current().metrics().num_alive_tasks(),
        threads: threads.trim().parse()?,
        descriptors: fs::read_dir("/proc/self/fd")?.count(),
    })
}

/// Counts must be the same; the heap may breathe by what hash maps and buffers keep, far below a leak of one connection
/// in each of 450 rounds.
fn is_flat(before: Holdings, after: Holdings) -> bool {
    after.heap_bytes <= before.heap_bytes + 512 * 1_024
        && (after.tasks, after.threads, after.descriptors) == (before.tasks, before.threads, before.descriptors)
}
