use bytes::Bytes;

use crate::{
    data::{PixelFormat, RuntimeData, VideoFrame},
    node::{Emitter, Node, NodeResult, NodeType, ParamSpec, Params, Produces},
};
use remotemedia_media::{Plane, VideoFrameError};

/// `VideoFlip`: mirrors or turns pictures over. Takes every pixel format; other data passes unchanged.
///
/// Param: `direction`, one of `horizontal` (left and right swap, the default), `vertical` (top and bottom swap) and
/// `both` (half a turn).
#[derive(Clone, Copy, Debug)]
pub struct VideoFlip {
    direction: FlipDirection,
}

/// Which sides of a picture swap.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FlipDirection {
    /// Left and right.
    #[default]
    Horizontal,
    /// Top and bottom.
    Vertical,
    /// Both: half a turn.
    Both,
}

impl VideoFlip {
    /// The type, to register.
    pub fn node_type() -> NodeType {
        NodeType::new("VideoFlip", |params| Ok(Self::new(direction(params))))
            .describe("Mirrors pictures or turns them over.")
            .param(
                ParamSpec::choice("direction", ["horizontal", "vertical", "both"])
                    .default_value("horizontal")
                    .doc("Which sides swap: left and right, top and bottom, or both."),
            )
            .produces(Produces::SameAsInput)
            .keeps_format()
    }

    /// A flip along `direction`.
    pub fn new(direction: FlipDirection) -> Self {
        Self { direction }
    }

    fn flip(&self, frame: &VideoFrame) -> Result<VideoFrame, VideoFlipError> {
        let unit_sizes = unit_sizes(frame.format()).ok_or(VideoFlipError::Format { format: frame.format() })?;
        let mut planes = Vec::with_capacity(unit_sizes.len());
        for (index, unit) in unit_sizes.iter().enumerate() {
            let (stride, rows) = frame.format().plane_size(index, frame.width(), frame.height()).unwrap_or_default();
            let mut data = Vec::with_capacity(stride * rows);
            if self.direction == FlipDirection::Horizontal {
                frame.rows(index).for_each(|row| mirror(row, *unit, &mut data));
            } else {
                let top_down: Vec<&[u8]> = frame.rows(index).collect();
                for row in top_down.into_iter().rev() {
                    match self.direction {
                        FlipDirection::Both => mirror(row, *unit, &mut data),
                        _ => data.extend_from_slice(row),
                    }
                }
            }
            planes.push(Plane { data: Bytes::from(data), stride });
        }
        let mut flipped = VideoFrame::from_planes(frame.format(), frame.width(), frame.height(), planes)?;
        flipped.timestamp = frame.timestamp;
        flipped.stream_id = frame.stream_id.clone();
        flipped.capture_time = frame.capture_time;
        flipped.source = frame.source.clone();
        Ok(flipped)
    }
}

impl Node for VideoFlip {
    fn process(&mut self, input: RuntimeData, out: &mut Emitter<'_>) -> NodeResult {
        match input {
            RuntimeData::Video { frame } => out.emit(self.flip(&frame)?),
            other => out.emit(other),
        }
        Ok(())
    }

    fn set_params(&mut self, params: &Params) -> bool {
        self.direction = direction(params);
        true
    }
}

/// Why a picture cannot be flipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VideoFlipError {
    /// The pixel format is none that the node knows.
    #[error("pictures of the format {format:?} cannot be flipped: convert them to I420 first")]
    Format {
        /// The format.
        format: PixelFormat,
    },
    /// The flipped planes make no picture.
    #[error(transparent)]
    Frame(#[from] VideoFrameError),
}

fn direction(params: &Params) -> FlipDirection {
    match params.text("direction") {
        Some("vertical") => FlipDirection::Vertical,
        Some("both") => FlipDirection::Both,
        _ => FlipDirection::Horizontal,
    }
}

/// Bytes that stay together when a row of a plane is mirrored, per plane.
fn unit_sizes(format: PixelFormat) -> Option<&'static [usize]> {
    match format {
        PixelFormat::I420 => Some(&[1, 1, 1]),
        PixelFormat::Nv12 => Some(&[1, 2]),
        PixelFormat::Rgb24 => Some(&[3]),
        PixelFormat::Rgba | PixelFormat::Bgra => Some(&[4]),
        _ => None,
    }
}

fn mirror(row: &[u8], unit: usize, into: &mut Vec<u8>) {
    match unit {
        1 => into.extend(row.iter().rev()),
        // Constant sizes let the compiler move whole pixels.
        2 => row.chunks_exact(2).rev().for_each(|pixel| into.extend_from_slice(&[pixel[0], pixel[1]])),
        4 => row.chunks_exact(4).rev().for_each(|pixel| {
            into.extend_from_slice(&[pixel[0], pixel[1], pixel[2], pixel[3]]);
        }),
        _ => row.chunks_exact(unit).rev().for_each(|pixel| into.extend_from_slice(pixel)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::node::process_once;

    fn flip(direction: FlipDirection, frame: VideoFrame) -> Vec<u8> {
        let output = process_once(&mut VideoFlip::new(direction), frame).unwrap();
        output[0].as_video().unwrap().to_packed()
    }

    #[test]
    fn odd_planar_pictures_flip_in_all_three_planes() {
        let frame = VideoFrame::i420(3, 3, (0..17).collect::<Vec<u8>>()).unwrap();
        assert_eq!(
            flip(FlipDirection::Horizontal, frame.clone()),
            [2, 1, 0, 5, 4, 3, 8, 7, 6, 10, 9, 12, 11, 14, 13, 16, 15]
        );
        assert_eq!(
            flip(FlipDirection::Vertical, frame.clone()),
            [6, 7, 8, 3, 4, 5, 0, 1, 2, 11, 12, 9, 10, 15, 16, 13, 14]
        );
        assert_eq!(flip(FlipDirection::Both, frame), [8, 7, 6, 5, 4, 3, 2, 1, 0, 12, 11, 10, 9, 16, 15, 14, 13]);
    }

    #[test]
    fn the_bytes_of_a_pixel_stay_together() {
        let nv12 = VideoFrame::from_packed(PixelFormat::Nv12, 4, 2, (0..12).collect::<Vec<u8>>()).unwrap();
        assert_eq!(flip(FlipDirection::Horizontal, nv12), [3, 2, 1, 0, 7, 6, 5, 4, 10, 11, 8, 9]);
        let rgb = VideoFrame::from_packed(PixelFormat::Rgb24, 2, 1, (0..6).collect::<Vec<u8>>()).unwrap();
        assert_eq!(flip(FlipDirection::Horizontal, rgb), [3, 4, 5, 0, 1, 2]);
        let rgba = VideoFrame::from_packed(PixelFormat::Rgba, 2, 1, (0..8).collect::<Vec<u8>>()).unwrap();
        assert_eq!(flip(FlipDirection::Horizontal, rgba), [4, 5, 6, 7, 0, 1, 2, 3]);
    }

    #[test]
    fn two_flips_give_the_picture_back_with_its_time() {
        let frame = VideoFrame::i420(5, 4, (0..32).collect::<Vec<u8>>()).unwrap();
        let frame = frame.with_timestamp(Duration::from_millis(40));
        for direction in [FlipDirection::Horizontal, FlipDirection::Vertical, FlipDirection::Both] {
            let node = VideoFlip::new(direction);
            let twice = node.flip(&node.flip(&frame).unwrap()).unwrap();
            assert_eq!(twice.to_packed(), frame.to_packed());
            assert_eq!(twice.timestamp, frame.timestamp);
        }
    }
}
