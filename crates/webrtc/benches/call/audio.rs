use std::{f32::consts::TAU, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};
use remotemedia_runtime_core::data::RuntimeData;
use remotemedia_webrtc::{AudioFrame, WebRtcTransport};
use tokio::time::{Instant, sleep_until};

use crate::{
    Error,
    figure::{Figure, Report},
    limits::Limits,
    peers::{config, signaling, start, wait_for},
};

/// Markers measured.
const MARKERS: usize = 60;

/// Markers until the pusher's phase is drawn anew.
const MARKERS_PER_PHASE: usize = 5;
const PHASES: usize = MARKERS / MARKERS_PER_PHASE;

/// Tones that tell one marker from its neighbours. They come round after 2.4 s or more, far longer than any is on its way.
const TONES: usize = 8;

/// One of what is pushed.
const CHUNK: Duration = Duration::from_millis(10);

/// One of what is pulled.
const FRAME: Duration = Duration::from_millis(20);

/// Chunks before the first marker and after each change of the phase, in which playout settles, and behind the last marker, in
/// which it comes out. A change is a leap that no microphone makes: what it costs is not what is measured here.
const WARM_UP: u32 = 1_000;
const SETTLING: u32 = 300;
const TRAILER: u32 = 100;

const SAMPLES: usize = 480;

/// A marker that was pushed.
struct Marker {
    pushed: Instant,
    heard: Option<Instant>,
}

/// In the order in which they were pushed.
type Markers = Mutex<Vec<Marker>>;

/// From the call that pushes the 10 ms chunk with a marker to the return of the `recv_audio` that yields it. When the
/// pusher pushes, against when the reader returns, is uniform within 20 ms.
pub(crate) async fn measure(report: &mut Report, limits: &mut Limits) -> Result<(), Error> {
    let url = signaling().await?;
    let bob = start(config(&url, "bob")).await?;
    let alice = start(config(&url, "alice")).await?;
    alice.connect_peer("bob").await?;
    wait_for(&bob, "alice").await?;

    let markers: Arc<Markers> = Arc::default();
    let pusher = {
        let (alice, markers) = (alice.clone(), Arc::clone(&markers));
        tokio::spawn(async move { push(&alice, &markers).await })
    };
    let returns = listen(&bob, &markers, &pusher).await?;
    pusher.await??;
    let markers = std::mem::take(&mut *markers.lock());
    let latencies: Vec<f64> =
        markers.iter().filter_map(|m| Some((m.heard? - m.pushed).as_secs_f64() * 1_000.0)).collect();
    let lost = (markers.len() - latencies.len()) as f64;
    limits.at_most("audio_push_pull_ms, markers that never arrived", lost, 0.0);
    let phases = Figure::new("ms", markers.iter().filter_map(|m| phase(&returns, m.pushed)).collect());
    let peers = bob.list_peers().await?;
    let metrics = peers.first().map(|p| p.metrics.clone()).unwrap_or_default();
    report.add(
        "audio_push_pull_ms",
        Figure::new("ms", latencies)
            .with("never_arrived", lost)
            .with("phase_ms_p25", phases.percentile(25.0))
            .with("phase_ms_p75", phases.percentile(75.0))
            .with("jitter_buffer_ms", metrics.jitter_buffer_delay_ms)
            .with("stretched_percent", metrics.stretched_rate * 100.0)
            .with("concealed_percent", metrics.concealed_rate * 100.0),
    );
    alice.shutdown().await?;
    bob.shutdown().await?;
    Ok(())
}

/// How long before `pushed` the reader returned last, in milliseconds.
fn phase(returns: &[Instant], pushed: Instant) -> Option<f64> {
    let last = returns.iter().rev().find(|at| **at <= pushed)?;
    Some(((pushed - *last).as_secs_f64() * 1_000.0) % (FRAME.as_secs_f64() * 1_000.0))
}

/// Notes when each marker is heard, until the pusher has ended. Answers when the reader returned.
async fn listen(
    bob: &WebRtcTransport,
    markers: &Markers,
    pusher: &tokio::task::JoinHandle<Result<(), Error>>,
) -> Result<Vec<Instant>, Error> {
    let mut returns = Vec::new();
    // A marker may begin at the end of a frame: its tone is told from that frame and the next.
    let mut begun: Option<(Instant, Vec<f32>)> = None;
    let mut deaf_until = Instant::now();
    while !pusher.is_finished() {
        let Some(frame) = bob.recv_audio("alice").await? else { break };
        let now = Instant::now();
        returns.push(now);
        if let Some((at, samples)) = begun.take() {
            note(&mut markers.lock(), at, loudest_tone(&[&samples, frame.samples()].concat()));
        } else if now >= deaf_until && frame.samples().iter().any(|s| s.abs() > 0.3) {
            begun = Some((now, frame.samples().to_vec()));
            // A marker rings on; the next one is nearly 300 ms away at least.
            deaf_until = now + Duration::from_millis(100);
        }
    }
    Ok(returns)
}

/// Notes the arrival of the last marker that has this tone: one that never arrives takes the place of no other.
fn note(markers: &mut [Marker], at: Instant, tone: usize) {
    let marker = markers.iter_mut().enumerate().rev().find(|(number, m)| number % TONES == tone && m.pushed <= at);
    if let Some((_, marker)) = marker {
        marker.heard.get_or_insert(at);
    }
}

/// Radians a sample of a marker's tone. 400 Hz apart, 10 ms of them are told apart well.
fn pitch(tone: usize) -> f32 {
    (600.0 + 400.0 * tone as f32) * TAU / 48_000.0
}

fn loudest_tone(samples: &[f32]) -> usize {
    let power = |tone: usize| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, sample) in samples.iter().enumerate() {
            let (sin, cos) = (n as f32 * pitch(tone)).sin_cos();
            re += sample * cos;
            im += sample * sin;
        }
        re * re + im * im
    };
    (0..TONES).max_by(|a, b| power(*a).total_cmp(&power(*b))).unwrap_or(0)
}

/// Pushes all markers, between them a quiet hum.
async fn push(alice: &WebRtcTransport, markers: &Markers) -> Result<(), Error> {
    let mut random = StdRng::seed_from_u64(20);
    let (begin, mut phase) = (Instant::now(), Duration::ZERO);
    let (mut number, mut next_marker, mut chunk) = (0usize, WARM_UP, 0u32);
    while number < MARKERS || chunk < next_marker {
        // One draw from each twelfth of a frame, so that few phases cover it evenly.
        if chunk + SETTLING == next_marker && number.is_multiple_of(MARKERS_PER_PHASE) {
            phase = FRAME.mul_f64(((number / MARKERS_PER_PHASE) as f64 + random.random::<f64>()) / PHASES as f64);
        }
        sleep_until(begin + CHUNK * chunk + phase).await;
        let is_marker = chunk == next_marker;
        let samples: Vec<f32> = (0..SAMPLES)
            .map(|n| {
                let bed = 0.02 * ((chunk as usize * SAMPLES + n) as f32 * 220.0 / 48_000.0 * TAU).sin();
                if is_marker { bed + 0.8 * (n as f32 * pitch(number % TONES)).sin() } else { bed }
            })
            .collect();
        let frame = AudioFrame::new(samples, 48_000, 1)?;
        if is_marker {
            markers.lock().push(Marker { pushed: Instant::now(), heard: None });
            number += 1;
            // Odd and even distances, so that both halves of a codec frame are met.
            let distance = 31 + chunk * 7 % 11;
            next_marker = match number {
                MARKERS => chunk + TRAILER,
                _ if number.is_multiple_of(MARKERS_PER_PHASE) => chunk + distance + SETTLING,
                _ => chunk + distance,
            };
        }
        alice.send_to_peer("bob", &RuntimeData::Audio { frame: Arc::new(frame) }).await?;
        chunk += 1;
    }
    Ok(())
}
