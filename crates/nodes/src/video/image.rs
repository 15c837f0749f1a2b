use std::{fs::File, io::BufReader, path::Path};

use png::{ColorType, Decoder, Limits, Transformations};
use remotemedia_media::{PixelFormat, VideoFrame, VideoFrameError};
use remotemedia_runtime_core::node::ParamProblem;

/// A still picture with transparency, read from a PNG file.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    frame: VideoFrame,
}

impl Image {
    /// The largest width and height of a file, in pixels.
    pub const MAX_SIDE: u32 = 4_096;

    /// Reads the PNG file at `path`: grey or coloured, with or without transparency or a palette.
    ///
    /// # Errors
    ///
    /// [`ImageError`] if the file cannot be read, is no PNG, or is larger than [`Image::MAX_SIDE`] in one direction.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, ImageError> {
        let file = BufReader::new(File::open(path)?);
        let bytes = Self::MAX_SIDE as usize * Self::MAX_SIDE as usize * 4;
        let mut decoder = Decoder::new_with_limits(file, Limits { bytes });
        decoder.set_transformations(Transformations::normalize_to_color8() | Transformations::ALPHA);
        let mut reader = decoder.read_info().map_err(no_png)?;
        let (width, height) = (reader.info().width, reader.info().height);
        if width > Self::MAX_SIDE || height > Self::MAX_SIDE {
            return Err(ImageError::Size { width, height });
        }
        let length = reader.output_buffer_size().ok_or(ImageError::Size { width, height })?;
        let mut data = vec![0; length];
        let info = reader.next_frame(&mut data).map_err(no_png)?;
        data.truncate(info.buffer_size());
        let rgba = match info.color_type {
            ColorType::Rgba => data,
            ColorType::GrayscaleAlpha => data.chunks_exact(2).flat_map(|p| [p[0], p[0], p[0], p[1]]).collect(),
            ColorType::Rgb => data.chunks_exact(3).flat_map(|p| [p[0], p[1], p[2], 255]).collect(),
            ColorType::Grayscale | ColorType::Indexed => data.iter().flat_map(|p| [*p, *p, *p, 255]).collect(),
        };
        Self::from_rgba(width, height, rgba)
    }

    /// A picture out of four bytes a pixel: red, green, blue, alpha.
    ///
    /// # Errors
    ///
    /// [`ImageError`] if the size is out of range or `rgba` has not the length that it needs.
    pub fn from_rgba(width: u32, height: u32, rgba: Vec<u8>) -> Result<Self, ImageError> {
        Ok(Self { frame: VideoFrame::from_packed(PixelFormat::Rgba, width, height, rgba)? })
    }

    /// The picture as a frame, RGBA without padding.
    pub fn frame(&self) -> &VideoFrame {
        &self.frame
    }

    /// Reads the file that a param names.
    pub(crate) fn from_param(param: &'static str, path: &str) -> Result<Self, ParamProblem> {
        Self::read(path).map_err(|error| ParamProblem::Unusable {
            param,
            value: path.chars().take(200).collect(),
            reason: error.to_string(),
        })
    }
}

fn no_png(error: png::DecodingError) -> ImageError {
    ImageError::Png(error.into())
}

/// Why a file is no usable picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImageError {
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    File(#[from] std::io::Error),
    /// The file is no PNG.
    #[error("the file is no PNG picture: {0}")]
    Png(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The picture is too large.
    #[error("the picture has {width}x{height} pixels; make each side at most {max}", max = Image::MAX_SIDE)]
    Size {
        /// Its width.
        width: u32,
        /// Its height.
        height: u32,
    },
    /// The pixels make no picture.
    #[error(transparent)]
    Frame(#[from] VideoFrameError),
}
