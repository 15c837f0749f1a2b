//! As much of the frame headers as it takes to know a picture's size before libvpx allocates for it.

use remotemedia_media::Codec;

use crate::bits::{BadHeader, BitReader};

/// Calls `check` with every size that the frame, or a frame of the superframe, announces.
pub(super) fn announced_sizes(codec: Codec, data: &[u8]) -> Result<Vec<(u32, u32)>, BadHeader> {
    if codec == Codec::Vp8 {
        return Ok(vp8_size(data)?.into_iter().collect());
    }
    vp9_frames(data).into_iter().filter_map(|frame| vp9_size(frame).transpose()).collect()
}

/// RFC 6386, section 9.1. Only a keyframe has a size.
fn vp8_size(data: &[u8]) -> Result<Option<(u32, u32)>, BadHeader> {
    let first = data.first().ok_or(BadHeader)?;
    if first & 1 == 1 {
        return Ok(None);
    }
    let &[0x9d, 0x01, 0x2a, w0, w1, h0, h1] = data.get(3..10).ok_or(BadHeader)? else { return Err(BadHeader) };
    // The upper two bits ask for upscaling after decoding, which nobody does.
    let side = |low, high| u32::from(u16::from_le_bytes([low, high]) & 0x3fff);
    Ok(Some((side(w0, w1), side(h0, h1))))
}

/// The frames of a superframe, or the one frame (VP9 bitstream specification, annex B).
fn vp9_frames(data: &[u8]) -> Vec<&[u8]> {
    let Some(&marker) = data.last() else { return Vec::new() };
    if marker & 0xe0 == 0xc0 {
        let count = usize::from(marker & 7) + 1;
        let bytes = usize::from(marker >> 3 & 3) + 1;
        let index = count * bytes + 2;
        if data.len() >= index && data[data.len() - index] == marker {
            let sizes = &data[data.len() - index + 1..data.len() - 1];
            let mut rest = data;
            return sizes
                .chunks(bytes)
                .map_while(|size| {
                    let size = size.iter().rev().fold(0usize, |sum, byte| sum << 8 | usize::from(*byte));
                    let (frame, tail) = rest.split_at_checked(size)?;
                    rest = tail;
                    Some(frame)
                })
                .collect();
        }
    }
    vec![data]
}

/// VP9 bitstream specification, section 6.2, up to the picture size; `None` if the frame takes over that of another.
fn vp9_size(frame: &[u8]) -> Result<Option<(u32, u32)>, BadHeader> {
    if frame.is_empty() {
        return Ok(None);
    }
    let mut reader = BitReader::new(frame);
    if reader.bits(2)? != 2 {
        return Err(BadHeader);
    }
    let profile = reader.bits(1)? | reader.bits(1)? << 1;
    if profile == 3 && reader.flag()? {
        return Err(BadHeader);
    }
    if reader.flag()? {
        return Ok(None); // show_existing_frame
    }
    let inter = reader.flag()?;
    let shown = reader.flag()?;
    let error_resilient = reader.flag()?;
    if !inter {
        sync_code(&mut reader)?;
        color_config(&mut reader, profile)?;
        return frame_size(&mut reader).map(Some);
    }
    let intra_only = if shown { false } else { reader.flag()? };
    if !error_resilient {
        reader.bits(2)?; // reset_frame_context
    }
    if intra_only {
        sync_code(&mut reader)?;
        if profile > 0 {
            color_config(&mut reader, profile)?;
        }
        reader.bits(8)?; // refresh_frame_flags
        return frame_size(&mut reader).map(Some);
    }
    reader.bits(8)?; // refresh_frame_flags
    reader.bits(12)?; // three references, with sign bias
    for _ in 0..3 {
        if reader.flag()? {
            return Ok(None); // the size of this reference
        }
    }
    frame_size(&mut reader).map(Some)
}

fn sync_code(reader: &mut BitReader<'_>) -> Result<(), BadHeader> {
    if reader.bits(24)? == 0x49_8342 { Ok(()) } else { Err(BadHeader) }
}

fn color_config(reader: &mut BitReader<'_>, profile: u32) -> Result<(), BadHeader> {
    const RGB: u32 = 7;
    if profile >= 2 {
        reader.flag()?; // ten_or_twelve_bit
    }
    if reader.bits(3)? == RGB {
        if profile & 1 == 1 {
            reader.flag()?; // reserved
        }
    } else {
        reader.flag()?; // color_range
        if profile & 1 == 1 {
            reader.bits(3)?; // subsampling, reserved
        }
    }
    Ok(())
}

fn frame_size(reader: &mut BitReader<'_>) -> Result<(u32, u32), BadHeader> {
    Ok((reader.bits(16)? + 1, reader.bits(16)? + 1))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use remotemedia_media::VideoFrame;

    use super::*;
    use crate::{VideoEncoder, VideoEncoderSettings, vpx::VpxEncoder};

    #[test]
    fn the_size_of_a_real_keyframe_is_read_and_deltas_have_none() {
        for codec in [Codec::Vp8, Codec::Vp9] {
            for (width, height) in [(320u32, 180u32), (33, 17), (1280, 720)] {
                let pixels = (width * height + 2 * width.div_ceil(2) * height.div_ceil(2)) as usize;
                let grey = VideoFrame::i420(width, height, vec![99; pixels]).unwrap();
                let mut encoder = VpxEncoder::new(codec, &VideoEncoderSettings::default()).unwrap();
                let keyframe = encoder.encode(&grey, Duration::ZERO, false).unwrap().unwrap();
                assert_eq!(announced_sizes(codec, &keyframe.data).unwrap(), [(width, height)], "{codec}");
                let delta = encoder.encode(&grey, Duration::from_millis(33), false).unwrap().unwrap();
                assert_eq!(announced_sizes(codec, &delta.data).unwrap(), [], "{codec}");
            }
        }
    }

    #[test]
    fn a_superframe_is_looked_through() {
        // A keyframe header of 65,536 x 65,536 as the second of two frames.
        let mut large = vec![0b1000_0010, 0x49, 0x83, 0x42];
        large.extend([0x0f, 0xff, 0xff, 0xff, 0xf0]);
        let small = [0b1000_1000];
        let marker = 0xc0 | 1;
        let superframe = [&small[..], &large, &[marker, small.len() as u8, large.len() as u8, marker]].concat();
        assert_eq!(announced_sizes(Codec::Vp9, &superframe).unwrap(), [(65_536, 65_536)]);
    }

    #[test]
    fn headers_cut_short_are_errors() {
        assert!(announced_sizes(Codec::Vp8, &[]).is_err());
        assert!(announced_sizes(Codec::Vp8, &[0, 0, 0, 0x9d, 1]).is_err());
        assert!(announced_sizes(Codec::Vp9, &[0b1000_0010, 0x49]).is_err());
        assert!(announced_sizes(Codec::Vp9, &[0xff]).is_err());
        assert_eq!(announced_sizes(Codec::Vp9, &[]).unwrap(), []);
    }
}
