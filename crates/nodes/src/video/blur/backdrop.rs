//! What is behind the person, and the picture that is made of both.

use remotemedia_media::{PixelFormat, VideoFrame};
use remotemedia_scale::{Area, Kernel, Scaler};

use super::{
    super::{
        VideoError,
        format::in_format,
        picture::{Labels, components, pixels_of, split_planes},
    },
    Backdrop,
    mask::Mask,
    soften::{Small, Softener},
    stretch::Stretch,
};

/// Puts pictures together, and keeps its buffers between them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Compositor {
    scaler: Scaler,
    softener: Softener,
    backdrop: Stretch,
    mask: Stretch,
    /// One row of the mask, as wide as the plane.
    mask_row: Vec<u8>,
    /// The least and the largest value of each row of the mask.
    range: Vec<(u8, u8)>,
    /// The image, made for pictures of one size and format.
    image: Option<VideoFrame>,
}

impl Compositor {
    /// The image has to be made anew.
    pub(crate) fn forget_image(&mut self) {
        self.image = None;
    }

    /// `frame` where `mask` is full and `backdrop` where it is empty; `sigma` is the blur in pixels, above 0.
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
        self.softener.begin();
        self.range.clear();
        let rows = mask.data.chunks_exact(mask.width.max(1));
        self.range.extend(
            rows.map(|row| row.iter().fold((255, 0), |(least, most), value| (least.min(*value), most.max(*value)))),
        );
        let mut packed = vec![0; format.packed_len(width, height)];
        for (index, target) in split_planes(format, width, height, &mut packed).into_iter().enumerate() {
            let Some(pixels) = pixels_of(frame, index) else { return Err(VideoError::Format { format }) };
            let behind = match (backdrop, image.as_ref().and_then(|image| image.planes().get(index))) {
                (Backdrop::Color(rgb), _) => Behind::Color(components(format, index, *rgb)),
                (_, Some(plane)) => Behind::Image(&plane.data),
                _ => Behind::Blurred(self.softener.soften(pixels, mask, sigma * pixels.height as f32 / height as f32)),
            };
            let size = (pixels.width as usize, pixels.height as usize);
            if let Behind::Blurred(small) = &behind {
                self.backdrop.prepare((small.width, small.height), size, pixels.bytes);
            }
            self.mask.prepare((mask.width, mask.height), size, 1);
            self.mask_row.resize(size.0, 0);
            let row = size.0 * pixels.bytes;
            for (y, to) in target.chunks_exact_mut(row.max(1)).enumerate() {
                let (above, below) = self.mask.rows(y);
                let (above, below) = (self.range[above], self.range[below]);
                if above.0.min(below.0) == 255 {
                    to.copy_from_slice(pixels.row(y));
                    continue;
                }
                match &behind {
                    Behind::Color(color) => {
                        to.chunks_exact_mut(pixels.bytes).for_each(|to| to.copy_from_slice(&color[..pixels.bytes]));
                    }
                    Behind::Image(image) => to.copy_from_slice(&image[y * row..][..row]),
                    Behind::Blurred(small) => self.backdrop.row(&small.data, y, to),
                }
                if above.1.max(below.1) > 0 {
                    self.mask.row(&mask.data, y, &mut self.mask_row);
                    match pixels.bytes {
                        1 => blend::<1>(to, pixels.row(y), &self.mask_row),
                        2 => blend::<2>(to, pixels.row(y), &self.mask_row),
                        3 => blend::<3>(to, pixels.row(y), &self.mask_row),
                        _ => blend::<4>(to, pixels.row(y), &self.mask_row),
                    }
                }
            }
        }
        Ok(Labels::of(frame).put_on(VideoFrame::from_packed(format, width, height, packed)?))
    }

    fn image_for(&mut self, frame: &VideoFrame, image: &VideoFrame) -> Result<VideoFrame, VideoError> {
        let (format, width, height) = (frame.format(), frame.width(), frame.height());
        if let Some(made) = &self.image
            && (made.format(), made.width(), made.height()) == (format, width, height)
        {
            return Ok(made.clone());
        }
        let opaque = in_format(image, PixelFormat::Rgb24)?;
        let Some(pixels) = pixels_of(&opaque, 0) else { return Err(VideoError::Format { format }) };
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
        self.scaler.scale(pixels, Some(middle), &mut packed, size, inside, Kernel::Bilinear)?;
        let covering = VideoFrame::from_packed(PixelFormat::Rgb24, width, height, packed)?;
        let made = in_format(&covering, format)?.into_owned();
        Ok(self.image.insert(made).clone())
    }
}

/// What is seen of a plane where the person is not.
enum Behind<'a> {
    /// As many bytes of it as a pixel has.
    Color([u8; 4]),
    /// Rows without padding, as large as the plane.
    Image(&'a [u8]),
    Blurred(&'a Small),
}

/// `under` becomes `over` as far as `mask` says.
fn blend<const BYTES: usize>(under: &mut [u8], over: &[u8], mask: &[u8]) {
    for ((under, over), mask) in under.chunks_exact_mut(BYTES).zip(over.chunks_exact(BYTES)).zip(mask) {
        let mask = u16::from(*mask);
        for (under, over) in under.iter_mut().zip(over) {
            let sum = u16::from(*under) * (255 - mask) + u16::from(*over) * mask + 128;
            // Divided by 255 and rounded, in numbers that are short.
            *under = ((sum + (sum >> 8)) >> 8) as u8;
        }
    }
}
