use std::time::Instant;

use remotemedia_webrtc::{DataChannelMessage, WebRtcTransportConfig};

use crate::{
    Error,
    figure::{Figure, Report},
    peers::{config, signaling, start, wait_for},
};

const MESSAGE: usize = 16 * 1024;

/// Messages per run: 32 MB.
const COUNT: usize = 2_000;

/// Reliable messages of 16 KiB from one transport to another, as fast as they go.
pub(crate) async fn measure(report: &mut Report) -> Result<(), Error> {
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
    let granted = alice.receive_buffer()?.unwrap_or(0) as f64 / f64::from(1 << 20);
    report.add("data_channel_mb_s", Figure::new("MB/s", rates).with("socket_buffer_mib", granted));
    alice.shutdown().await?;
    bob.shutdown().await?;
    Ok(())
}
