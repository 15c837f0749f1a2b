use bytes::Bytes;
use remotemedia_media::{PixelFormat, Plane, VideoFrame};

use crate::{CodecError, to_i420};

/// Cells of the code: 16 bits of the number, 8 bits of check sum.
const COLUMNS: usize = 8;
const ROWS: usize = 3;
/// The code covers this part of the picture's width and height.
const PART: usize = 4;
const DARK: u8 = 40;
const BRIGHT: u8 = 215;

/// Draws `number` into the upper left quarter of the picture, as dark and bright cells that survive compression and
/// scaling. Answers the picture as I420.
///
/// ```
/// # use remotemedia_codecs::test_media::{Clip, draw_number, read_number};
/// let frame = draw_number(&Clip::new(1, 320, 180).frame(0), 4711)?;
/// assert_eq!(read_number(&frame)?, Some(4711));
/// # Ok::<(), remotemedia_codecs::CodecError>(())
/// ```
///
/// # Errors
///
/// As [`to_i420`].
pub fn draw_number(frame: &VideoFrame, number: u16) -> Result<VideoFrame, CodecError> {
    let i420 = to_i420(frame)?;
    let (width, height) = (i420.width() as usize, i420.height() as usize);
    let mut luma: Vec<u8> = i420.rows(0).flatten().copied().collect();
    let code = u32::from(number) << 8 | u32::from(check_sum(number));
    for (cell, x, y) in cells(width, height) {
        let value = if code >> cell & 1 == 1 { BRIGHT } else { DARK };
        for row in y.clone() {
            luma[row * width..][x.clone()].fill(value);
        }
    }
    let mut planes = i420.planes().to_vec();
    planes[0] = Plane { data: Bytes::from(luma), stride: width };
    let mut drawn = VideoFrame::from_planes(PixelFormat::I420, i420.width(), i420.height(), planes)
        .map_err(|error| CodecError::Conversion(Box::new(error)))?;
    drawn.timestamp = i420.timestamp;
    drawn.stream_id = i420.stream_id;
    drawn.capture_time = i420.capture_time;
    drawn.source = i420.source;
    Ok(drawn)
}

/// Reads the number that [`draw_number`] put there, whatever the picture was scaled to since; `None` if there is none
/// or its check sum is wrong.
///
/// # Errors
///
/// As [`to_i420`].
pub fn read_number(frame: &VideoFrame) -> Result<Option<u16>, CodecError> {
    let i420 = to_i420(frame)?;
    let rows: Vec<&[u8]> = i420.rows(0).collect();
    let mut code = 0u32;
    for (cell, x, y) in cells(i420.width() as usize, i420.height() as usize) {
        // The middle of a cell, away from its blurred edges.
        let (margin_x, margin_y) = (x.len() / 4, y.len() / 4);
        let mut sum = 0u32;
        let mut count = 0u32;
        for row in &rows[y.start + margin_y..y.end - margin_y] {
            let middle = &row[x.start + margin_x..x.end - margin_x];
            sum += middle.iter().copied().map(u32::from).sum::<u32>();
            count += middle.len() as u32;
        }
        let Some(mean) = sum.checked_div(count) else { return Ok(None) };
        match mean {
            0..=95 => {}
            160.. => code |= 1 << cell,
            _ => return Ok(None),
        }
    }
    let number = (code >> 8) as u16;
    Ok((check_sum(number) == code as u8).then_some(number))
}

/// Each cell with its columns and rows of pixels.
fn cells(width: usize, height: usize) -> impl Iterator<Item = (usize, std::ops::Range<usize>, std::ops::Range<usize>)> {
    (0..COLUMNS * ROWS).map(move |cell| {
        let (column, row) = (cell % COLUMNS, cell / COLUMNS);
        let x = column * width / (PART * COLUMNS)..(column + 1) * width / (PART * COLUMNS);
        let y = row * height / (PART * ROWS)..(row + 1) * height / (PART * ROWS);
        (cell, x, y)
    })
}

/// CRC-8, polynomial 0x07, from all ones, so that a black picture carries no number.
fn check_sum(number: u16) -> u8 {
    number.to_be_bytes().iter().fold(0xff, |crc, byte| {
        (0..8).fold(crc ^ byte, |crc: u8, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{scale_to_fit, test_media::Clip};

    #[test]
    fn numbers_survive_scaling() {
        let clip = Clip::new(3, 1280, 720);
        for number in [0, 1, 0x5555, 0xaaaa, 0xffff] {
            let drawn = draw_number(&clip.frame(0), number).unwrap();
            for (width, height) in [(1280, 720), (640, 360), (321, 200), (160, 90)] {
                let scaled = scale_to_fit(&drawn, width, height).unwrap();
                assert_eq!(read_number(&scaled).unwrap(), Some(number), "{width}x{height}");
            }
        }
    }

    #[test]
    fn pictures_without_a_number_have_none() {
        assert_eq!(read_number(&Clip::new(3, 320, 180).frame(0)).unwrap(), None);
        for luma in [0, 255] {
            let flat = VideoFrame::i420(64, 64, vec![luma; 64 * 64 * 3 / 2]).unwrap();
            assert_eq!(read_number(&flat).unwrap(), None);
        }
        let tiny = VideoFrame::i420(2, 2, vec![0; 6]).unwrap();
        assert_eq!(read_number(&tiny).unwrap(), None);
    }
}
