use std::time::Instant;

use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{AudioFrame, VideoCodec};

use crate::{
    Error,
    figure::{Figure, Report},
    limits::Limits,
    peers::{config, signaling, start},
};

/// From the call of `connect_peer` to its return, and to the first decoded sound at the far side, over fresh pairs.
pub(crate) async fn measure(report: &mut Report, limits: &mut Limits) -> Result<(), Error> {
    let url = signaling().await?;
    let (mut connect, mut first) = (Vec::new(), Vec::new());
    for run in 0..50 {
        let names = (format!("alice-{run}"), format!("bob-{run}"));
        let mut quiet = config(&url, &names.1);
        quiet.video_codec = VideoCodec::vp8();
        let bob = start(quiet).await?;
        let alice = start(config(&url, &names.0)).await?;
        let begin = Instant::now();
        alice.connect_peer(&names.1).await?;
        connect.push(begin.elapsed().as_secs_f64() * 1_000.0);
        let noise: Vec<f32> = (0..960).map(|n| ((n * 7_919) % 200) as f32 / 200.0 - 0.5).collect();
        let frame = RuntimeData::from(AudioFrame::new(noise, 48_000, 1)?);
        let sender = {
            let (alice, to) = (alice.clone(), names.1.clone());
            tokio::spawn(async move { while alice.send_to_peer(&to, &frame).await.is_ok() {} })
        };
        crate::peers::wait_for(&bob, &names.0).await?;
        while let Some(frame) = bob.recv_audio(&names.0).await? {
            if frame.samples().iter().any(|s| s.abs() > 0.05) {
                break;
            }
        }
        first.push(begin.elapsed().as_secs_f64() * 1_000.0);
        alice.shutdown().await?;
        bob.shutdown().await?;
        sender.abort();
    }
    let connect = Figure::new("ms", connect);
    limits.at_most("connect_ms p50", connect.percentile(50.0), 40.0);
    limits.at_most("connect_ms p95", connect.percentile(95.0), 150.0);
    report.add("connect_ms", connect);
    report.add("first_media_ms", Figure::new("ms", first));
    Ok(())
}
