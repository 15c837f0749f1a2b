//! Raw pictures in Y4M.

use std::{fs::File, time::Duration};

use remotemedia_codecs::{scale_to_fit, to_i420};
use remotemedia_media::{PixelFormat, VideoFrame};
use y4m::{Colorspace, Encoder, Frame, Ratio};

use super::{error::SinkError, sink::Sink, timeline::LONGEST_GAP};

/// A Y4M file. It has one rate and one size: a picture stands until the next is due, and one of another size than the
/// first is scaled down to fit, with black around it. A picture stands for ten seconds at most, since it is written again
/// and again: what is missing for longer is left out.
pub(super) struct Y4mSink {
    file: Option<File>,
    framerate: f64,
    /// Not buffered: each write is a plane of a picture.
    encoder: Option<Encoder<File>>,
    size: (u32, u32),
    last: Vec<u8>,
    written: u64,
    /// Pictures that were left out of gaps.
    left_out: u64,
}

impl Y4mSink {
    pub(super) fn new(file: File, framerate: f64) -> Self {
        Self { file: Some(file), framerate, encoder: None, size: (0, 0), last: Vec::new(), written: 0, left_out: 0 }
    }

    fn put(&mut self) -> Result<(), SinkError> {
        let Some(encoder) = &mut self.encoder else { return Ok(()) };
        let plane = |index| PixelFormat::I420.plane_size(index, self.size.0, self.size.1).unwrap_or_default();
        let ((width, height), (half_width, half_height)) = (plane(0), plane(1));
        let (y, chroma) = self.last.split_at(width * height);
        let (u, v) = chroma.split_at(half_width * half_height);
        encoder.write_frame(&Frame::new([y, u, v], None))?;
        self.written += 1;
        Ok(())
    }
}

impl Sink for Y4mSink {
    fn video(&mut self, frame: &VideoFrame, at: Duration) -> Result<(), SinkError> {
        if let Some(file) = self.file.take() {
            self.size = (frame.width(), frame.height());
            // Thousandths say every rate that the param can.
            let rate = Ratio::new((self.framerate * 1_000.0).round() as usize, 1_000);
            let encoder = y4m::encode(frame.width() as usize, frame.height() as usize, rate);
            self.encoder = Some(encoder.with_colorspace(Colorspace::C420jpeg).write_header(file)?);
        }
        let longest = (LONGEST_GAP.as_secs_f64() * self.framerate) as u64;
        let place = ((at.as_secs_f64() * self.framerate).round() as u64).saturating_sub(self.left_out);
        let due = place.min(self.written + longest);
        self.left_out += place - due;
        if due < self.written {
            return Ok(());
        }
        let picture = fitted(frame, self.size)?;
        if self.last.is_empty() {
            // Before the first picture there is nothing better to show than itself.
            self.last.clone_from(&picture);
        }
        while self.written < due {
            self.put()?;
        }
        self.last = picture;
        self.put()
    }

    fn bytes(&self) -> u64 {
        self.written * (self.last.len() as u64 + 6) + 64
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.encoder = None;
        Ok(())
    }
}

/// The picture as packed I420 of that size.
fn fitted(frame: &VideoFrame, (width, height): (u32, u32)) -> Result<Vec<u8>, SinkError> {
    let scaled = to_i420(&scale_to_fit(frame, width, height)?)?;
    if (scaled.width(), scaled.height()) == (width, height) {
        return Ok(scaled.to_packed());
    }
    let mut packed = Vec::with_capacity(PixelFormat::I420.packed_len(width, height));
    for plane in 0..3 {
        let (across, down) = PixelFormat::I420.plane_size(plane, width, height).unwrap_or_default();
        let black = if plane == 0 { 0 } else { 128 };
        let start = packed.len();
        packed.resize(start + across * down, black);
        let rows: Vec<&[u8]> = scaled.rows(plane).collect();
        let top = (down - rows.len().min(down)) / 2;
        for (target, row) in packed[start..].chunks_exact_mut(across.max(1)).skip(top).zip(rows) {
            let left = (across - row.len().min(across)) / 2;
            let length = row.len().min(across);
            target[left..left + length].copy_from_slice(&row[..length]);
        }
    }
    Ok(packed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_smaller_picture_stands_in_the_middle_on_black() {
        let frame = VideoFrame::i420(2, 2, vec![200, 200, 200, 200, 90, 60]).unwrap();
        let packed = fitted(&frame, (6, 4)).unwrap();
        assert_eq!(packed[..6], [0; 6]);
        assert_eq!(packed[6..12], [0, 0, 200, 200, 0, 0]);
        assert_eq!(packed[24..30], [128, 90, 128, 128, 128, 128]);
    }
}
