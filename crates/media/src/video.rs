use std::{fmt, time::Duration};

use bytes::Bytes;

use crate::{NtpTime, PeerId, StreamId};

/// How the pixels of a [`VideoFrame`] lie in its planes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum PixelFormat {
    /// Planar 4:2:0: Y, then U and V at half width and half height, 8 bits each. What the codecs take and give.
    I420,
    /// Semi-planar 4:2:0: Y, then U and V interleaved at half height.
    Nv12,
    /// Packed red, green, blue: three bytes a pixel.
    Rgb24,
    /// Packed red, green, blue, alpha: four bytes a pixel.
    Rgba,
    /// Packed blue, green, red, alpha: four bytes a pixel.
    Bgra,
}

impl PixelFormat {
    /// Every format.
    pub const ALL: [Self; 5] = [Self::I420, Self::Nv12, Self::Rgb24, Self::Rgba, Self::Bgra];

    /// The name in manifests, such as `i420`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::I420 => "i420",
            Self::Nv12 => "nv12",
            Self::Rgb24 => "rgb24",
            Self::Rgba => "rgba",
            Self::Bgra => "bgra",
        }
    }

    /// Number of planes.
    pub const fn plane_count(self) -> usize {
        match self {
            Self::I420 => 3,
            Self::Nv12 => 2,
            Self::Rgb24 | Self::Rgba | Self::Bgra => 1,
        }
    }

    /// Bytes of a row without padding, and the number of rows, of plane `plane` in a picture of `width` x `height`.
    /// Chroma of odd sizes is rounded up. `None` if there is no such plane.
    pub const fn plane_size(self, plane: usize, width: u32, height: u32) -> Option<(usize, usize)> {
        let (w, h) = (width as usize, height as usize);
        let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
        match (self, plane) {
            (Self::I420 | Self::Nv12, 0) => Some((w, h)),
            (Self::I420, 1 | 2) => Some((half_w, half_h)),
            (Self::Nv12, 1) => Some((half_w * 2, half_h)),
            (Self::Rgb24, 0) => Some((w * 3, h)),
            (Self::Rgba | Self::Bgra, 0) => Some((w * 4, h)),
            _ => None,
        }
    }

    /// Bytes of a whole picture without padding.
    pub fn packed_len(self, width: u32, height: u32) -> usize {
        (0..self.plane_count()).filter_map(|p| self.plane_size(p, width, height)).map(|(row, rows)| row * rows).sum()
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One plane of a picture. Cloning counts a reference.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plane {
    /// The bytes, row by row.
    pub data: Bytes,
    /// Bytes from the beginning of a row to that of the next; at least the length of a row.
    pub stride: usize,
}

/// A raw picture.
///
/// Its planes may share one buffer and may have padding at the end of each row. Width and height are 1 to 16,384.
#[derive(Clone, Debug, PartialEq)]
pub struct VideoFrame {
    format: PixelFormat,
    width: u32,
    height: u32,
    planes: Vec<Plane>,
    /// Position on the sender's media clock. `None` lets the transport stamp the frame when it is sent.
    pub timestamp: Option<Duration>,
    /// Which of a peer's streams this belongs to; `None` is the default stream.
    pub stream_id: Option<StreamId>,
    /// When the picture was captured, where the sender told.
    pub capture_time: Option<NtpTime>,
    /// The peer that sent it; `None` for a frame made here.
    pub source: Option<PeerId>,
}

impl VideoFrame {
    /// The largest width and height.
    pub const MAX_SIDE: u32 = 16_384;

    /// A picture out of its planes.
    ///
    /// # Errors
    ///
    /// [`VideoFrameError`] if the size is out of range, planes are missing or too many, a stride is shorter than a
    /// row, or a plane is shorter than its rows. The last row needs no padding.
    pub fn from_planes(
        format: PixelFormat,
        width: u32,
        height: u32,
        planes: Vec<Plane>,
    ) -> Result<Self, VideoFrameError> {
        Self::check_size(width, height)?;
        if planes.len() != format.plane_count() {
            return Err(VideoFrameError::PlaneCount { expected: format.plane_count(), actual: planes.len() });
        }
        for (index, plane) in planes.iter().enumerate() {
            let Some((row, rows)) = format.plane_size(index, width, height) else { continue };
            if plane.stride < row {
                return Err(VideoFrameError::Stride { plane: index, minimum: row, actual: plane.stride });
            }
            let minimum = plane.stride.saturating_mul(rows - 1).saturating_add(row);
            if plane.data.len() < minimum {
                return Err(VideoFrameError::PlaneLength { plane: index, minimum, actual: plane.data.len() });
            }
        }
        Ok(Self { format, width, height, planes, timestamp: None, stream_id: None, capture_time: None, source: None })
    }

    /// A picture out of one buffer in which the planes follow each other without padding. Nothing is copied.
    ///
    /// # Errors
    ///
    /// [`VideoFrameError`] if the size is out of range or the buffer has not exactly the packed length.
    pub fn from_packed(
        format: PixelFormat,
        width: u32,
        height: u32,
        data: impl Into<Bytes>,
    ) -> Result<Self, VideoFrameError> {
        Self::check_size(width, height)?;
        let mut data = data.into();
        let expected = format.packed_len(width, height);
        if data.len() != expected {
            return Err(VideoFrameError::PackedLength { format, width, height, expected, actual: data.len() });
        }
        let planes = (0..format.plane_count())
            .filter_map(|index| format.plane_size(index, width, height))
            .map(|(row, rows)| Plane { data: data.split_to(row * rows), stride: row })
            .collect();
        Self::from_planes(format, width, height, planes)
    }

    /// A packed I420 picture: [`VideoFrame::from_packed`] with [`PixelFormat::I420`].
    ///
    /// # Errors
    ///
    /// As [`VideoFrame::from_packed`].
    pub fn i420(width: u32, height: u32, data: impl Into<Bytes>) -> Result<Self, VideoFrameError> {
        Self::from_packed(PixelFormat::I420, width, height, data)
    }

    /// The same picture at `timestamp` on the media clock.
    #[must_use]
    pub fn with_timestamp(mut self, timestamp: Duration) -> Self {
        self.timestamp = Some(timestamp);
        self
    }

    /// The same picture as part of the stream `id`.
    #[must_use]
    pub fn with_stream_id(mut self, id: StreamId) -> Self {
        self.stream_id = Some(id);
        self
    }

    /// How the pixels lie in the planes.
    pub fn format(&self) -> PixelFormat {
        self.format
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// The planes, as many as the format has.
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// The rows of plane `plane` without their padding; none if there is no such plane.
    pub fn rows(&self, plane: usize) -> impl Iterator<Item = &[u8]> {
        let (row, rows) = self.format.plane_size(plane, self.width, self.height).unwrap_or((0, 0));
        let plane = self.planes.get(plane);
        (0..rows).filter_map(move |y| plane.and_then(|p| p.data.get(y * p.stride..y * p.stride + row)))
    }

    /// The whole picture in one buffer without padding.
    pub fn to_packed(&self) -> Vec<u8> {
        let mut packed = Vec::with_capacity(self.format.packed_len(self.width, self.height));
        for plane in 0..self.planes.len() {
            for row in self.rows(plane) {
                packed.extend_from_slice(row);
            }
        }
        packed
    }

    fn check_size(width: u32, height: u32) -> Result<(), VideoFrameError> {
        let range = 1..=Self::MAX_SIDE;
        if range.contains(&width) && range.contains(&height) {
            Ok(())
        } else {
            Err(VideoFrameError::Size { width, height })
        }
    }
}

/// Why a set of bytes is no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VideoFrameError {
    /// Width or height is out of range.
    #[error("a picture of {width}x{height} is out of range: each side is 1 to 16384 pixels")]
    Size {
        /// The width that was asked for.
        width: u32,
        /// The height that was asked for.
        height: u32,
    },
    /// The buffer has not the length of a packed picture.
    #[error("a packed {format:?} picture of {width}x{height} has {expected} bytes, not {actual}")]
    PackedLength {
        /// The pixel format.
        format: PixelFormat,
        /// The width in pixels.
        width: u32,
        /// The height in pixels.
        height: u32,
        /// The bytes such a picture has.
        expected: usize,
        /// The bytes that were given.
        actual: usize,
    },
    /// Planes are missing or too many.
    #[error("the pixel format has {expected} planes, {actual} were given")]
    PlaneCount {
        /// The planes of the format.
        expected: usize,
        /// The planes that were given.
        actual: usize,
    },
    /// A stride is shorter than a row.
    #[error("plane {plane} has a stride of {actual} bytes, its rows have {minimum}")]
    Stride {
        /// The plane's index.
        plane: usize,
        /// The bytes of one row.
        minimum: usize,
        /// The stride that was given.
        actual: usize,
    },
    /// A plane is shorter than its rows.
    #[error("plane {plane} has {actual} bytes, its rows need {minimum}")]
    PlaneLength {
        /// The plane's index.
        plane: usize,
        /// The bytes it needs.
        minimum: usize,
        /// The bytes that were given.
        actual: usize,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn odd_sizes_round_their_chroma_up() {
        assert_eq!(PixelFormat::I420.packed_len(3, 3), 9 + 4 + 4);
        assert_eq!(PixelFormat::Nv12.packed_len(3, 3), 9 + 8);
        assert_eq!(PixelFormat::Rgba.packed_len(3, 3), 36);
        let frame = VideoFrame::i420(3, 3, (0..17).collect::<Vec<u8>>()).unwrap();
        assert_eq!(frame.rows(2).collect::<Vec<_>>(), [[13, 14], [15, 16]]);
        assert_eq!(frame.to_packed(), (0..17).collect::<Vec<u8>>());
    }

    #[test]
    fn planes_of_a_packed_picture_share_its_buffer() {
        let data = Bytes::from(vec![7u8; 6]);
        let frame = VideoFrame::i420(2, 2, data.clone()).unwrap();
        assert_eq!(frame.planes()[0].data.as_ptr(), data.as_ptr());
    }

    #[test]
    fn padding_at_the_end_of_rows_is_skipped() {
        let padded = Plane { data: Bytes::from_static(&[1, 2, 0, 3, 4]), stride: 3 };
        let chroma = Plane { data: Bytes::from_static(&[9]), stride: 1 };
        let frame = VideoFrame::from_planes(PixelFormat::I420, 2, 2, vec![padded, chroma.clone(), chroma]).unwrap();
        assert_eq!(frame.to_packed(), [1, 2, 3, 4, 9, 9]);
    }

    #[test]
    fn wrong_sizes_are_named() {
        assert_eq!(VideoFrame::i420(0, 2, vec![]), Err(VideoFrameError::Size { width: 0, height: 2 }));
        assert!(matches!(
            VideoFrame::i420(2, 2, vec![0; 5]),
            Err(VideoFrameError::PackedLength { expected: 6, actual: 5, .. })
        ));
        let short = Plane { data: Bytes::from_static(&[0; 3]), stride: 2 };
        let one = Plane { data: Bytes::from_static(&[0]), stride: 1 };
        assert_eq!(
            VideoFrame::from_planes(PixelFormat::I420, 2, 2, vec![short, one.clone(), one]),
            Err(VideoFrameError::PlaneLength { plane: 0, minimum: 4, actual: 3 })
        );
    }
}
