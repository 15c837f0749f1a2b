//! Pictures of every small size and format, with and without padding, go through every node.

use bytes::Bytes;
use proptest::prelude::*;
use remotemedia_media::{PixelFormat, Plane, VideoFrame};
use remotemedia_nodes::video::{
    BackgroundBlur, Content, Corner, CropUnit, Filter, Fit, Overlay, VideoCrop, VideoFormat, VideoScale,
};
use remotemedia_runtime_core::node::{Node, process_once};

use crate::support::{FORMATS, assert_labels, labelled};

fn picture(
    format: PixelFormat,
    width: u32,
    height: u32,
    padding: usize,
    has_last_padding: bool,
    seed: u8,
) -> VideoFrame {
    let planes = (0..format.plane_count()).map(|plane| {
        let (row, rows) = format.plane_size(plane, width, height).expect("a plane");
        let stride = row + padding;
        let length = stride * rows - if has_last_padding { 0 } else { padding };
        let data: Vec<u8> = (0..length).map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed)).collect();
        Plane { data: Bytes::from(data), stride }
    });
    labelled(VideoFrame::from_planes(format, width, height, planes.collect()).expect("a picture"))
}

fn nodes() -> Vec<(&'static str, Box<dyn Node>)> {
    let mut nodes: Vec<(&'static str, Box<dyn Node>)> = vec![
        ("half", Box::new(VideoScale::exactly(20, 12, Fit::Contain))),
        ("cover", Box::new(VideoScale::exactly(14, 30, Fit::Cover).with_filter(Filter::Lanczos))),
        ("fit", Box::new(VideoScale::at_most(16, 10))),
        ("crop", Box::new(VideoCrop::new(0.2, 0.3, Some(0.5), None, CropUnit::Fraction))),
        ("text", Box::new(Overlay::new(Content::Text("{peer} {time} Ä".into()), Corner::Center))),
        ("blur", Box::new(BackgroundBlur::new(15.0, 10.0))),
        ("strong blur", Box::new(BackgroundBlur::new(100.0, 0.0))),
    ];
    nodes.extend(FORMATS.map(|format| ("format", Box::new(VideoFormat::new(format)) as Box<dyn Node>)));
    nodes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn no_picture_is_too_small_or_odd(
        format in prop::sample::select(FORMATS.to_vec()),
        (width, height) in (1u32..=40, 1u32..=40),
        (padding, has_last_padding) in (0usize..5, any::<bool>()),
        seed in any::<u8>(),
    ) {
        for (name, mut node) in nodes() {
            for number in 0..2 {
                let picture = picture(format, width, height, padding, has_last_padding, seed.wrapping_add(number));
                let output = process_once(&mut *node, picture);
                let output = output.map_err(|error| TestCaseError::fail(format!("{name}: {error}")))?;
                prop_assert_eq!(output.len(), 1);
                assert_labels(output[0].as_video().unwrap());
            }
        }
    }
}

#[test]
fn the_longest_pictures_go_through() {
    for (width, height) in [(16_384, 1), (1, 16_384), (16_384, 2)] {
        for format in FORMATS {
            for (name, mut node) in nodes() {
                let picture = picture(format, width, height, 0, true, 7);
                assert_eq!(process_once(&mut *node, picture).unwrap().len(), 1, "{name} {format:?} {width}x{height}");
            }
        }
    }
}
