//! What is behind the person, and the picture that is made of both.

use fast_image_resize::FilterType;
use remotemedia_media::{PixelFormat, VideoFrame};

use super::{
    super::{
        VideoError,
        format::in_format,
        picture::{Area, Labels, Pixels, Scaler, components, split_planes},
    },
    Backdrop,
    mask::Mask,
};

/// Puts pictures together, and keeps its buffers between them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compositor {
    scaler: Scaler,
    small: Vec<u8>,
    small_mask: Vec<u8>,
    full_mask: Vec<u8>,
    weighted: Vec<[f32; 5]>,
    passed: Vec<[f32; 5]>,
    /// The image, made for pictures of one size and format.
    image: Option<VideoFrame>,
}

impl Compositor {
    /// The image has to be made anew.
    pub(crate) fn forget_image(&mut self) {
        self.image = None;
    }

    /// `frame` where `mask` is full and `backdrop` where it is empty; `sigma` is the blur in pixels.
    pub(crate) fn compose(
        &mut self,
        frame: &VideoFrame,
        mask: &Mask,
        backdrop: &Backdrop,
        sigma: f32,
    ) -> Result<VideoFrame, VideoError> {
        let (format, width, height) = (frame.format(), frame.width(), frame.height());
        let image = match backdrop {
            Backdrop::Image(image) => Some(self.image_for(frame, image.frame())?),
            _ => None,
        };
        let mut packed = vec![0; format.packed_len(width, height)];
        let mut masked = (0, 0);
        for (index, target) in split_planes(format, width, height, &mut packed).into_iter().enumerate() {
            let Some(pixels) = Pixels::of(frame, index) else { return Err(VideoError::Format { format }) };
            match (backdrop, image.as_ref().and_then(|image| image.planes().get(index))) {
                (Backdrop::Color(rgb), _) => {
                    let color = components(format, index, *rgb);
                    target.chunks_exact_mut(pixels.bytes).for_each(|to| to.copy_from_slice(&color[..pixels.bytes]));
                }
                (_, Some(plane)) => target.copy_from_slice(&plane.data[..target.len()]),
                _ => self.blur(pixels, mask, sigma * pixels.height as f32 / height as f32, target)?,
            }
            let size = (pixels.width, pixels.height);
            if masked != size {
                masked = size;
                self.full_mask.resize(size.0 as usize * size.1 as usize, 0);
                let small = Pixels::packed(&mask.data, mask.width as u32, mask.height as u32, 1);
                self.scaler.scale_whole(small, &mut self.full_mask, size, FilterType::Bilinear)?;
            }
            let row = pixels.width as usize;
            for (y, (to, mask)) in
                target.chunks_exact_mut(row * pixels.bytes).zip(self.full_mask.chunks_exact(row)).enumerate()
            {
                match pixels.bytes {
                    1 => blend::<1>(to, pixels.row(y), mask),
                    2 => blend::<2>(to, pixels.row(y), mask),
                    3 => blend::<3>(to, pixels.row(y), mask),
                    _ => blend::<4>(to, pixels.row(y), mask),
                }
            }
        }
        Ok(Labels::of(frame).put_on(VideoFrame::from_packed(format, width, height, packed)?))
    }

    /// A Gaussian blur of what is not the person, at reduced size.
    ///
    /// The person has no weight in it: otherwise the colours of their clothes would shine around them.
    fn blur(&mut self, from: Pixels<'_>, mask: &Mask, sigma: f32, to: &mut [u8]) -> Result<(), VideoError> {
        let mut reduction = 1;
        while reduction < 8 && sigma >= 2.0 * reduction as f32 {
            reduction *= 2;
        }
        let size = (from.width.div_ceil(reduction), from.height.div_ceil(reduction));
        let count = size.0 as usize * size.1 as usize;
        self.small.resize(count * from.bytes, 0);
        self.scaler.scale_whole(from, &mut self.small, size, FilterType::Box)?;
        self.small_mask.resize(count, 0);
        let small = Pixels::packed(&mask.data, mask.width as u32, mask.height as u32, 1);
        self.scaler.scale_whole(small, &mut self.small_mask, size, FilterType::Bilinear)?;

        let kernel = gaussian(sigma / reduction as f32);
        self.weighted.clear();
        for (pixel, masked) in self.small.chunks_exact(from.bytes).zip(&self.small_mask) {
            // Where nothing but the person is near, their own colours have to do.
            let weight = (255 - masked) as f32 / 255.0 + 1e-3;
            let mut values = [0.0; 5];
            values.iter_mut().zip(pixel).for_each(|(value, byte)| *value = f32::from(*byte) * weight);
            values[4] = weight;
            self.weighted.push(values);
        }
        let (width, height) = (size.0 as usize, size.1 as usize);
        convolve(&self.weighted, &mut self.passed, &kernel, (width, 1), (height, width));
        convolve(&self.passed, &mut self.weighted, &kernel, (height, width), (width, 1));
        for (pixel, values) in self.small.chunks_exact_mut(from.bytes).zip(&self.weighted) {
            pixel.iter_mut().zip(values).for_each(|(byte, value)| *byte = (value / values[4] + 0.5) as u8);
        }
        let small = Pixels::packed(&self.small, size.0, size.1, from.bytes);
        self.scaler.scale_whole(small, to, (from.width, from.height), FilterType::Bilinear)
    }

    fn image_for(&mut self, frame: &VideoFrame, image: &VideoFrame) -> Result<VideoFrame, VideoError> {
        let (format, width, height) = (frame.format(), frame.width(), frame.height());
        if let Some(made) = &self.image
            && (made.format(), made.width(), made.height()) == (format, width, height)
        {
            return Ok(made.clone());
        }
        let opaque = in_format(image, PixelFormat::Rgb24)?;
        let Some(pixels) = Pixels::of(&opaque, 0) else { return Err(VideoError::Format { format }) };
        let (across, down) =
            (f64::from(width) / f64::from(image.width()), f64::from(height) / f64::from(image.height()));
        let scale = across.max(down);
        let shown = |side: u32, whole: u32| (f64::from(side) / scale).min(f64::from(whole));
        let (shown_width, shown_height) = (shown(width, image.width()), shown(height, image.height()));
        let middle = Area {
            left: (f64::from(image.width()) - shown_width) / 2.0,
            top: (f64::from(image.height()) - shown_height) / 2.0,
            width: shown_width,
            height: shown_height,
        };
        let mut packed = vec![0; PixelFormat::Rgb24.packed_len(width, height)];
        let (size, inside) = ((width, height), Area::whole(width, height));
        self.scaler.scale(pixels, Some(middle), &mut packed, size, inside, FilterType::Bilinear)?;
        let covering = VideoFrame::from_packed(PixelFormat::Rgb24, width, height, packed)?;
        let made = in_format(&covering, format)?.into_owned();
        Ok(self.image.insert(made).clone())
    }
}

/// `under` becomes `over` as far as `mask` says.
fn blend<const BYTES: usize>(under: &mut [u8], over: &[u8], mask: &[u8]) {
    for ((under, over), mask) in under.chunks_exact_mut(BYTES).zip(over.chunks_exact(BYTES)).zip(mask) {
        let mask = u32::from(*mask);
        for (under, over) in under.iter_mut().zip(over) {
            *under = ((u32::from(*under) * (255 - mask) + u32::from(*over) * mask + 127) / 255) as u8;
        }
    }
}

/// The weights of a Gaussian of the standard deviation `sigma`, up to three times that from its middle.
fn gaussian(sigma: f32) -> Vec<f32> {
    let radius = (sigma * 3.0).ceil() as i32;
    let weight = |at: i32| if at == 0 { 1.0 } else { (-0.5 * (at as f32 / sigma).powi(2)).exp() };
    let weights: Vec<f32> = (-radius..=radius).map(weight).collect();
    let sum: f32 = weights.iter().sum();
    weights.into_iter().map(|weight| weight / sum).collect()
}

/// Convolves `lines` lines of `length` values, `step` values apart within a line and `line_step` from line to line.
/// Edges are continued.
fn convolve(
    from: &[[f32; 5]],
    to: &mut Vec<[f32; 5]>,
    kernel: &[f32],
    (length, step): (usize, usize),
    (lines, line_step): (usize, usize),
) {
    to.resize(from.len(), [0.0; 5]);
    let radius = kernel.len() / 2;
    for line in 0..lines {
        for at in 0..length {
            let mut sum = [0.0; 5];
            for (offset, weight) in kernel.iter().enumerate() {
                let place = (at + offset).saturating_sub(radius).min(length - 1);
                let values = &from[line * line_step + place * step];
                sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value * weight);
            }
            to[line * line_step + at * step] = sum;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gaussian_has_its_deviation_and_weighs_one() {
        for sigma in [0.7, 1.5, 4.0] {
            let kernel = gaussian(sigma);
            let middle = (kernel.len() / 2) as f32;
            let variance: f32 = kernel.iter().enumerate().map(|(at, w)| w * (at as f32 - middle).powi(2)).sum();
            assert!((variance.sqrt() - sigma).abs() < 0.05 * sigma, "{sigma}: {}", variance.sqrt());
            assert!((kernel.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        assert_eq!(gaussian(0.0), [1.0]);
    }

    #[test]
    fn edges_are_continued() {
        let mut to = Vec::new();
        convolve(&[[8.0; 5]; 6], &mut to, &gaussian(2.0), (3, 1), (2, 3));
        assert!(to.iter().flatten().all(|value| (value - 8.0).abs() < 1e-4), "{to:?}");
    }
}
