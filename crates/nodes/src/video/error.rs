use remotemedia_media::{PixelFormat, VideoFrameError};
use remotemedia_scale::ScaleError;

/// Why a video node cannot work on a picture.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum VideoError {
    /// The pixel format is none that the node knows.
    #[error("pictures of the format {format:?} are not known here: use i420, nv12, rgb24, rgba or bgra")]
    Format {
        /// The format.
        format: PixelFormat,
    },
    /// The area to cut out lies beside the picture.
    #[error(
        "the area begins at {x},{y}, but the picture has {width}x{height} pixels: move it, or give it as fractions"
    )]
    OutsidePicture {
        /// The left edge of the area, in pixels.
        x: u32,
        /// The top edge of the area, in pixels.
        y: u32,
        /// The picture's width.
        width: u32,
        /// The picture's height.
        height: u32,
    },
    /// The planes that were made are no picture.
    #[error(transparent)]
    Frame(#[from] VideoFrameError),
    /// The picture cannot be scaled.
    #[error("the picture cannot be scaled")]
    Scale(#[from] ScaleError),
    /// The colours cannot be converted.
    #[error("the colours cannot be converted")]
    Convert(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The built-in font cannot be read.
    #[error("the built-in font cannot be read")]
    Font(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The segmentation model failed on a picture.
    #[cfg(feature = "onnx")]
    #[error("the segmentation model failed on a picture")]
    Model(#[source] Box<dyn std::error::Error + Send + Sync>),
}
