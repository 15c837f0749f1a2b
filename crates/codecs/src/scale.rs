use remotemedia_media::{PixelFormat, VideoFrame};
use remotemedia_scale::{Kernel, Pixels, Scaler};

use crate::{CodecError, picture::i420_like, to_i420};

/// The size of a `width` x `height` picture that fits into `max_width` x `max_height`, aspect kept.
///
/// A picture that fits keeps its size. One that does not is scaled down, its sides rounded to even numbers and at
/// least 2.
///
/// ```
/// # use remotemedia_codecs::fitted_size;
/// assert_eq!(fitted_size(1920, 1080, 1280, 720), (1280, 720));
/// assert_eq!(fitted_size(1080, 1920, 1280, 720), (406, 720));
/// assert_eq!(fitted_size(321, 181, 1280, 720), (321, 181));
/// ```
pub fn fitted_size(width: u32, height: u32, max_width: u32, max_height: u32) -> (u32, u32) {
    if width <= max_width && height <= max_height {
        return (width, height);
    }
    let scale = (f64::from(max_width) / f64::from(width)).min(f64::from(max_height) / f64::from(height));
    let even = |side: u32, max: u32| {
        let half = (f64::from(side) * scale / 2.0).round() as u32;
        (half * 2).min(max & !1).max(2)
    };
    (even(width, max_width), even(height, max_height))
}

/// The picture scaled down to fit `max_width` x `max_height`, aspect kept, as I420; a picture that fits is answered as
/// it is, planes shared.
///
/// # Errors
///
/// As [`to_i420`].
pub fn scale_to_fit(frame: &VideoFrame, max_width: u32, max_height: u32) -> Result<VideoFrame, CodecError> {
    let (width, height) = fitted_size(frame.width(), frame.height(), max_width, max_height);
    if (width, height) == (frame.width(), frame.height()) {
        return Ok(frame.clone());
    }
    let source = to_i420(frame)?;
    let mut packed = vec![0; PixelFormat::I420.packed_len(width, height)];
    let mut rest = &mut packed[..];
    let mut scaler = Scaler::default();
    for index in 0..3 {
        let Some((row, rows)) = PixelFormat::I420.plane_size(index, width, height) else { continue };
        let (target, tail) = rest.split_at_mut(row * rows);
        rest = tail;
        let plane =
            PixelFormat::I420.plane_size(index, source.width(), source.height()).zip(source.planes().get(index));
        let Some(((width, height), plane)) = plane else { continue };
        let (width, height) = (width as u32, height as u32);
        let from = Pixels { data: &plane.data, width, height, bytes: 1, stride: plane.stride };
        scaler
            .scale_whole(from, target, (row as u32, rows as u32), Kernel::Bilinear)
            .map_err(|error| CodecError::Conversion(error.into()))?;
    }
    i420_like(frame, width, height, packed)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use remotemedia_media::Plane;

    use super::*;

    /// Luma rises from left to right, chroma is flat.
    fn ramp(width: u32, height: u32) -> VideoFrame {
        let mut packed: Vec<u8> = (0..height).flat_map(|_| (0..width).map(|x| (x * 255 / width) as u8)).collect();
        packed.resize(PixelFormat::I420.packed_len(width, height), 77);
        VideoFrame::i420(width, height, packed).unwrap()
    }

    #[test]
    fn a_scaled_ramp_is_the_same_ramp() {
        for (width, height) in [(1920, 1080), (1921, 1081), (641, 999)] {
            let scaled = scale_to_fit(&ramp(width, height), 320, 180).unwrap();
            let (w, h) = (scaled.width(), scaled.height());
            assert!(w <= 320 && h <= 180 && w.is_multiple_of(2) && h.is_multiple_of(2), "{w}x{h}");
            for row in scaled.rows(0) {
                for (x, value) in row.iter().enumerate() {
                    let expected = (x as f64 + 0.5) * 255.0 / f64::from(w);
                    assert!((f64::from(*value) - expected).abs() < 4.0, "{w}x{h}, x {x}: {value} for {expected}");
                }
            }
            assert!(scaled.rows(1).flatten().all(|v| *v == 77));
        }
    }

    #[test]
    fn strides_make_no_difference() {
        let packed = ramp(64, 64);
        let planes = (0..3)
            .map(|index| {
                let padded: Vec<u8> = packed.rows(index).flat_map(|row| [row, &[255; 5]].concat()).collect();
                Plane { stride: packed.planes()[index].stride + 5, data: Bytes::from(padded) }
            })
            .collect();
        let strided = VideoFrame::from_planes(PixelFormat::I420, 64, 64, planes).unwrap();
        assert_eq!(
            scale_to_fit(&strided, 30, 30).unwrap().to_packed(),
            scale_to_fit(&packed, 30, 30).unwrap().to_packed()
        );
    }

    #[test]
    fn a_picture_that_fits_is_left_alone() {
        let frame = ramp(33, 17);
        assert_eq!(scale_to_fit(&frame, 33, 17).unwrap(), frame);
    }

    #[test]
    fn extreme_shapes_keep_two_pixels() {
        assert_eq!(fitted_size(16_384, 1, 100, 100), (100, 2));
        assert_eq!(fitted_size(5, 5, 1, 1), (2, 2));
    }
}
