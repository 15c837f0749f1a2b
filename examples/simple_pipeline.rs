//! The smallest pipeline: what goes through it comes out twice as loud, and goes on to a peer.
//!
//! `cargo run --example simple_pipeline -- --duration 5`

use std::{sync::Arc, time::Duration};

use remotemedia_examples::{Error, Stage, duration, tone_level};
use remotemedia_runtime_core::{data::AudioFrame, manifest::Manifest, transport::TransportData};
use remotemedia_webrtc::{WebRtcTransport, WebRtcTransportConfig};
use tokio::time::{Instant, interval, timeout_at};

const TONE: f64 = 440.0;

#[tokio::main]
async fn main() -> Result<(), Error> {
    let duration = duration(Duration::from_secs(5))?;
    let stage = Stage::open().await?;
    let alice = stage.join("alice", WebRtcTransportConfig::default()).await?;
    let bob = stage.join("bob", WebRtcTransportConfig::default()).await?;
    alice.connect_peer("bob").await?;

    let manifest = Manifest::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/simple_pipeline.yaml"))?;
    let manifest = Arc::new(manifest);
    // One input, one output: for jobs that stand alone.
    let once = alice.execute(Arc::clone(&manifest), TransportData::new(chunk(0)?)).await?;
    println!("one chunk by itself: {:?} comes out", once.data.kind());

    // A session: for what goes on.
    let mut session = alice.stream(manifest).await?;
    let end = Instant::now() + duration;
    let listening = tokio::spawn(listen(bob.clone(), end));
    let mut clock = interval(Duration::from_millis(20));
    for number in 0.. {
        if clock.tick().await >= end {
            break;
        }
        session.send_input(TransportData::new(chunk(number)?)).await?;
        while let Some(output) = session.recv_output().await? {
            alice.send_to_peer("bob", &output.data).await?;
        }
    }
    session.close().await?;

    let heard = listening.await??;
    let last = &heard[heard.len().saturating_sub(48_000)..];
    println!("sent at {:.1} dB, heard at {:.1} dB", 20.0 * 0.2f64.log10(), tone_level(last, TONE, 48e3));
    alice.shutdown().await?;
    bob.shutdown().await?;
    Ok(())
}

/// The 20 ms of a tone with this number.
fn chunk(number: usize) -> Result<AudioFrame, Error> {
    let sample = |n: usize| 0.2 * (std::f64::consts::TAU * TONE * n as f64 / 48e3).sin() as f32;
    Ok(AudioFrame::new((number * 960..(number + 1) * 960).map(sample).collect::<Vec<_>>(), 48_000, 1)?)
}

async fn listen(bob: WebRtcTransport, end: Instant) -> Result<Vec<f32>, Error> {
    let mut heard = Vec::new();
    while let Ok(frame) = timeout_at(end, bob.recv_audio("alice")).await {
        let Some(frame) = frame? else { break };
        heard.extend_from_slice(frame.samples());
    }
    Ok(heard)
}
