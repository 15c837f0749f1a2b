use std::time::Duration;

use crate::{
    common::{audio, refusal, run, tone},
    support::{Step, Talker, drive, join, largest_step, level, peak, session, signal_to_rest},
};
use remotemedia_runtime_core::{data::RuntimeData, transport::TransportData};
use serde_json::json;

fn manifest(rate: u32) -> String {
    format!("pipeline: {{ nodes: [{{ id: to, type: Resample, params: {{ sample_rate: {rate} }} }}] }}")
}

async fn resample(talker: &mut Talker, seconds: f32, to: u32) -> Vec<f32> {
    let count = (seconds * talker.rate as f32 / talker.length as f32) as usize;
    let inputs: Vec<_> = talker.frames(count).into_iter().map(TransportData::new).collect();
    let frames = audio(&run(&manifest(to), inputs).await);
    assert!(frames.iter().all(|frame| frame.sample_rate() == to));
    join(&frames)
}

#[tokio::test(start_paused = true)]
async fn a_tone_stays_clean() {
    for (from, to, length) in [
        (44_100, 48_000, 441),
        (48_000, 44_100, 960),
        (44_100, 48_000, 377),
        (16_000, 48_000, 320),
        (44_101, 48_000, 882),
    ] {
        let mut talker = Talker::nobody(997.0).format(from, 1, length).loud(0.5);
        let samples = resample(&mut talker, 2.0, to).await;
        let rest = signal_to_rest(&samples[to as usize / 4..to as usize], 997.0, to);
        println!("{from} to {to} Hz: {rest:.1} dB");
        assert!(rest >= 90.0, "{from} to {to} Hz: {rest} dB");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_new_rate_cannot_carry_is_gone() {
    for (hertz, from, to) in [(9_000.0, 48_000, 16_000), (6_000.0, 48_000, 8_000), (23_000.0, 48_000, 44_100)] {
        let mut talker = Talker::nobody(hertz).format(from, 1, 960).loud(1.0);
        let samples = resample(&mut talker, 1.0, to).await;
        let left = peak(&samples[to as usize / 4..to as usize / 2]);
        println!("{hertz} Hz from {from} to {to}: {:.1} dB", 20.0 * left.log10());
        assert!(left < 1e-4, "{hertz} Hz from {from} to {to} leaves {left}");
    }
    // What it can carry is not.
    for (hertz, from, to) in [(7_400.0, 48_000, 16_000), (3_500.0, 8_000, 48_000), (20_000.0, 44_100, 48_000)] {
        let mut talker = Talker::nobody(hertz).format(from, 1, 480);
        let samples = resample(&mut talker, 1.0, to).await;
        let level = level(&samples[to as usize / 4..to as usize / 2], hertz, to);
        assert!((level + 20.0).abs() < 0.5, "{hertz} Hz from {from} to {to}: {level} dB");
    }
}

#[tokio::test(start_paused = true)]
async fn each_sample_keeps_its_time_and_the_frame_its_names() {
    let mut talker = Talker { stream: Some("mic"), ..Talker::new("a", 440.0).format(44_100, 2, 882) };
    talker.position = 44_100;
    let capture = remotemedia_media::NtpTime(5 << 32);
    let inputs = talker.frames(50).into_iter().map(|mut frame| {
        frame.capture_time = frame.timestamp.map(|time| capture + time);
        TransportData::new(frame)
    });
    let frames = audio(&run(&manifest(48_000), inputs.collect::<Vec<_>>()).await);
    let mut next = Duration::from_secs(1);
    for frame in &frames {
        let time = frame.timestamp.unwrap();
        assert!(time.abs_diff(next) < Duration::from_micros(2), "{time:?} instead of {next:?}");
        next = time + frame.duration();
        let captured = frame.capture_time.unwrap().saturating_since(capture);
        assert!(captured.abs_diff(time) < Duration::from_micros(2), "{captured:?} at {time:?}");
        assert_eq!(frame.source.as_deref(), Some("a"));
        assert_eq!(frame.stream_id.as_deref(), Some("mic"));
        // The sample is the one of that time.
        let at = |time: Duration| 0.1 * (std::f64::consts::TAU * 440.0 * time.as_secs_f64()).sin() as f32;
        let middle = frame.samples_per_channel() / 2;
        let expected = at(time + Duration::from_secs_f64(middle as f64 / 48_000.0));
        let is_inside = time > Duration::from_millis(1_020) && time < Duration::from_millis(1_960);
        // To within a sample: the resampler's delay is no whole number of them.
        let error = (frame.samples()[middle * 2] - expected).abs();
        assert!(!is_inside || error < 6e-3, "off by {error} at {time:?}");
    }
    assert!(next.abs_diff(Duration::from_secs(2)) < Duration::from_micros(30), "all of it came out: {next:?}");
}

#[tokio::test(start_paused = true)]
async fn streams_do_not_mix_and_formats_may_change() {
    let mut a = Talker::new("a", 440.0).format(44_100, 1, 441);
    let mut b = Talker::new("b", 1_700.0).format(16_000, 1, 160);
    let mut steps: Vec<Step> = (0..100).flat_map(|_| [Step::from(a.frame()), Step::from(b.frame())]).collect();
    let mut later = Talker { position: 48_000, ..Talker::new("b", 1_700.0).format(48_000, 2, 480) };
    let mut last = Talker { position: 64_000, ..Talker::new("b", 1_700.0).format(32_000, 1, 320) };
    steps.extend(later.frames(100).into_iter().map(Step::from));
    steps.extend(last.frames(100).into_iter().map(Step::from));
    steps.push("words".into());
    let outputs = drive(&manifest(48_000), steps).await;
    assert!(outputs.iter().any(|output| output.data == RuntimeData::from("words")), "other data passes");
    let frames = audio(&outputs);
    let of =
        |peer: &str| frames.iter().filter(|frame| frame.source.as_deref() == Some(peer)).cloned().collect::<Vec<_>>();
    let a = join(&of("a"));
    assert_eq!(a.len(), 48_000);
    assert!(level(&a, 1_700.0, 48_000) < -100.0);
    let b: Vec<f32> = of("b")
        .iter()
        .flat_map(|f| f.samples().iter().step_by(f.channels().into()).copied().collect::<Vec<_>>())
        .collect();
    assert_eq!(b.len(), 3 * 48_000);
    let own = 2.0 * 0.1 * (std::f32::consts::PI * 1_700.0 / 48_000.0).sin();
    // Where one resampler ends and the next begins, the tone is not whole.
    assert!(largest_step(&b) < own * 1.25, "{} instead of {own}", largest_step(&b));
}

#[tokio::test(start_paused = true)]
async fn a_jump_of_the_timestamps_is_a_new_beginning() {
    let mut talker = Talker::nobody(440.0).format(44_100, 1, 441);
    let mut steps: Vec<Step> = talker.frames(10).into_iter().map(Step::from).collect();
    talker.position += 441_000;
    steps.extend(talker.frames(10).into_iter().map(Step::from));
    let frames = audio(&drive(&manifest(48_000), steps).await);
    let ends: Vec<_> = frames.iter().map(|frame| frame.timestamp.unwrap() + frame.duration()).collect();
    let starts: Vec<_> = frames.iter().map(|frame| frame.timestamp.unwrap()).collect();
    let gaps: Vec<_> = ends.iter().zip(&starts[1..]).map(|(end, start)| start.abs_diff(*end)).collect();
    let long: Vec<_> = gaps.iter().filter(|gap| **gap > Duration::from_micros(30)).collect();
    assert_eq!(long.len(), 1, "{gaps:?}");
    assert!(long[0].abs_diff(Duration::from_secs(10)) < Duration::from_micros(30), "{long:?}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_can_change_while_it_runs_and_audio_of_it_passes_as_it_is() {
    let mut steps: Vec<Step> = tone(440.0, 0.1, 48_000, 5).into_iter().map(Step::from).collect();
    steps.push(Step::Change("to", json!({ "sample_rate": 16_000 })));
    steps.extend(tone(440.0, 0.1, 48_000, 5).into_iter().map(Step::from));
    let frames = audio(&drive(&manifest(48_000), steps).await);
    assert_eq!(RuntimeData::from(frames[0].clone()), tone(440.0, 0.1, 48_000, 1)[0]);
    assert_eq!(frames.last().unwrap().sample_rate(), 16_000);
}

#[tokio::test]
async fn a_rate_that_the_pipeline_is_not_to_make_is_refused_while_it_runs() {
    let session = session(
        "pipeline:
  manifest: { inputs: [{ type: audio }], outputs: [{ type: audio, sample_rate: 16000 }] }
  nodes: [{ id: to, type: Resample, params: { sample_rate: 16000 } }]
",
    );
    let control = session.control();
    let refused = control.reconfigure("to", json!({ "sample_rate": 48_000 })).await.unwrap_err().to_string();
    assert!(refused.contains("put a Resample with sample_rate: 16000 between \"to\" and \"output\""), "{refused}");
    assert_eq!(control.params("to").unwrap().integer("sample_rate"), Some(16_000));
}

#[test]
fn the_rate_has_to_be_given() {
    let refused = refusal("pipeline: { nodes: [{ id: to, type: Resample }] }");
    assert!(refused.contains("\"sample_rate\" is missing; use a whole number from 8000 to 192000 Hz"), "{refused}");
}
