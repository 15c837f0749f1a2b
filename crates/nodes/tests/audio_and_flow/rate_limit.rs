use std::time::Duration;

use crate::{
    common::{run, tone, video},
    support::{Step, drive, session},
};
use remotemedia_runtime_core::{
    data::{RuntimeData, VideoFrame},
    transport::TransportData,
};
use serde_json::json;

fn manifest(params: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: limit, type: RateLimit, params: {{ {params} }} }}] }}")
}

fn pictures(per_second: u32, count: u32, stream: &str) -> Vec<TransportData> {
    let picture = |number: u32| {
        let mut frame = VideoFrame::i420(2, 2, vec![0; 6]).unwrap();
        frame.timestamp = Some(Duration::from_secs(number.into()) / per_second);
        frame.stream_id = Some(stream.parse().unwrap());
        TransportData::new(frame)
    };
    (0..count).map(picture).collect()
}

/// The numbers of the pictures that pass.
async fn passed(max: u32, per_second: u32, count: u32) -> Vec<u32> {
    let outputs = run(&manifest(&format!("max_per_second: {max}")), pictures(per_second, count, "cam")).await;
    let number = |time: Duration| (time.as_secs_f64() * f64::from(per_second)).round() as u32;
    video(&outputs).iter().map(|frame| number(frame.timestamp.unwrap())).collect()
}

#[tokio::test(start_paused = true)]
async fn video_is_thinned_evenly_by_its_timestamps() {
    assert_eq!(passed(10, 30, 90).await, (0..90).step_by(3).collect::<Vec<_>>());
    assert_eq!(passed(15, 30, 90).await, (0..90).step_by(2).collect::<Vec<_>>());
    assert_eq!(passed(30, 30, 90).await, (0..90).collect::<Vec<_>>(), "a rate that fits loses nothing");
    let two_of_three = passed(20, 30, 90).await;
    assert_eq!(two_of_three.len(), 60);
    assert!(two_of_three.windows(2).all(|pair| pair[1] - pair[0] <= 2), "{two_of_three:?}");
}

#[tokio::test(start_paused = true)]
async fn streams_have_a_rate_each() {
    let mut inputs = pictures(30, 30, "cam");
    inputs.extend(pictures(30, 30, "screen"));
    assert_eq!(run(&manifest("max_per_second: 10"), inputs).await.len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_timeline_that_begins_anew_is_followed() {
    let mut inputs = pictures(30, 300, "cam");
    inputs.extend(pictures(30, 30, "cam"));
    assert_eq!(run(&manifest("max_per_second: 10"), inputs).await.len(), 110);
}

#[tokio::test(start_paused = true)]
async fn pictures_without_timestamps_go_by_the_clock() {
    let mut session = session(&manifest("max_per_second: 10"));
    let mut passed = 0;
    for _ in 0..100 {
        let frame = VideoFrame::i420(2, 2, vec![0; 6]).unwrap();
        session.send_input(TransportData::new(frame)).await.unwrap();
        while session.recv_output().await.unwrap().is_some() {
            passed += 1;
        }
        tokio::time::advance(Duration::from_millis(20)).await;
    }
    assert_eq!(passed, 20);
}

#[tokio::test(start_paused = true)]
async fn messages_have_a_bucket_that_fills_up() {
    let mut session = session(&manifest("max_per_second: 2, burst: 3"));
    let mut at_once = Vec::new();
    for wait in [0, 500, 10_000] {
        tokio::time::advance(Duration::from_millis(wait)).await;
        let mut passed = 0;
        for number in 0..10 {
            session.send_input(TransportData::new(json!(number))).await.unwrap();
            while session.recv_output().await.unwrap().is_some() {
                passed += 1;
            }
        }
        at_once.push(passed);
    }
    assert_eq!(at_once, [3, 1, 3]);
}

#[tokio::test(start_paused = true)]
async fn audio_passes_unless_it_is_named() {
    assert_eq!(run(&manifest("max_per_second: 1"), tone(440.0, 0.1, 48_000, 10)).await.len(), 10);
    let named = manifest("max_per_second: 1, kinds: [audio]");
    assert_eq!(run(&named, tone(440.0, 0.1, 48_000, 10)).await.len(), 1);
    let texts = (0..5).map(|_| RuntimeData::from("words"));
    assert_eq!(run(&named, texts).await.len(), 5);
}

#[tokio::test(start_paused = true)]
async fn what_was_dropped_is_told_when_something_was() {
    let mut session = session(&manifest("max_per_second: 1, report_ms: 1000"));
    for number in 0..5 {
        session.send_input(TransportData::new(json!(number))).await.unwrap();
    }
    session.send_input(TransportData::new("words")).await.unwrap();
    session.send_input(TransportData::new("words")).await.unwrap();
    assert_eq!(session.next_output().await.unwrap().unwrap().data, RuntimeData::Json(json!(0)));
    assert_eq!(session.next_output().await.unwrap().unwrap().data, RuntimeData::from("words"));
    let report = session.next_output().await.unwrap().unwrap();
    assert_eq!(
        report.data,
        RuntimeData::Json(json!({ "type": "rate_limit", "dropped": { "json": 4, "text": 1 }, "total": 5 }))
    );
    assert_eq!(session.control().metrics()[0].dropped, 5);
    let silence = tokio::time::timeout(Duration::from_secs(10), session.next_output()).await;
    assert!(silence.is_err(), "{silence:?}");
}

#[tokio::test(start_paused = true)]
async fn the_rate_changes_while_it_runs() {
    let mut steps: Vec<Step> = pictures(30, 30, "cam").into_iter().map(Step::Send).collect();
    steps.push(Step::Change("limit", json!({ "max_per_second": 15 })));
    steps.extend(pictures(30, 60, "cam").into_iter().skip(30).map(Step::Send));
    assert_eq!(drive(&manifest("max_per_second: 5"), steps).await.len(), 5 + 15);
}
