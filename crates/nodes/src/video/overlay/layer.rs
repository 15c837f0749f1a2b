//! Pixels with transparency, and how they are drawn into a picture of any format.

use remotemedia_media::PixelFormat;

use super::super::{
    VideoError,
    picture::{Canvas, yuv_of},
};
use super::text::Coverage;

/// A rectangle of pixels with transparency. Its sides are even, so that it can lie on whole chroma pixels.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layer {
    width: usize,
    height: usize,
    rgba: Vec<[u8; 4]>,
    yuv: Option<Yuv>,
}

/// The same pixels for 4:2:0, made when they are needed first.
#[derive(Clone, Debug, Default)]
struct Yuv {
    /// Luma and alpha of each pixel.
    luma: Vec<[u8; 2]>,
    /// U, V and alpha of each two by two pixels.
    chroma: Vec<[u8; 3]>,
}

impl Layer {
    /// A layer out of `width` x `height` pixels in rows.
    pub(crate) fn new(width: usize, height: usize, pixels: impl IntoIterator<Item = [u8; 4]>) -> Self {
        let (even_width, even_height) = (width.next_multiple_of(2), height.next_multiple_of(2));
        let mut rgba = vec![[0; 4]; even_width * even_height];
        let places = (0..height).flat_map(|y| (0..width).map(move |x| y * even_width + x));
        for (place, pixel) in places.zip(pixels) {
            rgba[place] = pixel;
        }
        Self { width: even_width, height: even_height, rgba, yuv: None }
    }

    /// Text in `color`, on `background` with a frame of `padding` pixels around it.
    pub(crate) fn of_text(text: &Coverage, color: [u8; 4], background: Option<[u8; 4]>, padding: usize) -> Self {
        let padding = if background.is_some() { padding } else { 0 };
        let under = background.unwrap_or_default();
        let (width, height) = (text.width + 2 * padding, text.height + 2 * padding);
        let pixel = |x: usize, y: usize| {
            let (x, y) = (x.wrapping_sub(padding), y.wrapping_sub(padding));
            let covered = if x < text.width && y < text.height { text.data[y * text.width + x] } else { 0 };
            over(color, covered, under)
        };
        Self::new(width, height, (0..height).flat_map(|y| (0..width).map(move |x| pixel(x, y))))
    }

    pub(crate) fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// Draws the layer with its corner at `x`, `y`, which are rounded down to even numbers, as far as it lies within.
    pub(crate) fn draw(&mut self, canvas: &mut Canvas, x: usize, y: usize, opacity: u8) -> Result<(), VideoError> {
        let (x, y) = (x & !1, y & !1);
        match canvas.format() {
            PixelFormat::I420 | PixelFormat::Nv12 => {
                self.draw_yuv(canvas, x, y, opacity);
                Ok(())
            }
            PixelFormat::Rgb24 => self.draw_rgb::<3>(canvas, x, y, opacity, [0, 1, 2]),
            PixelFormat::Rgba => self.draw_rgb::<4>(canvas, x, y, opacity, [0, 1, 2]),
            PixelFormat::Bgra => self.draw_rgb::<4>(canvas, x, y, opacity, [2, 1, 0]),
            format => Err(VideoError::Format { format }),
        }
    }

    fn draw_rgb<const BYTES: usize>(
        &self,
        canvas: &mut Canvas,
        x: usize,
        y: usize,
        opacity: u8,
        order: [usize; 3],
    ) -> Result<(), VideoError> {
        for (row, pixels) in self.rgba.chunks_exact(self.width.max(1)).enumerate() {
            let target = canvas.row_mut(0, x, y + row);
            for (under, pixel) in target.chunks_exact_mut(BYTES).zip(pixels) {
                let alpha = scaled(pixel[3], opacity);
                if alpha == 0 {
                    continue;
                }
                for (component, place) in order.into_iter().enumerate() {
                    under[place] = mix(under[place], pixel[component], alpha);
                }
                if BYTES == 4 {
                    under[3] = mix(under[3], 255, alpha);
                }
            }
        }
        Ok(())
    }

    fn draw_yuv(&mut self, canvas: &mut Canvas, x: usize, y: usize, opacity: u8) {
        let (width, rgba) = (self.width.max(1), &self.rgba);
        let yuv = self.yuv.get_or_insert_with(|| Yuv::of(rgba, width));
        for (row, pixels) in yuv.luma.chunks_exact(width).enumerate() {
            for (under, [luma, alpha]) in canvas.row_mut(0, x, y + row).iter_mut().zip(pixels) {
                *under = mix(*under, *luma, scaled(*alpha, opacity));
            }
        }
        let is_i420 = canvas.format() == PixelFormat::I420;
        for (row, pixels) in yuv.chroma.chunks_exact((width / 2).max(1)).enumerate() {
            let (x, y) = (x / 2, y / 2 + row);
            if is_i420 {
                for component in 0..2 {
                    for (under, pixel) in canvas.row_mut(component + 1, x, y).iter_mut().zip(pixels) {
                        *under = mix(*under, pixel[component], scaled(pixel[2], opacity));
                    }
                }
            } else {
                for (under, [u, v, alpha]) in canvas.row_mut(1, x, y).chunks_exact_mut(2).zip(pixels) {
                    under[0] = mix(under[0], *u, scaled(*alpha, opacity));
                    under[1] = mix(under[1], *v, scaled(*alpha, opacity));
                }
            }
        }
    }
}

impl Yuv {
    fn of(rgba: &[[u8; 4]], width: usize) -> Self {
        let luma = rgba.iter().map(|[r, g, b, alpha]| [yuv_of([*r, *g, *b])[0], *alpha]).collect();
        let mut chroma = Vec::with_capacity(rgba.len() / 4);
        for rows in rgba.chunks_exact(width * 2) {
            let (upper, lower) = rows.split_at(width);
            for (upper, lower) in upper.chunks_exact(2).zip(lower.chunks_exact(2)) {
                // Colours count as far as they are seen: the colour of a transparent pixel is rubbish.
                let four = [upper[0], upper[1], lower[0], lower[1]];
                let seen: u32 = four.iter().map(|pixel| u32::from(pixel[3])).sum();
                let mean = |component: usize| {
                    let sum: u32 = four.iter().map(|pixel| u32::from(pixel[component]) * u32::from(pixel[3])).sum();
                    (sum + seen / 2).checked_div(seen).unwrap_or(0) as u8
                };
                let [_, u, v] = yuv_of([mean(0), mean(1), mean(2)]);
                chroma.push([u, v, ((seen + 2) / 4) as u8]);
            }
        }
        Self { luma, chroma }
    }
}

/// `color` where `covered`, over `under`.
fn over(color: [u8; 4], covered: u8, under: [u8; 4]) -> [u8; 4] {
    let alpha = u32::from(scaled(color[3], covered));
    let rest = u32::from(under[3]) * (255 - alpha) / 255;
    let total = alpha + rest;
    let blend = |index: usize| {
        let sum = u32::from(color[index]) * alpha + u32::from(under[index]) * rest;
        (sum + total / 2).checked_div(total).unwrap_or(0) as u8
    };
    [blend(0), blend(1), blend(2), total.min(255) as u8]
}

fn scaled(alpha: u8, by: u8) -> u8 {
    ((u32::from(alpha) * u32::from(by) + 127) / 255) as u8
}

fn mix(under: u8, over: u8, alpha: u8) -> u8 {
    let alpha = u32::from(alpha);
    ((u32::from(under) * (255 - alpha) + u32::from(over) * alpha + 127) / 255) as u8
}
