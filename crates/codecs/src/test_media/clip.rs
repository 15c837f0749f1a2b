use remotemedia_media::{PixelFormat, VideoFrame};

use super::random::Random;

/// What a [`Clip`] shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClipContent {
    /// Camera pan in pixels a picture.
    pub pan: f32,
    /// Contrast of the texture in steps of luma, 0 to 100.
    pub texture: f32,
    /// Largest noise of a pixel in steps of luma, 0 to 20, new in every picture.
    pub noise: u8,
}

impl Default for ClipContent {
    /// A slow pan over a textured scene with the noise of an indoor camera.
    fn default() -> Self {
        Self { pan: 3.0, texture: 60.0, noise: 4 }
    }
}

/// A clip of any length: the camera pans over a textured scene, an object moves in front of it, and every picture has
/// noise of its own.
///
/// ```
/// use remotemedia_codecs::test_media::Clip;
///
/// let clip = Clip::new(7, 320, 180);
/// assert_eq!(clip.frame(3), Clip::new(7, 320, 180).frame(3));
/// assert_ne!(clip.frame(3), clip.frame(4));
/// ```
pub struct Clip {
    width: usize,
    height: usize,
    content: ClipContent,
    scene: [Layer; 3],
    object: [Layer; 3],
    noise: Vec<i8>,
    seed: u64,
}

/// A plane larger than the picture that is looked at through a window.
struct Layer {
    width: usize,
    height: usize,
    pixels: Vec<u8>,
}

/// How far beyond the picture the scene goes, in pixels of luma each way.
const MARGIN: usize = 256;

impl Clip {
    /// The default content at `width` x `height` pixels, each side 2 to 16,384.
    pub fn new(seed: u64, width: u32, height: u32) -> Self {
        Self::with_content(seed, width, height, ClipContent::default())
    }

    /// A clip of chosen content, its sides at most 16,384.
    pub fn with_content(seed: u64, width: u32, height: u32, content: ClipContent) -> Self {
        let side = |side: u32| side.clamp(2, VideoFrame::MAX_SIDE) as usize;
        let (width, height) = (side(width), side(height));
        let mut random = Random(seed);
        let (scene_w, scene_h) = (width + MARGIN, height + MARGIN);
        let object = (height / 2).max(2);
        let texture = content.texture.clamp(0.0, 100.0);
        let mut layer =
            |w: usize, h: usize, contrast: f32, base: f32| Layer::textured(w, h, contrast, base, &mut random);
        let scene = [
            layer(scene_w, scene_h, texture, 120.0),
            layer(scene_w / 2, scene_h / 2, texture / 3.0, 118.0),
            layer(scene_w / 2, scene_h / 2, texture / 3.0, 138.0),
        ];
        let object = [
            layer(object, object, texture, 160.0),
            layer(object / 2, object / 2, texture / 3.0, 108.0),
            layer(object / 2, object / 2, texture / 3.0, 158.0),
        ];
        let span = i32::from(content.noise.min(20));
        let noise =
            (0..1 << 18).map(|_| (random.next() % (2 * span as u64 + 1)) as i32 - span).map(|n| n as i8).collect();
        Self { width, height, content, scene, object, noise, seed }
    }

    /// Picture number `index`, as packed I420.
    pub fn frame(&self, index: u64) -> VideoFrame {
        let mut packed = Vec::with_capacity(PixelFormat::I420.packed_len(self.width as u32, self.height as u32));
        let travelled = index as f32 * self.content.pan;
        let reach = (MARGIN - 4) as f32;
        let (x, y) = (bounce(travelled, reach), bounce(travelled * 0.37, reach));
        let side = self.object[0].width;
        let object_x = bounce(travelled * 1.7, (self.width - side.min(self.width)) as f32);
        let object_y = bounce(travelled * 0.9, (self.height - side.min(self.height)) as f32);
        let mut random = Random(self.seed ^ index.wrapping_mul(0xa076_1d64_78bd_642f));
        for (plane, shrink) in [(0, 1.0), (1, 2.0), (2, 2.0)] {
            let (row, rows) =
                if plane == 0 { (self.width, self.height) } else { (self.width.div_ceil(2), self.height.div_ceil(2)) };
            let start = packed.len();
            packed.resize(start + row * rows, 0);
            let target = &mut packed[start..];
            self.scene[plane].paint_window(target, row, x / shrink, y / shrink);
            self.object[plane].paint_disc(target, row, rows, object_x / shrink, object_y / shrink);
            if plane == 0 && self.content.noise > 0 {
                self.add_noise(target, row, &mut random);
            }
        }
        // The length is that of a packed picture and the sides are at least 2.
        VideoFrame::i420(self.width as u32, self.height as u32, packed).expect("a clip's pictures have legal sizes")
    }

    fn add_noise(&self, luma: &mut [u8], row: usize, random: &mut Random) {
        for line in luma.chunks_mut(row) {
            let start = random.next() as usize % (self.noise.len() - row);
            for (pixel, noise) in line.iter_mut().zip(&self.noise[start..]) {
                *pixel = (i16::from(*pixel) + i16::from(*noise)).clamp(0, 255) as u8;
            }
        }
    }
}

impl Layer {
    /// Smooth noise of several sizes laid over each other, the coarse ones stronger, as surfaces in a room have it.
    fn textured(width: usize, height: usize, contrast: f32, base: f32, random: &mut Random) -> Self {
        let mut sum = vec![0f32; width * height];
        let mut weight = 0.5;
        for cell in [96usize, 40, 16, 7, 3] {
            let (columns, rows) = (width / cell + 2, height / cell + 2);
            let grid: Vec<f32> = (0..columns * rows).map(|_| random.unit() * 2.0 - 1.0).collect();
            for (y, line) in sum.chunks_mut(width).enumerate() {
                let (top, fy) = (y / cell, smooth((y % cell) as f32 / cell as f32));
                for (x, value) in line.iter_mut().enumerate() {
                    let (left, fx) = (x / cell, smooth((x % cell) as f32 / cell as f32));
                    let at = top * columns + left;
                    let upper = grid[at] + (grid[at + 1] - grid[at]) * fx;
                    let lower = grid[at + columns] + (grid[at + columns + 1] - grid[at + columns]) * fx;
                    *value += (upper + (lower - upper) * fy) * weight;
                }
            }
            weight *= 0.6;
        }
        let pixels = sum.into_iter().map(|value| (base + value * contrast).clamp(16.0, 235.0) as u8).collect();
        Self { width, height, pixels }
    }

    /// The window with its corner at (`x`, `y`), which need not lie on whole pixels. The layer reaches at least one
    /// pixel beyond the window.
    fn paint_window(&self, target: &mut [u8], row: usize, x: f32, y: f32) {
        let (left, top) = (x as usize, y as usize);
        // Sixteenths of a pixel: the weighted sum of four bytes fits into 16 bits.
        let (fx, fy) = (((x - left as f32) * 16.0) as u16, ((y - top as f32) * 16.0) as u16);
        for (line, target) in target.chunks_mut(row).enumerate() {
            let upper = &self.pixels[(top + line) * self.width + left..][..=row];
            let lower = &self.pixels[(top + line + 1) * self.width + left..][..=row];
            let corners = upper.iter().zip(&upper[1..]).zip(lower.iter().zip(&lower[1..]));
            for (pixel, ((a, b), (c, d))) in target.iter_mut().zip(corners) {
                let above = u16::from(*a) * (16 - fx) + u16::from(*b) * fx;
                let below = u16::from(*c) * (16 - fx) + u16::from(*d) * fx;
                *pixel = ((above * (16 - fy) + below * fy + 128) >> 8) as u8;
            }
        }
    }

    /// The layer as a disc, its corner at (`x`, `y`).
    fn paint_disc(&self, target: &mut [u8], row: usize, rows: usize, x: f32, y: f32) {
        let (left, top) = (x as usize, y as usize);
        let radius = self.width as f32 / 2.0;
        for line in 0..self.height.min(rows.saturating_sub(top)) {
            let dy = line as f32 + 0.5 - radius;
            let half = (radius * radius - dy * dy).max(0.0).sqrt();
            let (from, to) = ((radius - half) as usize, ((radius + half) as usize).min(self.width));
            let to = to.min(row.saturating_sub(left));
            if from < to {
                let source = &self.pixels[line * self.width..][from..to];
                target[(top + line) * row + left + from..][..to - from].copy_from_slice(source);
            }
        }
    }
}

/// Back and forth between 0 and `span`.
fn bounce(distance: f32, span: f32) -> f32 {
    if span <= 1.0 {
        return 0.0;
    }
    let span = span - 1.0;
    let phase = distance.rem_euclid(2.0 * span);
    if phase < span { phase } else { 2.0 * span - phase }
}

fn smooth(t: f32) -> f32 {
    t * t * (3.0 - 2.0 * t)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_media::psnr_y;

    #[test]
    fn every_size_makes_pictures_for_as_long_as_one_likes() {
        for (width, height) in [(2, 2), (3, 5), (161, 121), (640, 17), (17, 640)] {
            let clip = Clip::new(9, width, height);
            for index in [0, 1, 84, 85, 86, 1_000_000] {
                let frame = clip.frame(index);
                assert_eq!((frame.width(), frame.height()), (width, height));
            }
        }
    }

    #[test]
    fn the_picture_moves_and_the_noise_is_as_large_as_asked() {
        let clip = Clip::new(9, 320, 180);
        assert!(psnr_y(&clip.frame(0), &clip.frame(8)).unwrap() < 25.0);
        let still = |noise| Clip::with_content(9, 320, 180, ClipContent { pan: 0.0, noise, ..Default::default() });
        assert_eq!(still(0).frame(0), still(0).frame(1));
        let noisy = still(6);
        let largest =
            noisy.frame(0).to_packed().iter().zip(still(0).frame(0).to_packed()).map(|(a, b)| a.abs_diff(b)).max();
        assert_eq!(largest, Some(6));
        assert_ne!(noisy.frame(0), noisy.frame(1));
    }
}
