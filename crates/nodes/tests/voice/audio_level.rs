use remotemedia_runtime_core::{
    data::{AudioFrame, RuntimeData},
    transport::TransportData,
};
use serde_json::Value;

use crate::{
    common::{audio, run, tone},
    sound::{frames, manifest, sine},
};

async fn levels(params: &str, inputs: Vec<AudioFrame>) -> Vec<Value> {
    let node = manifest(&format!("type: AudioLevel, params: {{ {params} }}"));
    let outputs = run(&node, inputs.into_iter().map(TransportData::new)).await;
    outputs.iter().filter_map(|output| output.data.as_json().cloned()).collect()
}

#[tokio::test]
async fn a_tone_measures_as_theory_says() {
    for (rate, channels, length) in [(48_000, 1, 960), (44_100, 2, 333), (8_000, 8, 4_000)] {
        let found = levels("", frames(&sine(400.0, 0.5, rate, rate as usize), rate, channels, length)).await;
        assert_eq!(found.len(), 10, "{rate} Hz");
        for (number, level) in found.iter().enumerate() {
            assert!((level["rms_db"].as_f64().unwrap() + 9.03).abs() < 0.05, "{level}");
            assert!((level["peak_db"].as_f64().unwrap() + 6.02).abs() < 0.1, "{level}");
            assert_eq!(level["clipped"], 0);
            let at = level["timestamp_ms"].as_f64().unwrap();
            assert!((at - 1_000.0 - 100.0 * number as f64).abs() < 0.1, "{level}");
        }
    }
}

#[tokio::test]
async fn silence_has_a_number_and_clipped_samples_are_counted() {
    let mut samples = vec![0.0; 4_800];
    samples.extend(sine(1_000.0, 2.0, 48_000, 4_800).iter().map(|sample| sample.clamp(-1.0, 1.0)));
    let found = levels("", frames(&samples, 48_000, 1, 480)).await;
    assert_eq!((found[0]["rms_db"].as_f64(), found[0]["clipped"].as_u64()), (Some(-120.0), Some(0)));
    // A sine of twice full scale is beyond it for two thirds of the time.
    let clipped = found[1]["clipped"].as_u64().unwrap();
    assert!((3_150..=3_400).contains(&clipped), "{clipped} clipped");
}

#[tokio::test]
async fn the_interval_is_that_of_the_params_and_the_rest_comes_at_the_end() {
    let found = levels("interval_ms: 400", frames(&sine(400.0, 0.5, 48_000, 48_000), 48_000, 1, 960)).await;
    let durations: Vec<_> = found.iter().filter_map(|level| level["duration_ms"].as_f64()).collect();
    assert_eq!(durations, [400.0, 400.0, 200.0]);
}

#[tokio::test]
async fn audio_goes_on_unless_it_is_told_not_to() {
    let passed = run(&manifest("type: AudioLevel"), tone(440.0, 0.5, 48_000, 10)).await;
    assert_eq!(audio(&passed).len(), 10);
    let kept = run(&manifest("type: AudioLevel, params: { pass_audio: false }"), tone(440.0, 0.5, 48_000, 10)).await;
    assert_eq!((audio(&kept).len(), kept.len()), (0, 2));
}

#[tokio::test]
async fn peers_and_streams_are_measured_by_themselves_and_named() {
    let mut inputs = Vec::new();
    for (loud, quiet) in tone(400.0, 0.5, 48_000, 5).into_iter().zip(tone(400.0, 0.05, 48_000, 5)) {
        for (data, peer, stream) in [(loud, "ann", "mic"), (quiet, "bob", "mic")] {
            let RuntimeData::Audio { frame } = data else { panic!("audio") };
            let mut frame = (*frame).clone();
            frame.source = Some(peer.parse().unwrap());
            frame.stream_id = Some(stream.parse().unwrap());
            inputs.push(frame);
        }
    }
    let found = levels("", inputs).await;
    let of = |peer: &str| found.iter().find(|level| level["peer"] == peer).unwrap();
    let apart = of("ann")["rms_db"].as_f64().unwrap() - of("bob")["rms_db"].as_f64().unwrap();
    assert!((apart - 20.0).abs() < 0.1 && of("bob")["stream"] == "mic", "{found:?}");
}
