use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use remotemedia_codecs::test_media::{Clip, ClipContent, draw_number};
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{AudioFrame, WebRtcTransport, WebRtcTransportConfig};
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use crate::{
    Error,
    child::Child,
    figure::{Figure, Report},
    limits::Limits,
    peers::{numbered_clip, signaling, start, wait_for, with_codec},
    process::resident_mb,
};

/// Peers between the two measurements of a case.
const STEP: usize = 4;

/// From one picture to the next.
const PICTURE: Duration = Duration::from_nanos(33_333_333);

/// Each case, the name of its figure, and the MB that are promised of it.
const CASES: [(&str, &str, f64); 3] =
    [("audio", "audio_only_peer", 5.0), ("viewers", "further_viewer", 3.0), ("senders", "received_720p_video", 40.0)];

/// How much a process grows with each further peer.
pub(crate) async fn measure(report: &mut Report, limits: &mut Limits) -> Result<(), Error> {
    for (case, figure, promised) in CASES {
        let url = signaling().await?;
        let mut hub = Child::start(&["hub", &url, case])?;
        let ready = hub.next().await?;
        if ready["event"] != "ready" {
            return Err("the hub did not start".into());
        }
        let mut peers = Vec::new();
        // The first peer brings what every later one shares: codec instances, pools, pages of code.
        peers.push(peer(&url, case, 0).await?);
        let first = hub.next().await?["rss_mb"].as_f64().unwrap_or(f64::NAN);
        for n in 1..=STEP {
            peers.push(peer(&url, case, n).await?);
        }
        let last = hub.next().await?;
        let each = (last["rss_mb"].as_f64().unwrap_or(f64::NAN) - first) / STEP as f64;
        limits.at_most(&format!("rss_mb {figure}"), each, promised);
        let mut row = Figure::new("MB", vec![each]).with("hub_with_one_mb", first);
        if case == "senders" {
            let pictures = last["pictures_per_s"].as_f64().unwrap_or(f64::NAN);
            row = row.with("pictures_per_s_each", pictures / (STEP + 1) as f64);
        }
        report.add_case("rss_mb", figure, row);
        for (transport, task) in peers {
            task.abort();
            transport.shutdown().await?;
        }
        hub.end().await?;
    }
    Ok(())
}

fn config(url: &str, id: &str, case: &str) -> WebRtcTransportConfig {
    let mut config = with_codec(url, id, "vp8");
    config.enable_video = case != "audio";
    config.max_peers = STEP + 1;
    config
}

/// A peer of the hub, and what it does.
async fn peer(url: &str, case: &str, n: usize) -> Result<(WebRtcTransport, tokio::task::JoinHandle<()>), Error> {
    let transport = start(config(url, &format!("peer-{n}"), case)).await?;
    transport.connect_peer("hub").await?;
    let (mine, case) = (transport.clone(), case.to_string());
    let task = tokio::spawn(async move {
        let done = match case.as_str() {
            "viewers" => pull_video(&mine, "hub").await,
            "senders" => push_video(&mine, "hub").await,
            _ => push_audio(&mine, "hub").await,
        };
        // It ends with the measurement.
        drop(done);
    });
    Ok((transport, task))
}

/// The process that is measured: says how large it is once it has one peer, and again with all of them.
pub(crate) async fn hub(url: &str, case: &str) -> Result<(), Error> {
    let hub = start(config(url, "hub", case)).await?;
    println!("{}", json!({"event": "ready"}));
    let mut tasks = tokio::task::JoinSet::new();
    let seen = Arc::new(AtomicU64::new(0));
    if case == "viewers" {
        let hub = hub.clone();
        tasks.spawn(async move {
            let clip: Vec<_> = numbered_clip(30)?.into_iter().map(Arc::new).collect();
            let mut clock = interval(PICTURE);
            for frame in clip.iter().cycle() {
                clock.tick().await;
                hub.broadcast(&RuntimeData::Video { frame: Arc::clone(frame) }).await?;
            }
            Ok::<(), Error>(())
        });
    }
    for n in 0..=STEP {
        let name = format!("peer-{n}");
        wait_for(&hub, &name).await?;
        let hub = hub.clone();
        match case {
            "senders" => {
                let seen = Arc::clone(&seen);
                tasks.spawn(async move {
                    while hub.recv_video(&name).await?.is_some() {
                        seen.fetch_add(1, Relaxed);
                    }
                    Ok(())
                });
            }
            "audio" => drop(tasks.spawn(async move { pull_audio(&hub, &name).await })),
            _ => {}
        }
        if n == 0 || n == STEP {
            let (begin, before) = (Instant::now(), seen.load(Relaxed));
            sleep(Duration::from_secs(5)).await;
            let pictures_per_s = (seen.load(Relaxed) - before) as f64 / begin.elapsed().as_secs_f64();
            println!("{}", json!({"rss_mb": resident_mb()?, "pictures_per_s": pictures_per_s}));
        }
    }
    Ok(())
}

async fn pull_audio(from: &WebRtcTransport, peer: &str) -> Result<(), Error> {
    while from.recv_audio(peer).await?.is_some() {}
    Ok(())
}

async fn pull_video(from: &WebRtcTransport, peer: &str) -> Result<(), Error> {
    while from.recv_video(peer).await?.is_some() {}
    Ok(())
}

async fn push_audio(from: &WebRtcTransport, peer: &str) -> Result<(), Error> {
    let mut clock = interval(Duration::from_millis(20));
    loop {
        clock.tick().await;
        let frame = AudioFrame::new(vec![0.1; 960], 48_000, 1)?;
        from.send_to_peer(peer, &RuntimeData::Audio { frame: Arc::new(frame) }).await?;
    }
}

/// Sends 30 pictures/s, or as many as the machine can: how many came is printed. Five encoders of the moving clip with its
/// noise are far more than two cores can do, so the camera stands still and has no noise: decoders and pictures are as
/// large as ever.
async fn push_video(from: &WebRtcTransport, peer: &str) -> Result<(), Error> {
    let still = ClipContent { pan: 0.0, noise: 0, ..Default::default() };
    let picture = Clip::with_content(7, 1280, 720, still).frame(0);
    let clip: Vec<_> = (0..10).map(|n| Ok(Arc::new(draw_number(&picture, n)?))).collect::<Result<_, Error>>()?;
    let mut clock = interval(PICTURE);
    clock.set_missed_tick_behavior(MissedTickBehavior::Skip);
    for frame in clip.iter().cycle() {
        clock.tick().await;
        from.send_to_peer(peer, &RuntimeData::Video { frame: Arc::clone(frame) }).await?;
    }
    Ok(())
}
