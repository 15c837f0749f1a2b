//! The picture that is shown without a camera.

use anyhow::Result;
use remotemedia_webrtc::VideoFrame;

/// Red, green, blue and yellow: top left, top right, bottom left, bottom right, in BT.601 limited range as (Y, Cb, Cr).
const QUARTERS: [(u8, u8, u8); 4] = [(81, 98, 218), (116, 88, 65), (76, 205, 110), (195, 43, 143)];

/// A four-colour test card with a square that goes from left to right, so that it can be seen to move.
pub(super) struct TestCard {
    width: u32,
    height: u32,
}

impl TestCard {
    /// Even sides of at least 16 pixels.
    pub(super) fn new(width: u32, height: u32) -> Self {
        Self { width, height }
    }

    /// Picture number `number` of 30 a second; the square crosses the picture in four seconds.
    pub(super) fn picture(&self, number: u64) -> Result<VideoFrame> {
        let (width, height) = (self.width as usize, self.height as usize);
        let side = (height / 8).max(2) & !1;
        let left = ((width - side) * (number % 120) as usize / 120) & !1;
        let top = ((height - side) / 2) & !1;
        let mut packed = Vec::with_capacity(width * height * 3 / 2);
        for plane in 0..3 {
            let scale = if plane == 0 { 1 } else { 2 };
            for row in 0..height / scale {
                for column in 0..width / scale {
                    let (x, y) = (column * scale, row * scale);
                    let inside = (left..left + side).contains(&x) && (top..top + side).contains(&y);
                    let quarter = usize::from(y >= height / 2) * 2 + usize::from(x >= width / 2);
                    let (luma, blue, red) = if inside { (235, 128, 128) } else { QUARTERS[quarter] };
                    packed.push([luma, blue, red][plane]);
                }
            }
        }
        Ok(VideoFrame::i420(self.width, self.height, packed)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quarters_have_their_colours_and_the_square_moves() {
        let card = TestCard::new(64, 48);
        let (first, later) = (card.picture(0).unwrap(), card.picture(60).unwrap());
        let luma = |frame: &VideoFrame, x: usize, y: usize| frame.rows(0).nth(y).unwrap()[x];
        assert_eq!([(10, 5), (50, 5), (10, 40), (50, 40)].map(|(x, y)| luma(&first, x, y)), [81, 116, 76, 195]);
        assert_eq!((luma(&first, 2, 24), luma(&later, 30, 24)), (235, 235));
        assert_ne!(luma(&later, 2, 24), 235);
    }
}
