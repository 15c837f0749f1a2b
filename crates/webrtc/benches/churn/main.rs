//! Connects and disconnects 500 times in one process, and checks that nothing is left over: tasks, threads and
//! descriptors are what they were after the first 50, and the live heap does not grow from there. `cargo test` runs it
//! too; it needs no quiet machine.

mod heap;

use std::{fs, process::ExitCode, sync::Arc, time::Duration};

use remotemedia_runtime_core::data::{AudioFrame, RuntimeData, VideoFrame};
use remotemedia_signaling::server::{ServerConfig, SignalingServer};
use remotemedia_webrtc::{DataChannelMessage, TransportEvent, WebRtcTransport, WebRtcTransportConfig};
use tokio::{runtime::Handle, time::interval};

type Error = Box<dyn std::error::Error + Send + Sync>;

const ROUNDS: usize = 500;

/// After so many rounds the process is looked at, again and again. The first of them are the warm-up.
const EVERY: usize = 50;

/// By how many bytes a round may let the heap grow. What is left of a connection is far more than that; what hash maps and
/// buffers keep evens out over ten looks.
const MOST_GROWTH: f64 = 64.0;

/// The size of the picture.
const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;

/// What a process holds.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Holdings {
    heap_bytes: usize,
    tasks: usize,
    threads: usize,
    descriptors: usize,
}

impl Holdings {
    /// What has to be the same after every call.
    fn counts(self) -> [usize; 3] {
        [self.tasks, self.threads, self.descriptors]
    }
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

    let mut looks: Vec<Holdings> = Vec::new();
    for round in 1..=ROUNDS {
        call(&alice, &bob).await?;
        if round.is_multiple_of(EVERY) {
            let holdings = settled(looks.first()).await?;
            println!("after {round} rounds: {holdings:?}");
            looks.push(holdings);
        }
    }
    alice.shutdown().await?;
    bob.shutdown().await?;
    let growth = growth(&looks);
    println!("the heap grows by {growth:.1} bytes a round");
    let mut is_flat = true;
    if !looks.windows(2).all(|pair| pair[0].counts() == pair[1].counts()) {
        eprintln!("something was left over");
        is_flat = false;
    }
    // No number is no proof.
    if growth.is_nan() || growth > MOST_GROWTH {
        eprintln!("the heap grows by more than {MOST_GROWTH} bytes a round");
        is_flat = false;
    }
    Ok(if is_flat { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Bytes a round, from the line that runs closest to all looks.
fn growth(looks: &[Holdings]) -> f64 {
    let points: Vec<(f64, f64)> =
        looks.iter().zip(1usize..).map(|(look, n)| ((n * EVERY) as f64, look.heap_bytes as f64)).collect();
    let mean = |of: fn(&(f64, f64)) -> f64| points.iter().map(of).sum::<f64>() / points.len() as f64;
    let (rounds, bytes) = (mean(|p| p.0), mean(|p| p.1));
    let together: f64 = points.iter().map(|p| (p.0 - rounds) * (p.1 - bytes)).sum();
    together / points.iter().map(|p| (p.0 - rounds).powi(2)).sum::<f64>()
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

/// One connection with a message, some sound and a small picture, from beginning to end on both sides.
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
    let picture = VideoFrame::i420(WIDTH, HEIGHT, vec![128; (WIDTH * HEIGHT * 3 / 2) as usize])?;
    let picture = RuntimeData::Video { frame: Arc::new(picture) };
    let mut clock = interval(Duration::from_millis(10));
    // Pictures that come before somebody looks are not kept: it is sent until it is seen.
    let seen = loop {
        tokio::select! {
            biased;
            seen = bob.recv_video("alice") => break seen?,
            _ = clock.tick() => alice.send_to_peer("bob", &picture).await?,
        }
    };
    assert!(seen.is_some_and(|seen| (seen.width(), seen.height()) == (WIDTH, HEIGHT)));
    alice.disconnect_peer("bob").await?;
    while let Some(event) = events.next().await {
        if matches!(event, TransportEvent::PeerDisconnected { .. }) {
            return Ok(());
        }
    }
    Err("the events ended".into())
}

/// What the process holds once it has come to rest, with the same counts as `before` and no more than a little beside its heap;
/// after 5 s at the latest. The heap is the least that was seen.
async fn settled(before: Option<&Holdings>) -> Result<Holdings, Error> {
    let mut holdings = holdings()?;
    for _ in 0..50 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = self::holdings()?;
        let same = |before: &Holdings| {
            before.counts() == now.counts() && now.heap_bytes <= before.heap_bytes + EVERY * MOST_GROWTH as usize
        };
        let is_done = now == holdings && before.is_none_or(same);
        holdings = Holdings { heap_bytes: now.heap_bytes.min(holdings.heap_bytes), ..now };
        if is_done {
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
