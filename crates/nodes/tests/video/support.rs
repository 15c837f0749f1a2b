//! Pictures that are known at every size, and measures.

use std::{sync::Arc, time::Duration};

use remotemedia_media::{NtpTime, PeerId, PixelFormat, StreamId, VideoFrame};
use remotemedia_runtime_core::data::RuntimeData;

use crate::common::{run, video};

pub(crate) const FORMATS: [PixelFormat; 5] =
    [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Rgb24, PixelFormat::Rgba, PixelFormat::Bgra];

/// A picture out of its red, green and blue at places from 0 to 1, as RGB.
pub(crate) fn painted(width: u32, height: u32, color: impl Fn(f64, f64) -> [f64; 3]) -> VideoFrame {
    let mut packed = Vec::with_capacity((width * height * 3) as usize);
    for y in 0..height {
        for x in 0..width {
            let place = ((f64::from(x) + 0.5) / f64::from(width), (f64::from(y) + 0.5) / f64::from(height));
            packed.extend(color(place.0, place.1).map(|value| value.clamp(0.0, 255.0).round() as u8));
        }
    }
    VideoFrame::from_packed(PixelFormat::Rgb24, width, height, packed).expect("a legal picture")
}

/// Soft waves of all colours.
pub(crate) fn waves(width: u32, height: u32) -> VideoFrame {
    painted(width, height, |x, y| {
        let wave = |across: f64, down: f64| 128.0 + 90.0 * (std::f64::consts::TAU * (across * x + down * y)).sin();
        [wave(1.0, 2.0), wave(2.0, -1.0), wave(-1.5, 1.0)]
    })
}

/// The same picture in another format, through the node.
pub(crate) async fn in_format(frame: VideoFrame, format: PixelFormat) -> VideoFrame {
    let name = name(format);
    let manifest = format!("pipeline: {{ nodes: [{{ id: f, type: VideoFormat, params: {{ format: {name} }} }}] }}");
    only(&manifest, frame).await
}

pub(crate) fn name(format: PixelFormat) -> String {
    format!("{format:?}").to_lowercase()
}

/// The one picture that `manifest` makes of `frame`.
pub(crate) async fn only(manifest: &str, frame: VideoFrame) -> VideoFrame {
    let pictures = play(manifest, &[labelled(frame)]).await;
    assert_eq!(pictures.len(), 1);
    let picture = VideoFrame::clone(&pictures[0]);
    assert_labels(&picture);
    picture
}

/// The pictures that `manifest` makes of `frames`.
pub(crate) async fn play(manifest: &str, frames: &[VideoFrame]) -> Vec<Arc<VideoFrame>> {
    video(&run(manifest, frames.iter().cloned().map(RuntimeData::from)).await)
}

/// A picture with everything that one can carry besides its pixels.
pub(crate) fn labelled(mut frame: VideoFrame) -> VideoFrame {
    frame.capture_time = Some(NtpTime(0x1234_5678_9abc_def0));
    frame.source = Some(PeerId::new("alice").expect("an id"));
    frame.with_timestamp(Duration::from_millis(3_723_045)).with_stream_id(StreamId::new("camera").expect("an id"))
}

pub(crate) fn assert_labels(frame: &VideoFrame) {
    let expected = labelled(frame.clone());
    assert_eq!(
        (frame.timestamp, &frame.stream_id, frame.capture_time, &frame.source),
        (expected.timestamp, &expected.stream_id, expected.capture_time, &expected.source)
    );
}

/// The peak signal-to-noise ratio of two pictures of the same size and format, in dB.
pub(crate) fn psnr(a: &VideoFrame, b: &VideoFrame) -> f64 {
    assert_eq!((a.format(), a.width(), a.height()), (b.format(), b.width(), b.height()));
    psnr_of(&a.to_packed(), &b.to_packed())
}

pub(crate) fn psnr_of(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares: f64 = a.iter().zip(b).map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2)).sum();
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares.max(1e-9)).log10()
}

/// The luma or first components of one pixel.
pub(crate) fn pixel(frame: &VideoFrame, x: usize, y: usize) -> u8 {
    frame.rows(0).nth(y).and_then(|row| row.get(x)).copied().expect("a pixel within the picture")
}

/// A picture whose luma is `luma` everywhere, without colour.
pub(crate) fn grey(width: u32, height: u32, luma: u8) -> VideoFrame {
    let mut packed = vec![128; PixelFormat::I420.packed_len(width, height)];
    packed[..(width * height) as usize].fill(luma);
    VideoFrame::i420(width, height, packed).expect("a legal picture")
}
