use crate::bits::{BadHeader, BitReader};

/// NAL unit types of sequence parameter sets: plain, and the subset of SVC and MVC (ITU-T H.264, table 7-1).
const SPS_TYPES: [u8; 2] = [7, 15];
/// Profiles whose parameter sets begin with the chroma format (section 7.3.2.1.1).
const HIGH_PROFILES: [u32; 13] = [100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135];
/// Far more than the sizes need, scaling lists included.
const MAX_SPS: usize = 1_024;

/// Width and height, in pixels before cropping, that each sequence parameter set of an Annex B stream announces.
pub(super) fn announced_sizes(annex_b: &[u8]) -> impl Iterator<Item = Result<(u32, u32), BadHeader>> {
    nal_units(annex_b)
        .filter(|nal| nal.first().is_some_and(|header| SPS_TYPES.contains(&(header & 0x1f))))
        .map(|nal| size(&unescape(&nal[1..])))
}

/// The NAL units between start codes of three or four bytes.
fn nal_units(annex_b: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = after_start_code(annex_b);
    std::iter::from_fn(move || {
        let nal = rest?;
        rest = after_start_code(nal);
        Some(match rest {
            Some(next) => &nal[..nal.len() - next.len() - 3],
            None => nal,
        })
    })
}

fn after_start_code(data: &[u8]) -> Option<&[u8]> {
    let start = data.windows(3).position(|window| window == [0, 0, 1])?;
    Some(&data[start + 3..])
}

/// Takes out the bytes that keep start codes from appearing inside a NAL unit (section 7.3.1).
fn unescape(nal: &[u8]) -> Vec<u8> {
    let mut zeros = 0;
    let mut payload = Vec::with_capacity(nal.len().min(MAX_SPS));
    for &byte in nal.iter().take(MAX_SPS) {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        payload.push(byte);
    }
    payload
}

/// Section 7.3.2.1.1, up to the cropping.
fn size(sps: &[u8]) -> Result<(u32, u32), BadHeader> {
    let mut reader = BitReader::new(sps);
    let profile = reader.bits(8)?;
    reader.bits(16)?; // constraint flags and level
    reader.unsigned_golomb()?; // seq_parameter_set_id
    if HIGH_PROFILES.contains(&profile) {
        let chroma_format = reader.unsigned_golomb()?;
        if chroma_format == 3 {
            reader.flag()?; // separate_colour_plane_flag
        }
        reader.unsigned_golomb()?; // bit_depth_luma_minus8
        reader.unsigned_golomb()?; // bit_depth_chroma_minus8
        reader.flag()?; // qpprime_y_zero_transform_bypass_flag
        if reader.flag()? {
            for list in 0..if chroma_format == 3 { 12 } else { 8 } {
                if reader.flag()? {
                    skip_scaling_list(&mut reader, if list < 6 { 16 } else { 64 })?;
                }
            }
        }
    }
    reader.unsigned_golomb()?; // log2_max_frame_num_minus4
    match reader.unsigned_golomb()? {
        0 => {
            reader.unsigned_golomb()?; // log2_max_pic_order_cnt_lsb_minus4
        }
        1 => {
            reader.flag()?; // delta_pic_order_always_zero_flag
            reader.signed_golomb()?; // offset_for_non_ref_pic
            reader.signed_golomb()?; // offset_for_top_to_bottom_field
            let cycle = reader.unsigned_golomb()?;
            if cycle > 255 {
                return Err(BadHeader);
            }
            for _ in 0..cycle {
                reader.signed_golomb()?;
            }
        }
        2 => {}
        _ => return Err(BadHeader),
    }
    reader.unsigned_golomb()?; // max_num_ref_frames
    reader.flag()?; // gaps_in_frame_num_value_allowed_flag
    let macroblocks = |count: u32| count.checked_add(1).and_then(|n| n.checked_mul(16)).ok_or(BadHeader);
    let width = macroblocks(reader.unsigned_golomb()?)?;
    let map_height = macroblocks(reader.unsigned_golomb()?)?;
    let frames_only = reader.flag()?;
    let height = if frames_only { map_height } else { map_height.checked_mul(2).ok_or(BadHeader)? };
    if !frames_only {
        reader.flag()?; // mb_adaptive_frame_field_flag
    }
    reader.flag()?; // direct_8x8_inference_flag
    if reader.flag()? {
        check_crop(&mut reader, width)?;
        check_crop(&mut reader, height)?;
    }
    Ok((width, height))
}

/// Reads the cropping of two opposite edges, in chroma samples. OpenH264 adds them in 32 bits and signed, and would
/// point outside the picture if they overflowed.
fn check_crop(reader: &mut BitReader<'_>, side: u32) -> Result<(), BadHeader> {
    let cropped = (u64::from(reader.unsigned_golomb()?) + u64::from(reader.unsigned_golomb()?)) * 2;
    if cropped < u64::from(side) { Ok(()) } else { Err(BadHeader) }
}

/// Section 7.3.2.1.1.1.
fn skip_scaling_list(reader: &mut BitReader<'_>, len: usize) -> Result<(), BadHeader> {
    let (mut last, mut next) = (8i64, 8i64);
    for _ in 0..len {
        if next != 0 {
            next = (last + reader.signed_golomb()?).rem_euclid(256);
        }
        if next != 0 {
            last = next;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use remotemedia_media::VideoFrame;

    use super::*;
    use crate::{VideoEncoder, VideoEncoderSettings, h264::H264Encoder};

    #[test]
    fn the_size_of_a_real_parameter_set_is_read() {
        for (width, height, coded) in [(320, 180, (320, 192)), (64, 64, (64, 64)), (1280, 720, (1280, 720))] {
            let grey = VideoFrame::i420(width, height, vec![99; (width * height * 3 / 2) as usize]).unwrap();
            let mut encoder = H264Encoder::new(&VideoEncoderSettings::default()).unwrap();
            let keyframe = encoder.encode(&grey, Duration::ZERO, false).unwrap().unwrap();
            let sizes: Vec<_> = announced_sizes(&keyframe.data).map(|size| size.ok()).collect();
            assert_eq!(sizes, [Some(coded)]);
        }
    }

    #[test]
    fn cropping_beyond_the_picture_is_an_error() {
        assert_eq!(size(&baseline_64x64(None)).ok(), Some((64, 64)));
        assert_eq!(size(&baseline_64x64(Some([0, 31, 30, 1]))).ok(), Some((64, 64)));
        assert!(size(&baseline_64x64(Some([0, 32, 0, 0]))).is_err());
        assert!(size(&baseline_64x64(Some([0, 0, u32::MAX - 100, 0]))).is_err());
        assert!(size(&baseline_64x64(Some([1 << 31, 1 << 31, 0, 0]))).is_err());
    }

    fn baseline_64x64(crop: Option<[u32; 4]>) -> Vec<u8> {
        let mut bits = format!("{:08b}{:016b}", 66, 0xc00a);
        let golomb = |value: u32| {
            let code = format!("{:b}", u64::from(value) + 1);
            "0".repeat(code.len() - 1) + &code
        };
        // Id, frame numbers, order by decoding, one reference; no gaps; 4 x 4 macroblocks, whole frames, 8x8 inference.
        bits.extend([0, 0, 2, 1].map(golomb));
        bits.push('0');
        bits.extend([3, 3].map(golomb));
        bits.push_str("11");
        bits.push(if crop.is_some() { '1' } else { '0' });
        bits.extend(crop.into_iter().flatten().map(golomb));
        bits.push_str("01");
        bits.as_bytes()
            .chunks(8)
            .map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | (bit - b'0')) << (8 - byte.len()))
            .collect()
    }

    #[test]
    fn a_parameter_set_cut_short_is_an_error() {
        let sizes: Vec<_> = announced_sizes(&[0, 0, 1, 0x67, 0x42, 0xc0]).map(|size| size.ok()).collect();
        assert_eq!(sizes, [None]);
        assert_eq!(announced_sizes(&[0, 0, 1]).count(), 0);
        assert_eq!(announced_sizes(&[]).count(), 0);
    }
}
