//! What the video nodes share: planes to read and to write.

use std::{borrow::Cow, sync::Arc, time::Duration};

use bytes::BytesMut;
use remotemedia_media::{NtpTime, PeerId, PixelFormat, Plane, StreamId, VideoFrame};
use remotemedia_scale::Pixels;

use super::VideoError;

/// Bytes of one pixel of a plane; `None` if the format has no such plane or is not known here.
pub(crate) fn pixel_bytes(format: PixelFormat, plane: usize) -> Option<usize> {
    match (format, plane) {
        (PixelFormat::I420, 0..=2) | (PixelFormat::Nv12, 0) => Some(1),
        (PixelFormat::Nv12, 1) => Some(2),
        (PixelFormat::Rgb24, 0) => Some(3),
        (PixelFormat::Rgba | PixelFormat::Bgra, 0) => Some(4),
        _ => None,
    }
}

/// Whether chroma has half the size of luma in both directions.
pub(crate) fn is_420(format: PixelFormat) -> bool {
    matches!(format, PixelFormat::I420 | PixelFormat::Nv12)
}

/// A colour in BT.601 limited range: what the codecs here assume.
pub(crate) fn yuv_of([r, g, b]: [u8; 3]) -> [u8; 3] {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let y = 16 + ((16_829 * r + 33_039 * g + 6_416 * b + 32_768) >> 16);
    let u = 128 + ((-9_714 * r - 19_070 * g + 28_784 * b + 32_768) >> 16);
    let v = 128 + ((28_784 * r - 24_103 * g - 4_681 * b + 32_768) >> 16);
    [y, u, v].map(|value| value.clamp(0, 255) as u8)
}

/// The red, green and blue of a colour in BT.601 limited range.
#[cfg(any(feature = "onnx", test))]
pub(crate) fn rgb_of([y, u, v]: [u8; 3]) -> [u8; 3] {
    let (y, u, v) = ((i32::from(y) - 16) * 76_309, i32::from(u) - 128, i32::from(v) - 128);
    let r = y + 104_597 * v;
    let g = y - 25_675 * u - 53_279 * v;
    let b = y + 132_201 * u;
    [r, g, b].map(|value| ((value + 32_768) >> 16).clamp(0, 255) as u8)
}

/// What one pixel of plane `plane` of a picture of the colour `rgb` consists of: as many bytes as [`pixel_bytes`] says.
pub(crate) fn components(format: PixelFormat, plane: usize, rgb: [u8; 3]) -> [u8; 4] {
    let ([r, g, b], [y, u, v]) = (rgb, yuv_of(rgb));
    match (format, plane) {
        (PixelFormat::Rgb24 | PixelFormat::Rgba, _) => [r, g, b, 255],
        (PixelFormat::Bgra, _) => [b, g, r, 255],
        (_, 0) => [y; 4],
        (PixelFormat::Nv12, _) => [u, v, u, v],
        (_, 1) => [u; 4],
        _ => [v; 4],
    }
}

/// What a picture carries besides its pixels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Labels {
    timestamp: Option<Duration>,
    stream_id: Option<StreamId>,
    capture_time: Option<NtpTime>,
    source: Option<PeerId>,
}

impl Labels {
    pub(crate) fn of(frame: &VideoFrame) -> Self {
        Self {
            timestamp: frame.timestamp,
            stream_id: frame.stream_id.clone(),
            capture_time: frame.capture_time,
            source: frame.source.clone(),
        }
    }

    pub(crate) fn put_on(self, mut frame: VideoFrame) -> VideoFrame {
        frame.timestamp = self.timestamp;
        frame.stream_id = self.stream_id;
        frame.capture_time = self.capture_time;
        frame.source = self.source;
        frame
    }
}

/// A picture whose bytes may be changed. Planes that nobody else looks at are not copied.
#[derive(Debug)]
pub(crate) struct Canvas {
    format: PixelFormat,
    width: u32,
    height: u32,
    planes: Vec<(BytesMut, usize)>,
    labels: Labels,
}

impl Canvas {
    pub(crate) fn new(frame: Arc<VideoFrame>) -> Self {
        let (format, width, height) = (frame.format(), frame.width(), frame.height());
        let (planes, labels) = (frame.planes().to_vec(), Labels::of(&frame));
        // Whoever else holds the picture keeps the planes alive; otherwise they are ours from here on.
        drop(frame);
        let own = |plane: Plane| {
            let data = plane.data.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
            (data, plane.stride)
        };
        Self { format, width, height, planes: planes.into_iter().map(own).collect(), labels }
    }

    pub(crate) fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width and height of a plane in pixels; chroma of odd pictures is rounded up.
    pub(crate) fn plane_size(&self, plane: usize) -> (usize, usize) {
        let halve = |side: u32| if is_420(self.format) && plane > 0 { side.div_ceil(2) } else { side };
        (halve(self.width) as usize, halve(self.height) as usize)
    }

    /// Row `y` of a plane from its pixel `x` on, padding possibly included; empty outside of the picture.
    pub(crate) fn row_mut(&mut self, plane: usize, x: usize, y: usize) -> &mut [u8] {
        let bytes = pixel_bytes(self.format, plane).unwrap_or(1);
        let (width, height) = self.plane_size(plane);
        let Some((data, stride)) = self.planes.get_mut(plane).filter(|_| y < height && x <= width) else {
            return &mut [];
        };
        data.get_mut(y * *stride + x * bytes..y * *stride + width * bytes).unwrap_or_default()
    }

    pub(crate) fn into_frame(self) -> Result<VideoFrame, VideoError> {
        let planes = self.planes.into_iter().map(|(data, stride)| Plane { data: data.freeze(), stride }).collect();
        Ok(self.labels.put_on(VideoFrame::from_planes(self.format, self.width, self.height, planes)?))
    }
}

/// The planes of a packed picture, to be written.
pub(crate) fn split_planes(format: PixelFormat, width: u32, height: u32, mut packed: &mut [u8]) -> Vec<&mut [u8]> {
    let sizes = (0..format.plane_count()).filter_map(|plane| format.plane_size(plane, width, height));
    let mut planes = Vec::with_capacity(3);
    for (row, rows) in sizes {
        let (plane, rest) = packed.split_at_mut((row * rows).min(packed.len()));
        planes.push(plane);
        packed = rest;
    }
    planes
}

/// The bytes of a plane with every row whole, and its stride: converters want the padding of the last row, too.
pub(crate) fn whole_rows(frame: &VideoFrame, plane: usize) -> (Cow<'_, [u8]>, u32) {
    let (row, rows) = frame.format().plane_size(plane, frame.width(), frame.height()).unwrap_or_default();
    if let Some(Plane { data, stride }) = frame.planes().get(plane)
        && let (Some(whole), Ok(stride)) = (data.get(..stride * rows), u32::try_from(*stride))
    {
        return (Cow::Borrowed(whole), stride);
    }
    (Cow::Owned(frame.rows(plane).flatten().copied().collect()), row as u32)
}

/// Plane `index` of `frame`, to be scaled.
pub(crate) fn pixels_of(frame: &VideoFrame, index: usize) -> Option<Pixels<'_>> {
    let bytes = pixel_bytes(frame.format(), index)?;
    let (row, rows) = frame.format().plane_size(index, frame.width(), frame.height())?;
    let plane = frame.planes().get(index)?;
    Some(Pixels { data: &plane.data, width: (row / bytes) as u32, height: rows as u32, bytes, stride: plane.stride })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_colour_survives_yuv() {
        for rgb in [[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255], [0, 0, 0], [12, 200, 99]] {
            let back = rgb_of(yuv_of(rgb));
            assert!(rgb.iter().zip(back).all(|(a, b)| a.abs_diff(b) <= 3), "{rgb:?} came back as {back:?}");
        }
        assert_eq!(yuv_of([255, 0, 0]), [81, 90, 240]);
    }

    #[test]
    fn a_picture_of_ones_own_is_painted_in_place() {
        let plane = |length: usize, stride| Plane { data: vec![1u8; length].into(), stride };
        let planes = vec![plane(16, 4), plane(4, 2), plane(4, 2)];
        let before: Vec<*const u8> = planes.iter().map(|plane| plane.data.as_ptr()).collect();
        let frame = VideoFrame::from_planes(PixelFormat::I420, 4, 4, planes).unwrap();
        let mut canvas = Canvas::new(Arc::new(frame));
        canvas.row_mut(0, 1, 0)[0] = 9;
        let frame = canvas.into_frame().unwrap();
        assert_eq!(frame.rows(0).next().unwrap(), [1, 9, 1, 1]);
        let after: Vec<*const u8> = frame.planes().iter().map(|plane| plane.data.as_ptr()).collect();
        assert_eq!(before, after);
    }

    #[test]
    fn a_picture_that_others_hold_is_left_alone() {
        let frame = Arc::new(VideoFrame::i420(2, 2, vec![1; 6]).unwrap());
        let mut canvas = Canvas::new(Arc::clone(&frame));
        canvas.row_mut(0, 0, 0)[0] = 9;
        assert_eq!(canvas.into_frame().unwrap().rows(0).next().unwrap(), [9, 1]);
        assert_eq!(frame.rows(0).next().unwrap(), [1, 1]);
    }
}
