//! Small copies of pictures, for finding the person in.

use remotemedia_media::{PixelFormat, VideoFrame};
use remotemedia_scale::{Kernel, Scaler};

use super::super::{
    VideoError,
    picture::{is_420, pixels_of, yuv_of},
};

/// A small copy of a picture: Y, U and V of each pixel, BT.601 limited range.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thumbnail {
    pub(crate) width: usize,
    pub(crate) height: usize,
    pub(crate) yuv: Vec<[u8; 3]>,
}

/// Makes [`Thumbnail`]s and keeps their memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Thumbnailer {
    scaler: Scaler,
    thumbnail: Thumbnail,
    plane: Vec<u8>,
}

impl Thumbnailer {
    /// A copy whose longer side has at most `side` pixels.
    pub(crate) fn fitted(&mut self, frame: &VideoFrame, side: u32) -> Result<&Thumbnail, VideoError> {
        let scale = (f64::from(side) / f64::from(frame.width().max(frame.height()))).min(1.0);
        let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).max(1);
        self.sized(frame, scaled(frame.width()), scaled(frame.height()))
    }

    /// A copy of exactly `width` x `height`, distorted if need be.
    pub(crate) fn sized(&mut self, frame: &VideoFrame, width: u32, height: u32) -> Result<&Thumbnail, VideoError> {
        let format = frame.format();
        let count = width as usize * height as usize;
        self.thumbnail.yuv.resize(count, [0; 3]);
        (self.thumbnail.width, self.thumbnail.height) = (width as usize, height as usize);
        for index in 0..format.plane_count() {
            let Some(pixels) = pixels_of(frame, index) else { return Err(VideoError::Format { format }) };
            self.plane.resize(count * pixels.bytes, 0);
            self.scaler.scale_whole(pixels, &mut self.plane, (width, height), Kernel::Box)?;
            let scaled = self.plane.chunks_exact(pixels.bytes);
            for (yuv, pixel) in self.thumbnail.yuv.iter_mut().zip(scaled) {
                match format {
                    PixelFormat::Nv12 if index == 1 => (yuv[1], yuv[2]) = (pixel[0], pixel[1]),
                    PixelFormat::Bgra => *yuv = yuv_of([pixel[2], pixel[1], pixel[0]]),
                    format if is_420(format) => yuv[index] = pixel[0],
                    _ => *yuv = yuv_of([pixel[0], pixel[1], pixel[2]]),
                }
            }
        }
        Ok(&self.thumbnail)
    }
}
