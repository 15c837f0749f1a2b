//! `VideoScale`.

use std::time::Instant;

use remotemedia_media::{PixelFormat, VideoFrame};
use remotemedia_nodes::video::{Filter, Fit, VideoScale};
use remotemedia_runtime_core::node::process_once;

use crate::{
    common::refusal,
    support::{FORMATS, grey, in_format, name, only, pixel, psnr, waves},
};

fn manifest(params: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: s, type: VideoScale, params: {{ {params} }} }}] }}")
}

#[tokio::test]
async fn a_scaled_picture_is_the_same_picture() {
    for format in FORMATS {
        for (from, to) in [((1280, 720), (640, 360)), ((641, 359), (320, 180)), ((320, 180), (640, 360))] {
            for filter in ["bilinear", "lanczos"] {
                let params = format!("width: {}, height: {}, fit: stretch, filter: {filter}", to.0, to.1);
                let scaled = only(&manifest(&params), in_format(waves(from.0, from.1), format).await).await;
                let expected = in_format(waves(to.0, to.1), format).await;
                let quality = psnr(&scaled, &expected);
                println!("{} {from:?} to {to:?}, {filter}: {quality:.1} dB", name(format));
                assert!(quality >= 35.0, "{quality}");
            }
        }
    }
}

#[tokio::test]
async fn sizes_are_exact_or_follow_from_the_aspect() {
    for (params, from, expected) in [
        ("width: 640, height: 480", (1921, 1081), (640, 480)),
        ("width: 640, height: 480, fit: cover", (33, 500), (640, 480)),
        ("width: 640", (1280, 720), (640, 360)),
        ("height: 360", (1281, 719), (642, 360)),
        ("max_width: 640", (1280, 720), (640, 360)),
        ("max_height: 100, max_width: 1000", (1280, 720), (178, 100)),
        ("max_width: 640, max_height: 640", (321, 123), (321, 123)),
    ] {
        let scaled = only(&manifest(params), grey(from.0, from.1, 90)).await;
        assert_eq!((scaled.width(), scaled.height()), expected, "{params}");
    }
}

#[tokio::test]
async fn a_picture_of_the_right_size_is_not_copied() {
    let frame = grey(640, 360, 50);
    let scaled = only(&manifest("width: 640"), frame.clone()).await;
    assert_eq!(scaled.planes()[0].data.as_ptr(), frame.planes()[0].data.as_ptr());
}

#[tokio::test]
async fn the_fit_decides_about_another_aspect() {
    // A white disc as wide as the picture is high shows what is cut off and what is distorted.
    let disc = |width: u32, height: u32| {
        let at = |value: u32, side: u32| (f64::from(value) + 0.5 - f64::from(side) / 2.0) / f64::from(height);
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (x, y)));
        let luma = places.map(|(x, y)| if at(x, width).hypot(at(y, height)) < 0.4 { 235 } else { 100 });
        let mut packed: Vec<u8> = luma.collect();
        packed.resize(PixelFormat::I420.packed_len(width, height), 128);
        VideoFrame::i420(width, height, packed).unwrap()
    };
    let across = |frame: &VideoFrame, value: u8| {
        let row = frame.rows(0).nth(frame.height() as usize / 2).unwrap();
        row.iter().filter(|luma| luma.abs_diff(value) < 5).count()
    };
    for (fit, white, black_corner) in [("contain", 90, true), ("cover", 160, false), ("stretch", 90, false)] {
        let scaled = only(&manifest(&format!("width: 200, height: 200, fit: {fit}")), disc(320, 180)).await;
        assert!(across(&scaled, 235).abs_diff(white) <= 4, "{fit}: {}", across(&scaled, 235));
        assert_eq!(pixel(&scaled, 0, 0) == 16, black_corner, "{fit}");
    }
}

#[test]
fn lanczos_is_sharper() {
    let stripes: Vec<u8> = (0..64u32).flat_map(|_| (0..64u32).map(|x| if x / 4 % 2 == 0 { 60 } else { 180 })).collect();
    let mut packed = stripes;
    packed.resize(PixelFormat::I420.packed_len(64, 64), 128);
    let frame = VideoFrame::i420(64, 64, packed).unwrap();
    let contrast = |filter| {
        let mut node = VideoScale::exactly(40, 40, Fit::Stretch).with_filter(filter);
        let output = process_once(&mut node, frame.clone()).unwrap();
        let scaled = output[0].as_video().unwrap();
        let row = scaled.rows(0).nth(20).unwrap();
        row.windows(2).map(|pair| f64::from(pair[0].abs_diff(pair[1])).powi(2)).sum::<f64>()
    };
    let (bilinear, lanczos) = (contrast(Filter::Bilinear), contrast(Filter::Lanczos));
    assert!(lanczos > 1.2 * bilinear, "{lanczos} and {bilinear}");
}

#[test]
fn params_that_cannot_be_meant_are_refused() {
    for (params, words) in [
        ("", "\"width\" is missing"),
        ("width: 641", "use 640 or 642"),
        ("width: 640, max_width: 640", "exclude each other"),
        ("max_height: 640, height: 300", "exclude each other"),
        ("width: 0", "from 2 to 16384"),
        ("width: 64, fit: crop", "contain, cover, stretch"),
    ] {
        let refused = refusal(&manifest(params));
        assert!(refused.contains(words), "{params}: {refused}");
    }
}

#[test]
fn what_it_costs() {
    let frame = grey(1920, 1080, 100);
    for (width, height) in [(1280, 720), (854, 480)] {
        for filter in [Filter::Bilinear, Filter::Lanczos] {
            let mut node = VideoScale::exactly(width, height, Fit::Stretch).with_filter(filter);
            process_once(&mut node, frame.clone()).unwrap();
            let started = Instant::now();
            (0..20).for_each(|_| drop(process_once(&mut node, frame.clone()).unwrap()));
            println!("1920x1080 to {width}x{height}, {filter:?}: {:?} a picture", started.elapsed() / 20);
        }
    }
}
