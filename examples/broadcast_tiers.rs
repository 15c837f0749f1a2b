//! A broadcast to viewers of different means: one source, scaled once per quality, 1080p, 720p and 480p.
//!
//! `cargo run --release --example broadcast_tiers -- --duration 8`
//!
//! The studio sends to the relay in 1080p. The relay runs what comes through one graph with three outputs, and its route sends
//! each output to the viewer that asked for that quality.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use remotemedia_examples::{Error, Stage, duration};
use remotemedia_runtime_core::{
    data::{RuntimeData, VideoFrame},
    manifest::Manifest,
};
use remotemedia_webrtc::{Route, Target, VideoCodec, WebRtcTransport, WebRtcTransportConfig};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

const PICTURE: Duration = Duration::from_millis(66);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let duration = duration(Duration::from_secs(8))?;
    let stage = Stage::open().await?;
    let config = || WebRtcTransportConfig {
        video_codec: VideoCodec::h264().size(1920, 1080).framerate(15).bitrate_kbps(3_000),
        enable_audio: false,
        ..Default::default()
    };
    let relay = stage.join("relay", config()).await?;
    let mut viewers = BTreeMap::new();
    for name in ["wall", "laptop", "phone"] {
        let viewer = stage.join(name, config()).await?;
        viewer.connect_peer("relay").await?;
        viewers.insert(name, viewer);
    }

    let manifest = Manifest::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/broadcast_tiers.yaml"))?;
    let route = Route::from_peers(["studio"])?
        .output("full", Target::peer("wall")?)
        .output("medium", Target::peer("laptop")?)
        .output("small", Target::peer("phone")?);
    let broadcast = relay.attach(Arc::new(manifest), route).await?;

    let studio = stage.join("studio", config()).await?;
    studio.connect_peer("relay").await?;
    let end = Instant::now() + duration;
    let watching: Vec<_> =
        viewers.iter().map(|(name, viewer)| (*name, tokio::spawn(watch(viewer.clone(), end)))).collect();
    let mut clock = interval(PICTURE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for number in 0.. {
        if clock.tick().await >= end {
            break;
        }
        studio.send_to_peer("relay", &RuntimeData::from(picture(number)?)).await?;
    }
    for (name, watching) in watching {
        let seen = watching.await??;
        let sizes: Vec<String> = seen.iter().map(|((width, height), n)| format!("{n} of {width}x{height}")).collect();
        println!("{name:<8} pictures: {}", sizes.join(", "));
    }
    broadcast.detach().await;
    for transport in viewers.into_values().chain([studio, relay]) {
        transport.shutdown().await?;
    }
    Ok(())
}

/// How many pictures came of each size.
async fn watch(viewer: WebRtcTransport, end: Instant) -> Result<BTreeMap<(u32, u32), u32>, Error> {
    let mut seen = BTreeMap::new();
    while let Ok(frame) = timeout_at(end, viewer.recv_video("relay")).await {
        let Some(frame) = frame? else { break };
        *seen.entry((frame.width(), frame.height())).or_default() += 1;
    }
    Ok(seen)
}

/// Bars that wander.
fn picture(number: usize) -> Result<VideoFrame, Error> {
    let (width, height) = (1920, 1080);
    let mut pixels = vec![128; width * height * 3 / 2];
    for row in pixels[..width * height].chunks_exact_mut(width) {
        row.iter_mut().enumerate().for_each(|(x, pixel)| *pixel = (((x + number * 4) / 120 % 8) * 27 + 20) as u8);
    }
    Ok(VideoFrame::i420(width as u32, height as u32, pixels)?)
}
