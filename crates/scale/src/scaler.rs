use std::error::Error;

use fast_image_resize::{
    FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedCroppedImage, TypedCroppedImageMut, TypedImage, TypedImageRef},
    pixels::{InnerPixel, U8, U8x2, U8x3, U8x4},
};

/// Scales planes, and keeps its buffers between the calls.
#[derive(Clone, Debug, Default)]
pub struct Scaler {
    resizer: Resizer,
    gathered: Vec<u8>,
}

/// Pixels to read: a plane, or a part of one.
#[derive(Clone, Copy, Debug)]
pub struct Pixels<'a> {
    /// The bytes of the rows, from the first pixel on. The last row may end with its last pixel.
    pub data: &'a [u8],
    /// Pixels of a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Bytes of one pixel, 1 to 4. Four are red, green, blue in any order, and then alpha; fewer are components that have
    /// nothing to do with each other.
    pub bytes: usize,
    /// Bytes from row to row.
    pub stride: usize,
}

/// A rectangle in pixels of a plane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area<T> {
    /// Pixels left of it.
    pub left: T,
    /// Rows above it.
    pub top: T,
    /// Pixels of its rows.
    pub width: T,
    /// Its rows.
    pub height: T,
}

/// How pixels are weighed. Each kernel is stretched to the reduction, so that no detail aliases.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kernel {
    /// The mean of what falls into a pixel: quickest.
    Box,
    /// A triangle.
    #[default]
    Bilinear,
    /// Lanczos' with three lobes: sharpest, and slowest.
    Lanczos3,
}

/// Why a plane was not scaled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScaleError {
    /// [`Pixels::bytes`] is out of range.
    #[error("a pixel has 1 to 4 bytes, not {bytes}")]
    PixelSize {
        /// What was given.
        bytes: usize,
    },
    /// The source has fewer bytes than its size and stride say.
    #[error("the source is no plane of {width}x{height} pixels")]
    Source {
        /// Its width in pixels.
        width: u32,
        /// Its rows.
        height: u32,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The target has fewer bytes than its size says, or the area to fill lies outside of it.
    #[error("the target is no plane of {width}x{height} pixels with that area in it")]
    Target {
        /// Its width in pixels.
        width: u32,
        /// Its rows.
        height: u32,
        /// What is wrong with it.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The area to read lies outside of the source.
    #[error("the area to scale lies outside of the source")]
    Area(#[source] Box<dyn Error + Send + Sync>),
}

impl<'a> Pixels<'a> {
    /// Row `y` without its padding; empty outside of the plane.
    pub fn row(&self, y: usize) -> &'a [u8] {
        let start = y.saturating_mul(self.stride);
        self.data.get(start..start.saturating_add(self.width as usize * self.bytes)).unwrap_or_default()
    }
}

impl Area<u32> {
    /// All of a plane.
    pub fn whole(width: u32, height: u32) -> Self {
        Self { left: 0, top: 0, width, height }
    }
}

impl Scaler {
    /// Scales `area` of `from`, or all of it, into `inside` of the packed plane `to`, which has `to_size` pixels and rows of
    /// the same kind of pixel. What lies outside of `inside` stays as it is.
    ///
    /// # Errors
    ///
    /// [`ScaleError`], if bytes are missing or an area lies outside of its plane; nothing is written then.
    pub fn scale(
        &mut self,
        from: Pixels<'_>,
        area: Option<Area<f64>>,
        to: &mut [u8],
        to_size: (u32, u32),
        inside: Area<u32>,
        kernel: Kernel,
    ) -> Result<(), ScaleError> {
        let filter = match kernel {
            Kernel::Box => FilterType::Box,
            Kernel::Bilinear => FilterType::Bilinear,
            Kernel::Lanczos3 => FilterType::Lanczos3,
        };
        // Two components are blue and red chroma here, and not grey and alpha.
        let mut options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(filter)).use_alpha(from.bytes == 4);
        if let Some(Area { left, top, width, height }) = area {
            options = options.crop(left, top, width, height);
        }
        match from.bytes {
            1 => self.run::<U8>(from, to, to_size, inside, &options),
            2 => self.run::<U8x2>(from, to, to_size, inside, &options),
            3 => self.run::<U8x3>(from, to, to_size, inside, &options),
            4 => self.run::<U8x4>(from, to, to_size, inside, &options),
            bytes => Err(ScaleError::PixelSize { bytes }),
        }
    }

    /// Scales all of `from` into all of the packed plane `to` of `to_size` pixels and rows.
    ///
    /// # Errors
    ///
    /// As [`Self::scale`].
    pub fn scale_whole(
        &mut self,
        from: Pixels<'_>,
        to: &mut [u8],
        to_size: (u32, u32),
        kernel: Kernel,
    ) -> Result<(), ScaleError> {
        self.scale(from, None, to, to_size, Area::whole(to_size.0, to_size.1), kernel)
    }

    fn run<P: InnerPixel + PixelTrait>(
        &mut self,
        from: Pixels<'_>,
        to: &mut [u8],
        (to_width, to_height): (u32, u32),
        inside: Area<u32>,
        options: &ResizeOptions,
    ) -> Result<(), ScaleError> {
        let Pixels { data, width, height, bytes, stride } = from;
        let bad_source = |error: Box<dyn Error + Send + Sync>| ScaleError::Source { width, height, source: error };
        let bad_target = |error: Box<dyn Error + Send + Sync>| ScaleError::Target {
            width: to_width,
            height: to_height,
            source: error,
        };
        let mut to = TypedImage::<P>::from_buffer(to_width, to_height, to).map_err(|e| bad_target(e.into()))?;
        let mut to = TypedCroppedImageMut::from_ref(&mut to, inside.left, inside.top, inside.width, inside.height)
            .map_err(|e| bad_target(e.into()))?;
        let has_whole_rows = stride.checked_mul(height as usize).is_some_and(|length| data.len() >= length);
        let (row, data) = if stride.is_multiple_of(bytes) && has_whole_rows {
            ((stride / bytes) as u32, data)
        } else {
            self.gathered.clear();
            (0..height as usize).for_each(|y| self.gathered.extend_from_slice(from.row(y)));
            (width, &self.gathered[..])
        };
        let view = TypedImageRef::<P>::from_buffer(row, height, data).map_err(|e| bad_source(e.into()))?;
        // Cut off the padding, so that the kernel does not reach into it. Rows without padding go the same way, since all
        // kernels are compiled anew for each type of view.
        let view = TypedCroppedImage::from_ref(&view, 0, 0, width, height).map_err(|e| bad_source(e.into()))?;
        self.resizer.resize_typed(&view, &mut to, options).map_err(|e| ScaleError::Area(e.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_is_not_read() {
        for stride in [4, 5, 7] {
            let mut data = vec![200; 3 * stride + 4];
            for y in 0..4 {
                data[y * stride..y * stride + 4].fill(50);
            }
            let from = Pixels { data: &data, width: 4, height: 4, bytes: 1, stride };
            let mut to = [0; 64];
            Scaler::default().scale_whole(from, &mut to, (8, 8), Kernel::Lanczos3).unwrap();
            assert_eq!(to, [50; 64], "stride {stride}");
        }
    }

    #[test]
    fn every_kind_of_pixel_keeps_its_components() {
        for bytes in 1..=4 {
            let pixel = [10, 90, 170, 255];
            let data: Vec<u8> = pixel[..bytes].repeat(6 * 6);
            let from = Pixels { data: &data, width: 6, height: 6, bytes, stride: 6 * bytes };
            let mut to = vec![0; 3 * 9 * bytes];
            Scaler::default().scale_whole(from, &mut to, (3, 9), Kernel::Box).unwrap();
            assert_eq!(to, pixel[..bytes].repeat(3 * 9), "{bytes} bytes");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let mut scaler = Scaler::default();
        let from = Pixels { data: &[0; 16], width: 4, height: 4, bytes: 1, stride: 4 };
        let mut run = |from, area, size, inside| scaler.scale(from, area, &mut [0; 16], size, inside, Kernel::Bilinear);
        let whole = Area::whole(4, 4);
        assert!(run(from, None, (4, 4), whole).is_ok());
        assert!(matches!(
            run(Pixels { bytes: 5, ..from }, None, (4, 4), whole),
            Err(ScaleError::PixelSize { bytes: 5 })
        ));
        assert!(matches!(
            run(Pixels { bytes: 0, ..from }, None, (4, 4), whole),
            Err(ScaleError::PixelSize { bytes: 0 })
        ));
        assert!(matches!(run(Pixels { height: 5, ..from }, None, (4, 4), whole), Err(ScaleError::Source { .. })));
        assert!(matches!(run(Pixels { stride: 3, ..from }, None, (4, 4), whole), Err(ScaleError::Source { .. })));
        assert!(matches!(run(from, None, (5, 4), whole), Err(ScaleError::Target { .. })));
        assert!(matches!(run(from, None, (4, 4), Area { left: 1, ..whole }), Err(ScaleError::Target { .. })));
        let outside = Area { left: 1.0, top: 0.0, width: 4.0, height: 4.0 };
        assert!(matches!(run(from, Some(outside), (4, 4), whole), Err(ScaleError::Area(_))));
    }
}
