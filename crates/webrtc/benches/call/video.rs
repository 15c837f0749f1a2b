use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use remotemedia_codecs::test_media::{psnr_y, read_number};
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{Codec, VideoFrame};
use serde_json::Value;
use tokio::time::{MissedTickBehavior, interval, timeout};

use crate::{
    Error,
    child::Child,
    figure::{Figure, Report},
    limits::Limits,
    peers::{CODECS, numbered_clip, signaling, start, wait_for, with_codec},
};

/// Pictures of the clip; it is played over and over.
pub(crate) const CLIP: u16 = 90;

/// Pictures that a sender is given: two seconds to begin with and ten that are measured, without a cut in between.
pub(crate) const SENT: u16 = 360;

/// What the guide promises of a sender of 720p30, in cores.
const GUIDE: f64 = 0.30;

/// The quality in dB at which the share of a sender counts.
const LEAST_PSNR: f64 = 34.0;

/// What is promised of a sender of 720p30 in each codec, in cores.
fn most_share(codec: Codec) -> f64 {
    match codec {
        Codec::H264 => 0.35,
        Codec::Vp8 => 0.45,
        _ => 0.55,
    }
}

/// From the call that hands a 720p picture over to the return of the `recv_video` that yields it, at 30 per second.
pub(crate) async fn measure_latency(report: &mut Report) -> Result<(), Error> {
    let clip = Arc::new(numbered_clip(CLIP)?);
    for (name, _) in CODECS {
        let url = signaling().await?;
        let bob = start(with_codec(&url, "bob", name)).await?;
        let alice = start(with_codec(&url, "alice", name)).await?;
        alice.connect_peer("bob").await?;
        wait_for(&bob, "alice").await?;
        let sent: Arc<Mutex<HashMap<u16, Instant>>> = Arc::default();
        let pusher = {
            let (clip, sent) = (Arc::clone(&clip), Arc::clone(&sent));
            let alice = alice.clone();
            tokio::spawn(async move {
                let mut clock = interval(Duration::from_nanos(33_333_333));
                clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
                for picture in clip.iter().cycle().zip((0..CLIP).cycle()).take(330) {
                    clock.tick().await;
                    let frame = Arc::new(picture.0.clone());
                    sent.lock().insert(picture.1, Instant::now());
                    alice.send_to_peer("bob", &RuntimeData::Video { frame }).await?;
                }
                Ok::<(), Error>(())
            })
        };
        let (mut latencies, mut qualities) = (Vec::new(), Vec::new());
        while let Ok(Ok(Some(frame))) = timeout(Duration::from_secs(1), bob.recv_video("alice")).await {
            let now = Instant::now();
            let Some(number) = read_number(&frame)? else { continue };
            if let Some(at) = sent.lock().remove(&number) {
                latencies.push((now - at).as_secs_f64() * 1_000.0);
                qualities.extend(clip.get(usize::from(number)).and_then(|original| psnr_y(original, &frame)));
            }
        }
        pusher.await??;
        // The first second holds the first keyframe and the estimator's start.
        let settled = latencies.split_off(latencies.len().min(30));
        let psnr = mean(&qualities);
        let arrived = (settled.len() as f64 / 300.0).min(1.0);
        let figure = Figure::new("ms", settled).with("psnr_db", psnr).with("arrived_percent", arrived * 100.0);
        report.add_case("video_app_to_app_ms", name, figure);
        alice.shutdown().await?;
        bob.shutdown().await?;
    }
    Ok(())
}

/// Processor time of a process that only sends, over 10 s of a 720p30 clip, as a share of one core.
pub(crate) async fn measure_sender(report: &mut Report, limits: &mut Limits) -> Result<(), Error> {
    let clip = numbered_clip(SENT)?;
    for (name, codec) in CODECS {
        let url = signaling().await?;
        let viewer = start(with_codec(&url, "viewer", name)).await?;
        let mut sender = Child::start(&["send-video", &url, name])?;
        wait_for(&viewer, "sender").await?;
        let mut qualities = Vec::new();
        let mut result: Option<Value> = None;
        while result.is_none() {
            tokio::select! {
                line = sender.next() => result = Some(line?),
                frame = viewer.recv_video("sender") => match frame? {
                    // One picture in ten is compared: the viewer must not take the processor from the sender.
                    Some(frame) => qualities.extend(compare_some(&clip, &frame)?),
                    None => break,
                },
            }
        }
        let result = result.ok_or("the sender ended without a result")?;
        sender.end().await?;
        let share = result["core_share"].as_f64().unwrap_or(f64::NAN);
        let psnr = mean(&qualities);
        limits.at_most(&format!("sender_core_share {name}"), share, most_share(codec));
        limits.at_least(&format!("sender_core_share {name}, psnr_db"), psnr, LEAST_PSNR);
        let mut figure = Figure::new("cores", vec![share])
            .with("psnr_db", psnr)
            .with("kbit_s", result["kbit_s"].as_f64().unwrap_or(f64::NAN))
            .with("pictures", result["pictures"].as_f64().unwrap_or(f64::NAN));
        if share <= GUIDE {
            figure = figure.with("within_the_guides", GUIDE);
        }
        report.add_case("sender_core_share", name, figure);
        viewer.shutdown().await?;
    }
    Ok(())
}

fn compare_some(clip: &[VideoFrame], frame: &VideoFrame) -> Result<Option<f64>, Error> {
    let Some(number) = read_number(frame)?.filter(|n| n % 10 == 0) else { return Ok(None) };
    Ok(clip.get(usize::from(number)).and_then(|original| psnr_y(original, frame)))
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}
