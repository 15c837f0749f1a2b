//! `TestCard`.

use std::{sync::Arc, time::Duration};

use remotemedia_media::VideoFrame;
use remotemedia_nodes::registry;
use remotemedia_runtime_core::{
    manifest::Manifest,
    runner::{PipelineRunner, Session},
};
use serde_json::json;
use tokio::time::Instant;

use crate::{
    common::refusal,
    support::{pixel, psnr},
};

fn manifest(params: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: card, type: TestCard, params: {{ {params} }} }}] }}")
}

fn session(params: &str) -> Session {
    let manifest = Manifest::from_yaml(&manifest(params)).expect("a good manifest");
    PipelineRunner::with_registry(registry()).create_session(&manifest).expect("a session")
}

async fn next(session: &mut Session) -> Arc<VideoFrame> {
    let output = session.next_output().await.expect("no failure").expect("the source goes on");
    Arc::clone(output.data.as_video().expect("a picture"))
}

#[tokio::test(start_paused = true)]
async fn pictures_come_at_their_rate_with_their_time() {
    for fps in [10, 30, 50] {
        let mut session = session(&format!("width: 64, height: 36, fps: {fps}, stream_id: card"));
        let first = next(&mut session).await;
        assert_eq!(first.timestamp, Some(Duration::ZERO));
        assert_eq!(first.stream_id.as_deref(), Some("card"));
        let started = Instant::now();
        for number in 1..=5 * fps {
            let picture = next(&mut session).await;
            let expected = Duration::from_secs_f64(f64::from(number) / f64::from(fps));
            assert!(picture.timestamp.unwrap().abs_diff(expected) < Duration::from_micros(1));
            assert!(started.elapsed().abs_diff(expected) <= Duration::from_millis(26), "{fps}: picture {number}");
        }
        assert!(started.elapsed().abs_diff(Duration::from_secs(5)) <= Duration::from_millis(30));
    }
}

#[tokio::test(start_paused = true)]
async fn it_ends_after_its_duration() {
    let mut session = session("width: 64, height: 36, fps: 25, duration_s: 2");
    let mut count = 0;
    while let Ok(picture) = tokio::time::timeout(Duration::from_secs(5), next(&mut session)).await {
        assert!(picture.timestamp < Some(Duration::from_secs(2)));
        count += 1;
    }
    assert_eq!(count, 50);
    let node = &session.control().metrics()[0];
    assert!(node.calls == 0 && node.ticks >= 50, "it is told from a node without work: {node:?}");
}

#[tokio::test(start_paused = true)]
async fn patterns_differ_and_only_one_moves() {
    let mut patterns = Vec::new();
    for pattern in ["bars", "gradient", "checker", "moving"] {
        let mut session = session(&format!("width: 320, height: 180, fps: 10, pattern: {pattern}"));
        let first = next(&mut session).await;
        let second = next(&mut session).await;
        let is_moving = psnr(&first, &second) < 60.0;
        assert_eq!(is_moving, pattern == "moving", "{pattern}");
        if !is_moving {
            assert_eq!(first.planes()[0].data.as_ptr(), second.planes()[0].data.as_ptr(), "{pattern} is drawn once");
        }
        patterns.push(first);
    }
    for (index, one) in patterns.iter().enumerate() {
        assert!(patterns[index + 1..].iter().all(|other| psnr(one, other) < 25.0));
    }
    // White, yellow, ... blue, of 75 %: luma falls from bar to bar.
    let luma: Vec<u8> = (0..7).map(|bar| pixel(&patterns[0], 22 + bar * 45, 90)).collect();
    assert!(luma.windows(2).all(|pair| pair[0] > pair[1]) && luma[0].abs_diff(180) <= 1, "{luma:?}");
}

#[tokio::test(start_paused = true)]
async fn params_change_while_time_goes_on() {
    let mut session = session("width: 64, height: 36, fps: 10");
    for _ in 0..10 {
        next(&mut session).await;
    }
    session.control().reconfigure("card", json!({ "width": 128, "height": 72, "fps": 50 })).await.unwrap();
    let mut last = Duration::from_millis(900);
    for number in 0..20 {
        let picture = next(&mut session).await;
        let timestamp = picture.timestamp.unwrap();
        assert!(timestamp > last, "picture {number}: {timestamp:?} after {last:?}");
        if picture.width() == 128 && number > 2 {
            assert_eq!((timestamp - last).as_millis(), 20);
        }
        last = timestamp;
    }
}

#[test]
fn params_that_cannot_be_meant_are_refused() {
    for (params, words) in [
        ("width: 641", "use 640 or 642"),
        ("stream_id: two words", "is not a valid id"),
        ("fps: 0", "from 1 to 120"),
        ("pattern: bar", "did you mean"),
    ] {
        let refused = refusal(&manifest(params));
        assert!(refused.contains(words), "{params}: {refused}");
    }
}
