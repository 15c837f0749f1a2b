use std::time::Duration;

use crate::{
    common::{audio, refusal},
    support::{join, largest_step, level, peak, session},
};
use remotemedia_runtime_core::{data::AudioFrame, transport::TransportData};
use serde_json::json;
use std::sync::Arc;

fn manifest(params: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: tone, type: TestTone, params: {{ {params} }} }}] }}")
}

/// What the source makes in `time` of tokio's clock.
async fn listen(params: &str, time: Duration) -> Vec<Arc<AudioFrame>> {
    let mut session = session(&manifest(params));
    let end = tokio::time::Instant::now() + time;
    let mut outputs: Vec<TransportData> = Vec::new();
    while let Ok(output) = tokio::time::timeout_at(end, session.next_output()).await {
        outputs.extend(output.unwrap());
    }
    audio(&outputs)
}

#[tokio::test(start_paused = true)]
async fn a_second_of_the_clock_is_a_second_of_the_tone() {
    let frames = listen("hertz: 1000, db: -6, stream_id: beep", Duration::from_millis(1_005)).await;
    assert_eq!(frames.len(), 50);
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame.timestamp, Some(Duration::from_millis(20) * number as u32));
        assert_eq!(frame.stream_id.as_deref(), Some("beep"));
    }
    let samples = join(&frames);
    assert!((level(&samples, 1_000.0, 48_000) + 6.0).abs() < 0.01, "{}", level(&samples, 1_000.0, 48_000));
    assert!((peak(&samples) - 0.501).abs() < 0.001);
}

#[tokio::test(start_paused = true)]
async fn format_and_length_are_chosen() {
    let params = "sample_rate: 44100, channels: 2, frame_ms: 10, duration_s: 0.255";
    let frames = listen(params, Duration::from_secs(1)).await;
    assert!(frames.iter().all(|frame| (frame.sample_rate(), frame.channels()) == (44_100, 2)));
    assert_eq!(frames[0].samples_per_channel(), 441);
    let samples = join(&frames);
    assert_eq!(samples.len() / 2, 44_100 * 255 / 1_000);
    assert!(samples.chunks_exact(2).all(|pair| pair[0] == pair[1]));
    let left: Vec<f32> = samples.into_iter().step_by(2).collect();
    assert!((level(&left, 440.0, 44_100) + 20.0).abs() < 0.05);
}

#[tokio::test(start_paused = true)]
async fn waves_differ_in_what_they_contain() {
    let of = |wave: &str| {
        let params = format!("wave: {wave}, hertz: 500, db: 0");
        async move { join(&listen(&params, Duration::from_millis(4_005)).await) }
    };
    let square = of("square").await;
    // The third harmonic of a square has a third of the first's amplitude; even ones are missing.
    let first = level(&square[..96_000], 500.0, 48_000);
    assert!((first - 20.0 * (4.0 / std::f64::consts::PI).log10()).abs() < 0.1, "{first}");
    assert!((level(&square[..96_000], 1_500.0, 48_000) - first + 9.54).abs() < 0.2);
    assert!(level(&square[..96_000], 1_000.0, 48_000) < -60.0);
    assert!(peak(&square) <= 1.0);

    let noise = of("noise").await;
    let power: f64 = noise.iter().map(|sample| f64::from(sample * sample)).sum::<f64>() / noise.len() as f64;
    assert!((power - 1.0 / 3.0).abs() < 0.02, "{power}");
    let neighbours: f64 = noise.windows(2).map(|pair| f64::from(pair[0] * pair[1])).sum::<f64>() / noise.len() as f64;
    assert!(neighbours.abs() < 0.01, "{neighbours}");

    let bursts = of("bursts").await;
    assert!(peak(&bursts) <= 1.0 && peak(&bursts[..72_000]) > 0.3);
    assert_eq!(peak(&bursts[72_100..95_900]), 0.0, "half a second of silence");
    assert!(level(&bursts[96_000..168_000], 500.0, 48_000) > -20.0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_falls_behind_loses_what_is_older_than_200_ms() {
    let mut session = session(&manifest("hertz: 440"));
    let mut outputs = vec![session.next_output().await.unwrap().unwrap()];
    // As when the machine was suspended.
    tokio::time::advance(Duration::from_secs(10)).await;
    let end = tokio::time::Instant::now() + Duration::from_secs(1);
    while let Ok(output) = tokio::time::timeout_at(end, session.next_output()).await {
        outputs.extend(output.unwrap());
    }
    let times: Vec<_> = audio(&outputs).iter().map(|frame| frame.timestamp.unwrap()).collect();
    let jumps: Vec<_> = times.windows(2).filter(|pair| pair[1] - pair[0] > Duration::from_millis(20)).collect();
    assert_eq!(jumps.len(), 1, "{times:?}");
    let skipped = jumps[0][1];
    assert!((Duration::from_millis(9_700)..=Duration::from_millis(10_100)).contains(&skipped), "{skipped:?}");
    let last = *times.last().unwrap();
    assert!(last.abs_diff(Duration::from_secs(11)) <= Duration::from_millis(40), "it is on time again: {last:?}");
    assert!(times.iter().all(|time| time.as_micros() % 20_000 == 0), "on the grid");
}

#[tokio::test(start_paused = true)]
async fn pitch_and_level_change_without_a_click() {
    let mut session = session(&manifest("hertz: 300, db: -20"));
    let mut outputs = Vec::new();
    for _ in 0..25 {
        outputs.extend(session.next_output().await.unwrap());
    }
    session.control().reconfigure("tone", json!({ "hertz": 700, "db": -40 })).await.unwrap();
    for _ in 0..25 {
        outputs.extend(session.next_output().await.unwrap());
    }
    let samples = join(&audio(&outputs));
    assert!((level(&samples[..24_000], 300.0, 48_000) + 20.0).abs() < 0.5);
    assert!((level(&samples[28_800..], 700.0, 48_000) + 40.0).abs() < 0.5);
    let own = 2.0 * 0.1 * (std::f32::consts::PI * 700.0 / 48_000.0).sin();
    assert!(largest_step(&samples) <= own, "{}", largest_step(&samples));
}

#[test]
fn tones_that_cannot_be_are_refused() {
    assert!(refusal(&manifest("sample_rate: 8000, hertz: 4500")).contains("use at most 4000 Hz"));
    assert!(refusal(&manifest("stream_id: two words")).contains("\"stream_id\": \"two words\" cannot be used"));
}
