use std::{collections::VecDeque, sync::Arc, time::Duration};

use parking_lot::Mutex;
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::AudioFrame;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::{
    Error,
    figure::{Figure, Report},
    peers::{config, signaling, start, wait_for},
};

/// Markers measured.
const MARKERS: usize = 60;

/// The jitter buffer settles before the first marker.
const WARM_UP: Duration = Duration::from_secs(10);

/// From the call that pushes the 10 ms chunk with a marker to the return of the `recv_audio` that yields it. The marker
/// lies at a place within 20 ms that changes from marker to marker.
pub(crate) async fn measure(report: &mut Report) -> Result<(), Error> {
    let url = signaling().await?;
    let bob = start(config(&url, "bob")).await?;
    let alice = start(config(&url, "alice")).await?;
    alice.connect_peer("bob").await?;
    wait_for(&bob, "alice").await?;

    let pushed: Arc<Mutex<VecDeque<Instant>>> = Arc::default();
    let pusher = {
        let (alice, pushed) = (alice.clone(), Arc::clone(&pushed));
        tokio::spawn(async move { push(&alice, &pushed).await })
    };
    let mut latencies = Vec::new();
    let mut deaf_until = Instant::now();
    while latencies.len() < MARKERS {
        let Some(frame) = bob.recv_audio("alice").await? else { break };
        let now = Instant::now();
        if now < deaf_until || !frame.samples().iter().any(|s| s.abs() > 0.3) {
            continue;
        }
        // A marker rings on into the next frame; the next one is at least 300 ms away.
        deaf_until = now + Duration::from_millis(100);
        if let Some(at) = pushed.lock().pop_front() {
            latencies.push((now - at).as_secs_f64() * 1_000.0);
        }
    }
    pusher.abort();
    let peers = bob.list_peers().await?;
    let metrics = peers.first().map(|p| p.metrics.clone()).unwrap_or_default();
    report.add(
        "audio_push_pull_ms",
        Figure::new("ms", latencies)
            .with("jitter_buffer_ms", metrics.jitter_buffer_delay_ms)
            .with("stretched_percent", metrics.stretched_rate * 100.0)
            .with("concealed_percent", metrics.concealed_rate * 100.0),
    );
    alice.shutdown().await?;
    bob.shutdown().await?;
    Ok(())
}

async fn push(alice: &remotemedia_webrtc::WebRtcTransport, pushed: &Mutex<VecDeque<Instant>>) -> Result<(), Error> {
    let mut clock = interval(Duration::from_millis(10));
    clock.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let begin = Instant::now();
    let mut until_marker = 30 + 7;
    for chunk in 0u64.. {
        clock.tick().await;
        let is_marker = begin.elapsed() > WARM_UP && until_marker == 0;
        let samples: Vec<f32> = (0..480)
            .map(|n| {
                let t = (chunk * 480 + n) as f32 / 48_000.0;
                let bed = 0.02 * (t * 220.0 * std::f32::consts::TAU).sin();
                if is_marker { bed + 0.8 * (t * 1_500.0 * std::f32::consts::TAU).sin() } else { bed }
            })
            .collect();
        if is_marker {
            pushed.lock().push_back(Instant::now());
            // Odd and even distances, so that both halves of a codec frame are met.
            until_marker = 30 + (chunk * 7 % 11);
        } else {
            until_marker = until_marker.saturating_sub(1);
        }
        let frame = AudioFrame::new(samples, 48_000, 1)?;
        alice.send_to_peer("bob", &RuntimeData::Audio { frame: Arc::new(frame) }).await?;
    }
    Ok(())
}
