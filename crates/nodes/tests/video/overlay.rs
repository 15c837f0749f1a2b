//! `Overlay`.

use std::time::Duration;

use remotemedia_media::{PeerId, PixelFormat, VideoFrame};
use remotemedia_nodes::registry;
use remotemedia_runtime_core::{manifest::Manifest, runner::PipelineRunner, transport::TransportData};
use serde_json::json;

use crate::{
    common::refusal,
    support::{FORMATS, grey, in_format, only},
};

fn manifest(params: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: o, type: Overlay, params: {{ {params} }} }}] }}")
}

/// The smallest rectangle with all pixels that differ from `luma`: left, top, right, bottom.
fn drawn(frame: &VideoFrame, luma: u8) -> Option<[usize; 4]> {
    let places = frame.rows(0).enumerate().flat_map(|(y, row)| {
        row.iter().enumerate().filter(|(_, value)| value.abs_diff(luma) > 8).map(move |(x, _)| (x, y))
    });
    places.fold(None, |bounds, (x, y)| {
        let [left, top, right, bottom] = bounds.unwrap_or([x, y, x, y]);
        Some([left.min(x), top.min(y), right.max(x), bottom.max(y)])
    })
}

/// A PNG file of `width` x `height` pixels of one colour with alpha.
fn png(directory: &tempfile::TempDir, name: &str, width: u32, height: u32, rgba: [u8; 4]) -> String {
    let path = directory.path().join(name);
    let file = std::fs::File::create(&path).expect("a file");
    let mut encoder = png::Encoder::new(file, width, height);
    encoder.set_color(png::ColorType::Rgba);
    let mut writer = encoder.write_header().expect("a header");
    writer.write_image_data(&rgba.repeat((width * height) as usize)).expect("as many pixels as there are");
    path.to_str().expect("a path in UTF-8").to_owned()
}

#[tokio::test]
async fn text_stands_at_its_position_in_its_size() {
    for (position, is_left, is_top) in [
        ("top_left", true, true),
        ("top_right", false, true),
        ("bottom_left", true, false),
        ("bottom_right", false, false),
    ] {
        let params = format!("text: HX, size: 40, position: {position}");
        let [left, top, right, bottom] = drawn(&only(&manifest(&params), grey(640, 360, 60)).await, 60).unwrap();
        assert_eq!((right < 320, bottom < 180), (is_left, is_top), "{position}: {left} {top} {right} {bottom}");
        // Capitals of DejaVu Sans are 0.73 em high; an em is 1 / 1.164 of a line.
        assert!((bottom - top + 1).abs_diff(25) <= 2, "{position}: {top} to {bottom}");
    }
    let [left, top, ..] = drawn(&only(&manifest("text: H, x: 100, y: 50"), grey(640, 360, 60)).await, 60).unwrap();
    assert!((100..106).contains(&left) && (50..60).contains(&top), "{left} {top}");
    let [left, top, right, bottom] =
        drawn(&only(&manifest("text: HH, position: center"), grey(640, 360, 60)).await, 60).unwrap();
    assert!((left + right).abs_diff(640) <= 6 && (top + bottom).abs_diff(360) <= 8, "{left} {top} {right} {bottom}");
}

#[tokio::test]
async fn colours_are_those_that_were_asked_for_in_every_format() {
    for format in FORMATS {
        // A background box of solid colour is the easiest to measure.
        let params = "text: '  ', size: 64, x: 10, y: 10, background: '#ff0000'";
        let picture = only(&manifest(params), in_format(grey(200, 120, 128), format).await).await;
        let rgb = in_format(picture, PixelFormat::Rgb24).await;
        let inside = &rgb.rows(0).nth(40).unwrap()[3 * 30..3 * 30 + 3];
        let outside = &rgb.rows(0).nth(110).unwrap()[3 * 190..3 * 190 + 3];
        assert!(inside[0] > 245 && inside[1] < 10 && inside[2] < 10, "{format:?}: {inside:?}");
        assert!(outside.iter().all(|value| value.abs_diff(130) <= 3), "{format:?}: {outside:?}");
    }
    let picture = only(&manifest("text: '████', size: 64, x: 0, y: 0, color: '#00ff0080'"), grey(200, 120, 16)).await;
    let rgb = in_format(picture, PixelFormat::Rgb24).await;
    let inside = &rgb.rows(0).nth(30).unwrap()[3 * 60..3 * 60 + 3];
    assert!(inside[1].abs_diff(128) < 12 && inside[0] < 12, "half of green over black is {inside:?}");
}

#[tokio::test]
async fn opacity_is_for_the_whole() {
    let params = "text: ' ', size: 64, x: 0, y: 0, background: '#ffffff'";
    for (opacity, expected) in [(1.0, 235), (0.5, 126), (0.0, 16)] {
        let picture = only(&manifest(&format!("{params}, opacity: {opacity}")), grey(64, 64, 16)).await;
        let luma = picture.rows(0).nth(20).unwrap()[10];
        assert!(luma.abs_diff(expected) <= 2, "{opacity}: {luma}");
    }
}

#[tokio::test]
async fn placeholders_follow_the_picture() {
    // The picture's labels are those of `labelled`: alice, 01:02:03.045.
    let with = |text: &str| manifest(&format!("text: '{text}', size: 24"));
    let expected = only(&with("alice at 01:02:03.045"), grey(640, 60, 40)).await;
    assert_eq!(only(&with("{peer} at {time}"), grey(640, 60, 40)).await.to_packed(), expected.to_packed());
    let expected = only(&with("01:02:03.045"), grey(640, 60, 40)).await;
    let timestamp = only(&manifest("timestamp: true, size: 24"), grey(640, 60, 40)).await;
    assert_eq!(timestamp.to_packed(), expected.to_packed());
}

#[tokio::test]
async fn every_peer_has_its_own_name_and_texts_change_while_running() {
    let manifest = Manifest::from_yaml(&manifest("text: '{peer}', size: 24")).unwrap();
    let mut session = PipelineRunner::with_registry(registry()).create_session(&manifest).unwrap();
    let from = |peer: &str| {
        let mut frame = grey(320, 60, 40).with_timestamp(Duration::ZERO);
        frame.source = Some(PeerId::new(peer).unwrap());
        frame
    };
    let mut pictures = Vec::new();
    for peer in ["al", "bartholomew", "al", "bartholomew"] {
        session.send_input(TransportData::new(from(peer))).await.unwrap();
        let output = session.recv_output().await.unwrap().unwrap();
        pictures.push(output.data.as_video().unwrap().to_packed());
    }
    assert!(pictures[0] == pictures[2] && pictures[1] == pictures[3] && pictures[0] != pictures[1]);
    session.control().reconfigure("o", json!({ "text": "bartholomew", "size": 24 })).await.unwrap();
    session.send_input(TransportData::new(from("al"))).await.unwrap();
    let output = session.recv_output().await.unwrap().unwrap();
    assert_eq!(output.data.as_video().unwrap().to_packed(), pictures[1]);
}

#[tokio::test]
async fn an_image_is_drawn_with_its_transparency() {
    let directory = tempfile::tempdir().unwrap();
    let path = png(&directory, "half.png", 40, 20, [255, 255, 255, 128]);
    let picture = only(&manifest(&format!("image: '{path}', x: 10, y: 10")), grey(120, 80, 16)).await;
    assert_eq!(drawn(&picture, 16), Some([10, 10, 49, 29]));
    assert!(picture.rows(0).nth(20).unwrap()[30].abs_diff(126) <= 2);
    // Twice as high is twice as wide.
    let picture = only(&manifest(&format!("image: '{path}', x: 10, y: 10, size: 40")), grey(120, 80, 16)).await;
    assert_eq!(drawn(&picture, 16), Some([10, 10, 89, 49]));
}

#[tokio::test]
async fn long_texts_stay_within_the_picture() {
    let text = "word ".repeat(40);
    let picture = only(&manifest(&format!("text: '{text}', size: 20, position: top_left")), grey(320, 240, 60)).await;
    let [left, _, right, bottom] = drawn(&picture, 60).unwrap();
    assert!(left >= 6 && right < 314 && bottom > 60, "{left} {right} {bottom}");
}

#[test]
fn params_that_cannot_be_meant_are_refused() {
    let directory = tempfile::tempdir().unwrap();
    let no_png = directory.path().join("no.png");
    std::fs::write(&no_png, "words").unwrap();
    let no_png = format!("image: '{}'", no_png.display());
    let long = format!("text: '{}'", "x".repeat(201));
    for (params, words) in [
        ("", "a text, timestamp: true, or an image"),
        ("text: a, timestamp: true", "exclude each other"),
        ("text: a, color: red", "#rrggbb"),
        ("text: a, background: '#12345'", "#rrggbb"),
        ("text: a, position: left, x: 3", "exclude each other"),
        ("text: a, position: middle", "bottom_right"),
        ("image: /nowhere/logo.png", "the file cannot be read"),
        (&no_png, "no PNG picture"),
        (&long, "at most 200 characters"),
    ] {
        let refused = refusal(&manifest(params));
        assert!(refused.contains(words), "{params}: {refused}");
    }
}
