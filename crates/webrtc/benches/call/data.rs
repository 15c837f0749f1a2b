use std::time::Instant;

use remotemedia_webrtc::{DataChannelMessage, WebRtcTransportConfig};

use crate::{
    Error,
    figure::{Figure, Report},
    limits::Limits,
    peers::{config, signaling, start, wait_for},
};

const MESSAGE: usize = 16 * 1024;

/// Messages per run: 32 MB.
const COUNT: usize = 2_000;

/// The receive buffer that is asked for, as the system counts it: Linux counts double.
const ASKED: usize = if cfg!(target_os = "linux") { 8 << 20 } else { 4 << 20 };

/// Reliable messages of 16 KiB from one transport to another, as fast as they go.
pub(crate) async fn measure(report: &mut Report, limits: &mut Limits) -> Result<(), Error> {
    let url = signaling().await?;
    let quiet = |id: &str| WebRtcTransportConfig { enable_video: false, enable_audio: false, ..config(&url, id) };
    let bob = start(quiet("bob")).await?;
    let alice = start(quiet("alice")).await?;
    alice.connect_peer("bob").await?;
    wait_for(&bob, "alice").await?;
    let mut rates = Vec::new();
    for _ in 0..6 {
        let alice = alice.clone();
        let begin = Instant::now();
        let sender = tokio::spawn(async move {
            let message = DataChannelMessage::Binary { payload: vec![7; MESSAGE] };
            for _ in 0..COUNT {
                alice.send_data_channel_message("bob", &message).await?;
            }
            Ok::<(), Error>(())
        });
        for _ in 0..COUNT {
            bob.recv_data_channel_message().await?.ok_or("the transport ended")?;
        }
        rates.push((MESSAGE * COUNT) as f64 / 1e6 / begin.elapsed().as_secs_f64());
        sender.await??;
    }
    // The first run opens the congestion window.
    rates.remove(0);
    let granted = alice.receive_buffer()?.unwrap_or(0).min(bob.receive_buffer()?.unwrap_or(0));
    let promised = if granted >= ASKED { 60.0 } else { 5.0 };
    let rates = Figure::new("MB/s", rates).with("socket_buffer_mib", granted as f64 / f64::from(1 << 20));
    limits.at_least("data_channel_mb_s p50", rates.percentile(50.0), promised);
    report.add("data_channel_mb_s", rates);
    alice.shutdown().await?;
    bob.shutdown().await?;
    Ok(())
}
