//! A viewer tells the camera over the data channel what it wants: another bitrate, another size, while the picture runs.
//!
//! `cargo run --release --example data_channel_control -- --duration 9`

use std::time::Duration;

use remotemedia_codecs::test_media::Clip;
use remotemedia_examples::{Error, Stage, duration};
use remotemedia_runtime_core::{
    manifest::Manifest,
    runner::{PipelineRunner, SessionControl},
    transport::TransportData,
};
use remotemedia_webrtc::{ConfigOptions, DataChannelMessage, VideoCodec, WebRtcTransport, WebRtcTransportConfig};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout_at};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let duration = duration(Duration::from_secs(9))?;
    let stage = Stage::open().await?;
    let config = || WebRtcTransportConfig {
        video_codec: VideoCodec::vp8().size(640, 360).bitrate_kbps(1_000),
        enable_audio: false,
        ..Default::default()
    };
    let camera = stage.join("camera", config()).await?;
    let viewer = stage.join("viewer", config()).await?;
    viewer.connect_peer("camera").await?;

    let manifest = Manifest::from_file(concat!(env!("CARGO_MANIFEST_DIR"), "/data_channel_control.yaml"))?;
    let session = runner().create_session(&manifest)?;
    let control = session.control();
    let (sender, mut outputs) = session.split();
    let obeying = tokio::spawn(obey(camera.clone(), control));
    let sending = {
        let camera = camera.clone();
        tokio::spawn(async move {
            while let Some(output) = outputs.next_output().await? {
                camera.send_to_peer("viewer", &output.data).await?;
            }
            Ok::<(), Error>(())
        })
    };
    let filming = tokio::spawn(async move {
        let clip = Clip::new(1, 640, 360);
        let mut clock = interval(Duration::from_millis(40));
        clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for number in 0.. {
            clock.tick().await;
            sender.send_input(TransportData::new(clip.frame(number))).await?;
        }
        Ok::<(), Error>(())
    });

    // What the viewer wants, one third of the time each.
    let third = duration / 3;
    watch("as it began", &viewer, third).await?;
    ask(&viewer, json!({ "bitrate_kbps": 200 })).await?;
    watch("at 200 kbit/s", &viewer, third).await?;
    ask(&viewer, json!({ "bitrate_kbps": 300, "max_height": 180 })).await?;
    watch("at 180 lines", &viewer, third).await?;

    for task in [filming, sending, obeying] {
        task.abort();
    }
    viewer.shutdown().await?;
    camera.shutdown().await?;
    Ok(())
}

fn runner() -> PipelineRunner {
    PipelineRunner::with_registry(remotemedia_webrtc::nodes::registry())
}

async fn ask(viewer: &WebRtcTransport, wish: serde_json::Value) -> Result<(), Error> {
    Ok(viewer.send_data_channel_message("camera", &DataChannelMessage::Json { payload: wish }).await?)
}

/// Does what the viewer asks for.
async fn obey(camera: WebRtcTransport, control: SessionControl) -> Result<(), Error> {
    while let Some((_, message)) = camera.recv_data_channel_message().await? {
        let DataChannelMessage::Json { payload: wish } = message else { continue };
        if let Some(rate) = wish["bitrate_kbps"].as_u64().and_then(|rate| u32::try_from(rate).ok()) {
            camera.configure(ConfigOptions { target_bitrate_kbps: Some(rate), ..Default::default() }).await?;
        }
        if let Some(height) = wish["max_height"].as_u64() {
            control.reconfigure("scale", json!({ "max_height": height })).await?;
        }
    }
    Ok(())
}

/// Looks for `time`, and tells what came in its second half.
async fn watch(what: &str, viewer: &WebRtcTransport, time: Duration) -> Result<(), Error> {
    let start = Instant::now();
    let (middle, end) = (start + time / 2, start + time);
    let (mut size, mut pictures, mut before) = ((0, 0), 0, None);
    while let Ok(frame) = timeout_at(end, viewer.recv_video("camera")).await {
        let Some(frame) = frame? else { break };
        size = (frame.width(), frame.height());
        if Instant::now() >= middle {
            if before.is_none() {
                before = Some((Instant::now(), received(viewer).await?));
            }
            pictures += 1;
        }
    }
    if Instant::now() < end {
        sleep(end - Instant::now()).await;
    }
    let (since, bytes) = before.ok_or("no picture came")?;
    let seconds = since.elapsed().as_secs_f64();
    let kbps = (received(viewer).await? - bytes) as f64 * 8e-3 / seconds;
    println!("{what}: {}x{}, {:.0} pictures/s, {kbps:.0} kbit/s", size.0, size.1, f64::from(pictures) / seconds);
    Ok(())
}

/// Media bytes that came so far.
async fn received(viewer: &WebRtcTransport) -> Result<u64, Error> {
    let peers = viewer.list_peers().await?;
    Ok(peers.first().ok_or("the camera is gone")?.metrics.bytes_received)
}
