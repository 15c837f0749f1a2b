use remotemedia_media::{PixelFormat, Plane, VideoFrame};
use yuv::{
    BufferStoreMut, YuvConversionMode, YuvError, YuvPlanarImageMut, YuvRange, YuvStandardMatrix, bgra_to_yuv420,
    rgb_to_yuv420, rgba_to_yuv420,
};

use crate::CodecError;

/// The picture as I420, which every encoder takes.
///
/// An I420 picture is answered as it is, its planes shared. Colours are converted with the BT.601 matrix in limited
/// range: what WebRTC endpoints assume of a stream that does not say. Timestamp, stream, capture time and source are
/// kept; transparency is dropped.
///
/// # Errors
///
/// [`CodecError::PixelFormat`] for a format that has no conversion, [`CodecError::Conversion`] if it fails.
pub fn to_i420(frame: &VideoFrame) -> Result<VideoFrame, CodecError> {
    let packed = match frame.format() {
        PixelFormat::I420 => return Ok(frame.clone()),
        PixelFormat::Nv12 => split_chroma(frame),
        PixelFormat::Rgb24 => from_rgb(frame, 3, rgb_to_yuv420)?,
        PixelFormat::Rgba => from_rgb(frame, 4, rgba_to_yuv420)?,
        PixelFormat::Bgra => from_rgb(frame, 4, bgra_to_yuv420)?,
        format => return Err(CodecError::PixelFormat { format }),
    };
    i420_like(frame, frame.width(), frame.height(), packed)
}

/// A packed I420 picture with the metadata of `original`.
pub(crate) fn i420_like(
    original: &VideoFrame,
    width: u32,
    height: u32,
    packed: Vec<u8>,
) -> Result<VideoFrame, CodecError> {
    let mut frame = VideoFrame::i420(width, height, packed).map_err(|error| CodecError::Conversion(Box::new(error)))?;
    frame.timestamp = original.timestamp;
    frame.stream_id.clone_from(&original.stream_id);
    frame.capture_time = original.capture_time;
    frame.source.clone_from(&original.source);
    Ok(frame)
}

/// The three planes of an I420 picture; `None` for any other format.
#[cfg(any(feature = "h264", feature = "vpx"))]
pub(crate) fn i420_planes(frame: &VideoFrame) -> Option<&[Plane; 3]> {
    match frame.format() {
        PixelFormat::I420 => frame.planes().try_into().ok(),
        _ => None,
    }
}

fn split_chroma(frame: &VideoFrame) -> Vec<u8> {
    let mut packed = Vec::with_capacity(PixelFormat::I420.packed_len(frame.width(), frame.height()));
    for row in frame.rows(0) {
        packed.extend_from_slice(row);
    }
    for component in 0..2 {
        for row in frame.rows(1) {
            packed.extend(row.iter().skip(component).step_by(2));
        }
    }
    packed
}

type Converter = fn(
    &mut YuvPlanarImageMut<'_, u8>,
    &[u8],
    u32,
    YuvRange,
    YuvStandardMatrix,
    YuvConversionMode,
) -> Result<(), YuvError>;

fn from_rgb(frame: &VideoFrame, bytes_per_pixel: usize, convert: Converter) -> Result<Vec<u8>, CodecError> {
    let (width, height) = (frame.width(), frame.height());
    let Some(Plane { data, stride }) = frame.planes().first() else {
        return Err(CodecError::PixelFormat { format: frame.format() });
    };
    // The converter wants every row whole, but the last row of a plane may lack its padding.
    let needed = stride * height as usize;
    let repacked;
    let (pixels, stride) = if data.len() >= needed {
        (&data[..needed], *stride)
    } else {
        repacked = frame.to_packed();
        (&repacked[..], width as usize * bytes_per_pixel)
    };

    let mut packed = vec![0; PixelFormat::I420.packed_len(width, height)];
    let (y, chroma) = packed.split_at_mut(width as usize * height as usize);
    let (u, v) = chroma.split_at_mut(chroma.len() / 2);
    let mut planes = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(y),
        y_stride: width,
        u_plane: BufferStoreMut::Borrowed(u),
        u_stride: width.div_ceil(2),
        v_plane: BufferStoreMut::Borrowed(v),
        v_stride: width.div_ceil(2),
        width,
        height,
    };
    let stride = u32::try_from(stride).map_err(|error| CodecError::Conversion(Box::new(error)))?;
    convert(&mut planes, pixels, stride, YuvRange::Limited, YuvStandardMatrix::Bt601, YuvConversionMode::Balanced)
        .map_err(|error| CodecError::Conversion(Box::new(error)))?;
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;

    use super::*;

    fn solid(format: PixelFormat, pixel: &[u8], width: u32, height: u32) -> VideoFrame {
        VideoFrame::from_packed(format, width, height, pixel.repeat((width * height) as usize)).unwrap()
    }

    #[test]
    fn red_is_the_same_red_in_every_packed_format() {
        // BT.601, limited range: Y = 81, Cb = 90, Cr = 240.
        for (format, pixel) in [
            (PixelFormat::Rgb24, &[255, 0, 0][..]),
            (PixelFormat::Rgba, &[255, 0, 0, 255]),
            (PixelFormat::Bgra, &[0, 0, 255, 255]),
        ] {
            for (width, height) in [(16, 16), (17, 15), (1, 1), (33, 2)] {
                let i420 = to_i420(&solid(format, pixel, width, height)).unwrap();
                assert_eq!((i420.width(), i420.height()), (width, height));
                for (plane, expected) in [(0, 81u8), (1, 90), (2, 240)] {
                    for row in i420.rows(plane) {
                        assert!(
                            row.iter().all(|v| v.abs_diff(expected) <= 2),
                            "{format:?} {width}x{height} {plane}: {row:?}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn padding_of_rgb_rows_is_no_picture() {
        // Two rows of one white pixel each, with grey rubbish between them and none after the last.
        let plane = Plane { data: Bytes::from_static(&[255, 255, 255, 9, 9, 9, 9, 255, 255, 255]), stride: 7 };
        let frame = VideoFrame::from_planes(PixelFormat::Rgb24, 1, 2, vec![plane]).unwrap();
        let i420 = to_i420(&frame).unwrap();
        assert!(i420.rows(0).all(|row| row[0] >= 234), "{i420:?}");
    }

    #[test]
    fn nv12_chroma_is_pulled_apart() {
        let frame = VideoFrame::from_packed(PixelFormat::Nv12, 3, 1, vec![1, 2, 3, 10, 20, 11, 21]).unwrap();
        assert_eq!(to_i420(&frame).unwrap().to_packed(), [1, 2, 3, 10, 11, 20, 21]);
    }

    #[test]
    fn metadata_survives_and_i420_is_not_copied() {
        let frame = solid(PixelFormat::Rgb24, &[1, 2, 3], 4, 4).with_timestamp(Duration::from_millis(7));
        assert_eq!(to_i420(&frame).unwrap().timestamp, Some(Duration::from_millis(7)));
        let i420 = VideoFrame::i420(4, 4, vec![0; 24]).unwrap();
        assert_eq!(to_i420(&i420).unwrap().planes()[0].data.as_ptr(), i420.planes()[0].data.as_ptr());
    }
}
