//! `BackgroundBlur` without a model.

use std::time::{Duration, Instant};

use remotemedia_media::{PixelFormat, VideoFrame};
use remotemedia_nodes::video::BackgroundBlur;
use remotemedia_runtime_core::node::{Node, process_once};

use crate::{
    common::refusal,
    support::{FORMATS, in_format, labelled, play, psnr, psnr_of},
};

fn manifest(params: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: b, type: BackgroundBlur, params: {{ {params} }} }}] }}")
}

/// A fixed random number from 0 to 1 for a place.
fn noise(x: i64, y: i64, salt: i64) -> f64 {
    let mut bits = (x.wrapping_mul(0x9E37_79B9) ^ y.wrapping_mul(0x85EB_CA6B) ^ salt.wrapping_mul(0xC2B2_AE35)) as u64;
    for _ in 0..2 {
        bits = (bits ^ (bits >> 15)).wrapping_mul(0x2545_F491_4F6C_DD1D);
    }
    ((bits >> 33) & 0xffff) as f64 / 65_535.0
}

/// A person before a wall, both with a fine texture. The person moves from side to side, the wall stands still.
struct Scene {
    width: i64,
    height: i64,
}

impl Scene {
    /// How far the person is from the middle.
    fn offset(&self, number: usize) -> i64 {
        (0.06 * self.height as f64 * (number as f64 / 25.0 * std::f64::consts::PI).sin()) as i64
    }

    /// Whether the person, `wider` pixels wider than they are, covers a place.
    fn is_person(&self, x: i64, y: i64, number: usize, wider: f64) -> bool {
        let height = self.height as f64;
        let (across, down) = ((x - self.width / 2 - self.offset(number)) as f64, y as f64);
        let ellipse = |middle: f64, wide: f64, high: f64| {
            (across / (wide * height + wider)).hypot((down - middle * height) / (high * height + wider)) < 1.0
        };
        ellipse(0.38, 0.15, 0.21) || ellipse(1.05, 0.36, 0.5)
    }

    fn luma(&self, x: i64, y: i64, number: usize) -> u8 {
        let value = if self.is_person(x, y, number, 0.0) {
            150.0 + 60.0 * noise((x - self.offset(number)) / 2, y / 2, 1)
        } else {
            60.0 + 40.0 * noise(x / 2, y / 2, 2) + 30.0 * x as f64 / self.width as f64
        };
        value as u8
    }

    fn picture(&self, number: usize) -> VideoFrame {
        let places = |step: usize| {
            (0..self.height).step_by(step).flat_map(move |y| (0..self.width).step_by(step).map(move |x| (x, y)))
        };
        let mut packed: Vec<u8> = places(1).map(|(x, y)| self.luma(x, y, number)).collect();
        let chroma = |person: u8, wall: u8| {
            let of = move |(x, y)| if self.is_person(x, y, number, 0.0) { person } else { wall };
            places(2).map(of)
        };
        packed.extend(chroma(108, 132).chain(chroma(150, 120)));
        let frame = VideoFrame::i420(self.width as u32, self.height as u32, packed).expect("a picture");
        frame.with_timestamp(Duration::from_millis(number as u64 * 40))
    }

    /// The energy of the finest detail of the wall, `beside` pixels and more from the person.
    fn detail(&self, frame: &VideoFrame, number: usize, beside: f64) -> f64 {
        let mut energy = 0.0;
        for (y, row) in frame.rows(0).enumerate() {
            for (x, pair) in row.windows(2).enumerate() {
                if !self.is_person(x as i64, y as i64, number, beside) {
                    energy += f64::from(pair[0].abs_diff(pair[1])).powi(2);
                }
            }
        }
        energy
    }

    /// The middle of the person.
    fn middle(&self, frame: &VideoFrame, number: usize) -> Vec<u8> {
        let rows = frame.rows(0).enumerate();
        rows.flat_map(|(y, row)| {
            let inner = -0.03 * self.height as f64;
            let inside = move |(x, _): &(usize, &u8)| self.is_person(*x as i64, y as i64, number, inner);
            row.iter().enumerate().filter(inside).map(|(_, value)| *value)
        })
        .collect()
    }
}

const SCENE: Scene = Scene { width: 640, height: 360 };
/// Padding and soft edge of 10 and 16 pixels at 720 lines, for a picture of 360, and what the mask follows later.
const BESIDE: f64 = 18.0;

#[tokio::test]
async fn the_wall_is_blurred_and_the_person_is_not() {
    let originals: Vec<VideoFrame> = (0..75).map(|number| SCENE.picture(number)).collect();
    let blurred = play(&manifest("blur_strength: 15, mask_padding: 10"), &originals).await;
    assert_eq!(blurred.len(), originals.len());
    for number in [50, 60, 74] {
        let before = SCENE.detail(&originals[number], number, BESIDE);
        let after = SCENE.detail(&blurred[number], number, BESIDE);
        let fall = 10.0 * (before / after).log10();
        let person = psnr_of(&SCENE.middle(&originals[number], number), &SCENE.middle(&blurred[number], number));
        println!("picture {number}: the wall has {fall:.1} dB less detail, the person {person:.1} dB of PSNR");
        assert!(fall >= 10.0, "{fall}");
        assert!(person >= 35.0, "{person}");
    }
}

#[test]
fn every_format_is_blurred_alike() {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let mut reference = None;
        for format in FORMATS {
            let mut node = BackgroundBlur::new(15.0, 10.0);
            let mut last = None;
            for number in 0..30 {
                let picture = in_format(labelled(SCENE.picture(number)), format).await;
                let picture = picture.with_timestamp(Duration::from_millis(number as u64 * 40));
                last = process_once(&mut node, picture).unwrap().pop();
            }
            let last = VideoFrame::clone(last.unwrap().as_video().unwrap());
            let last = in_format(last, PixelFormat::I420).await;
            let reference = reference.get_or_insert_with(|| last.clone());
            let quality = psnr(&last, reference);
            assert!(quality > 32.0, "{format:?}: {quality}");
        }
    });
}

#[tokio::test]
async fn a_stronger_blur_leaves_less_and_none_leaves_all() {
    let originals: Vec<VideoFrame> = (0..40).map(|number| SCENE.picture(number)).collect();
    let mut details = Vec::new();
    for strength in [0, 1, 4, 40] {
        let manifest = manifest(&format!("blur_strength: {strength}"));
        let blurred = play(&manifest, &originals).await;
        details.push(SCENE.detail(&blurred[39], 39, BESIDE));
        if strength == 0 {
            assert_eq!(blurred[39].to_packed(), originals[39].to_packed());
        }
    }
    assert!(details.windows(2).all(|pair| pair[1] < 0.9 * pair[0]), "{details:?}");
}

#[tokio::test]
async fn padding_makes_the_sharp_area_wider() {
    let originals: Vec<VideoFrame> = (0..40).map(|number| SCENE.picture(number)).collect();
    let mut sharp = Vec::new();
    for padding in [0, 10, 60] {
        let blurred = play(&manifest(&format!("mask_padding: {padding}")), &originals).await;
        let luma = |frame: &VideoFrame| frame.rows(0).flatten().copied().collect::<Vec<u8>>();
        let same = luma(&blurred[39]).iter().zip(luma(&originals[39])).filter(|(a, b)| **a == *b).count();
        sharp.push(same);
    }
    assert!(sharp.windows(2).all(|pair| pair[1] as f64 > 1.03 * pair[0] as f64), "{sharp:?}");
}

#[tokio::test]
async fn a_colour_or_an_image_replaces_the_wall() {
    let originals: Vec<VideoFrame> = (0..40).map(|number| SCENE.picture(number)).collect();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("red.png");
    let mut encoder = png::Encoder::new(std::fs::File::create(&path).unwrap(), 30, 40);
    encoder.set_color(png::ColorType::Rgb);
    encoder.write_header().unwrap().write_image_data(&[255, 0, 0].repeat(30 * 40)).unwrap();
    let path = path.display();
    // BT.601 in limited range: red is 81, 90, 240, and green is 145, 54, 34.
    for (params, [y, u, v]) in [
        ("mode: color, color: '#00ff00'".to_owned(), [145u8, 54, 34]),
        (format!("mode: image, image: '{path}'"), [81, 90, 240]),
    ] {
        let replaced = play(&manifest(&params), &originals).await;
        let last = &replaced[39];
        for (plane, expected) in [(0, y), (1, u), (2, v)] {
            let value = last.rows(plane).nth(20).unwrap()[20];
            assert!(value.abs_diff(expected) <= 2, "{params}, plane {plane}: {value}");
        }
        assert!(psnr_of(&SCENE.middle(&originals[39], 39), &SCENE.middle(last, 39)) >= 35.0, "{params}");
    }
}

#[tokio::test]
async fn streams_are_learnt_apart() {
    // The other stream shows another wall; if they were mixed, both would always be different from what was learnt.
    let other = Scene { width: 640, height: 360 };
    let inputs = (0..80).map(|number| {
        let picture = other.picture(number / 2);
        if number % 2 == 0 {
            return labelled(picture.clone()).with_timestamp(picture.timestamp.unwrap());
        }
        let turned: Vec<u8> = picture.to_packed().iter().map(|value| 255 - value).collect();
        VideoFrame::i420(640, 360, turned).unwrap().with_timestamp(picture.timestamp.unwrap())
    });
    let inputs: Vec<VideoFrame> = inputs.collect();
    let outputs = play(&manifest(""), &inputs).await;
    for index in [78, 79] {
        let fall = other.detail(&inputs[index], 39, BESIDE) / other.detail(&outputs[index], 39, BESIDE);
        assert!(10.0 * fall.log10() >= 10.0, "stream {}: {fall}", index % 2);
    }
}

#[test]
fn params_that_cannot_be_meant_are_refused() {
    for (params, words) in [
        ("blur_strength: 101", "from 0 to 100"),
        ("mask_padding: -1", "from 0 to 100"),
        ("mode: image", "the path of a PNG file"),
        ("mode: image, image: /nowhere.png", "the file cannot be read"),
        ("color: '#ffffff'", "without mode: color"),
        ("mode: color, color: blue", "#rrggbb"),
    ] {
        let refused = refusal(&manifest(params));
        assert!(refused.contains(words), "{params}: {refused}");
    }
}

#[cfg(not(feature = "onnx"))]
#[test]
fn a_model_names_the_feature_that_it_needs() {
    let refused = refusal(&manifest("model: person.onnx"));
    assert!(refused.contains("feature `onnx`"), "{refused}");
}

#[test]
fn what_it_costs() {
    for (width, height) in [(640, 360), (1280, 720)] {
        let scene = Scene { width, height };
        let pictures: Vec<VideoFrame> = (0..5).map(|number| scene.picture(number)).collect();
        let mut node: Box<dyn Node> = Box::new(BackgroundBlur::new(15.0, 10.0));
        pictures.iter().for_each(|picture| drop(process_once(&mut *node, picture.clone()).unwrap()));
        let started = Instant::now();
        for round in 0..6 {
            for picture in &pictures {
                let timestamp = Duration::from_millis(round * 200) + picture.timestamp.unwrap();
                process_once(&mut *node, picture.clone().with_timestamp(timestamp)).unwrap();
            }
        }
        println!("{width}x{height}: {:?} a picture", started.elapsed() / 30);
    }
}
