//! Every video codec through its traits: quality, keyframes, live rates and sizes, loss and damage.
#![cfg(any(feature = "h264", feature = "vpx"))]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use remotemedia_codecs::{
    CodecError, EncodedVideo, VideoContent, VideoDecoder, VideoDecoderSettings, VideoEffort, VideoEncoder,
    VideoEncoderSettings,
    test_media::{Clip, draw_number, psnr_y, read_number},
    to_i420, video_decoder, video_encoder,
};
use remotemedia_media::{Bitrate, Codec, EncodedFrame, PixelFormat, Plane, RtpTimestamp, VideoFrame};

const SEED: u64 = 5;
const FRAME: Duration = Duration::from_nanos(33_333_333);

fn codecs() -> impl Iterator<Item = Codec> {
    let h264 = cfg!(feature = "h264").then_some(Codec::H264);
    let vpx = cfg!(feature = "vpx").then_some([Codec::Vp8, Codec::Vp9]);
    h264.into_iter().chain(vpx.into_iter().flatten())
}

fn encoder(codec: Codec, kbps: u32) -> Box<dyn VideoEncoder> {
    let settings = VideoEncoderSettings { bitrate: Bitrate::from_kbps(kbps), ..Default::default() };
    video_encoder(codec, &settings).unwrap()
}

fn decoder(codec: Codec) -> Box<dyn VideoDecoder> {
    video_decoder(codec, &VideoDecoderSettings::default()).unwrap()
}

fn frame(codec: Codec, encoded: &EncodedVideo, contiguous: bool) -> EncodedFrame {
    EncodedFrame {
        codec,
        data: encoded.data.clone(),
        keyframe: encoded.keyframe,
        contiguous,
        timestamp: RtpTimestamp(0),
        first_sequence: 0,
        last_sequence: 0,
        arrival: Instant::now(),
    }
}

/// Encodes pictures `range` of the clip, and answers those that rate control let through with their index.
fn encode(encoder: &mut dyn VideoEncoder, clip: &Clip, range: std::ops::Range<u64>) -> Vec<(u64, EncodedVideo)> {
    range
        .filter_map(|index| {
            let encoded = encoder.encode(&clip.frame(index), FRAME * index as u32, false).unwrap();
            encoded.map(|encoded| (index, encoded))
        })
        .collect()
}

#[test]
fn moving_pictures_arrive_well() {
    for codec in codecs() {
        let clip = Clip::new(SEED, 640, 360);
        let (mut encoder, mut decoder) = (encoder(codec, 1_500), decoder(codec));
        let mut ratios = Vec::new();
        for index in 0..60u64 {
            let original = draw_number(&clip.frame(index), index as u16).unwrap();
            let Some(encoded) = encoder.encode(&original, FRAME * index as u32, false).unwrap() else { continue };
            assert_eq!(encoded.keyframe, index == 0, "{codec} picture {index}");
            assert_eq!((encoded.width, encoded.height), (640, 360));
            let shown = decoder.decode(&frame(codec, &encoded, true)).unwrap().expect("a picture for each frame");
            assert_eq!(shown.format(), PixelFormat::I420);
            assert_eq!(read_number(&shown).unwrap(), Some(index as u16), "{codec}");
            ratios.push(psnr_y(&original, &shown).unwrap());
        }
        let mean = ratios.iter().sum::<f64>() / ratios.len() as f64;
        let worst = ratios.iter().copied().fold(f64::MAX, f64::min);
        assert!(ratios.len() >= 55, "{codec}: {} of 60 pictures", ratios.len());
        assert!(mean >= 34.0 && worst >= 28.0, "{codec}: {mean:.1} dB, worst {worst:.1} dB");
    }
}

#[test]
fn odd_sizes_and_every_pixel_format_arrive() {
    for codec in codecs() {
        for (width, height) in [(161, 121), (65, 33), (16, 16), (17, 200), (322, 18)] {
            let i420 = Clip::new(SEED, width, height).frame(0);
            for format in
                [PixelFormat::I420, PixelFormat::Nv12, PixelFormat::Rgb24, PixelFormat::Rgba, PixelFormat::Bgra]
            {
                let picture = convert(&i420, format);
                let expected = to_i420(&picture).unwrap();
                let encoded = encoder(codec, 4_000).encode(&picture, Duration::ZERO, false).unwrap().unwrap();
                let cut = |side: u32| if codec == Codec::H264 { side & !1 } else { side };
                assert_eq!((encoded.width, encoded.height), (cut(width), cut(height)), "{codec}");
                let shown = decoder(codec).decode(&frame(codec, &encoded, true)).unwrap().unwrap();
                assert_eq!((shown.width(), shown.height()), (cut(width), cut(height)), "{codec}");
                let ratio = psnr_y(&expected, &shown).unwrap();
                assert!(ratio > 26.0, "{codec} {format:?} {width}x{height}: {ratio:.1} dB");
            }
        }
    }
}

/// A picture of that format with padded rows, the last one without padding. Colours are grey.
fn convert(i420: &VideoFrame, format: PixelFormat) -> VideoFrame {
    let rows: Vec<Vec<Vec<u8>>> = match format {
        PixelFormat::I420 => (0..3).map(|p| i420.rows(p).map(<[u8]>::to_vec).collect()).collect(),
        PixelFormat::Nv12 => {
            let chroma = i420.rows(1).zip(i420.rows(2));
            let chroma = chroma.map(|(u, v)| u.iter().zip(v).flat_map(|(u, v)| [*u, *v]).collect()).collect();
            vec![i420.rows(0).map(<[u8]>::to_vec).collect(), chroma]
        }
        _ => {
            let bytes = if format == PixelFormat::Rgb24 { 3 } else { 4 };
            vec![
                i420.rows(0)
                    .map(|row| row.iter().flat_map(|y| [*y, *y, *y, 255].into_iter().take(bytes)).collect())
                    .collect(),
            ]
        }
    };
    let planes = rows
        .into_iter()
        .map(|rows| {
            let stride = rows[0].len() + 13;
            let len = stride * (rows.len() - 1) + rows[0].len();
            let mut data: Vec<u8> = rows
                .into_iter()
                .flat_map(|mut row| {
                    row.resize(stride, 0xee);
                    row
                })
                .collect();
            data.truncate(len);
            Plane { data: Bytes::from(data), stride }
        })
        .collect();
    VideoFrame::from_planes(format, i420.width(), i420.height(), planes).unwrap()
}

#[test]
fn a_keyframe_comes_when_it_is_asked_for_and_only_then() {
    for codec in codecs() {
        let clip = Clip::new(SEED, 320, 180);
        let mut encoder = encoder(codec, 800);
        let mut late = decoder(codec);
        let mut keyframes = Vec::new();
        for index in 0..90u32 {
            let force = index == 40 || index == 41;
            if let Some(encoded) = encoder.encode(&clip.frame(index.into()), FRAME * index, force).unwrap() {
                if encoded.keyframe {
                    keyframes.push(index);
                }
                if index >= 40 && keyframes.len() >= 2 {
                    assert!(late.decode(&frame(codec, &encoded, true)).unwrap().is_some(), "{codec}: picture {index}");
                }
            }
        }
        assert_eq!(keyframes[0], 0, "{codec}");
        assert_eq!(keyframes.len(), 3, "{codec}: {keyframes:?}");
        assert!((40..44).contains(&keyframes[1]), "{codec}: {keyframes:?}");
    }
}

#[test]
fn the_bitrate_is_followed_up_and_down() {
    for codec in codecs() {
        let clip = Clip::new(SEED, 640, 360);
        let mut encoder = encoder(codec, 800);
        let mut index = 0;
        for target in [800, 300, 1_600, 500] {
            encoder.set_bitrate(Bitrate::from_kbps(target)).unwrap();
            // One second to settle, two to measure.
            encode(encoder.as_mut(), &clip, index..index + 30);
            let sent = encode(encoder.as_mut(), &clip, index + 30..index + 90);
            index += 90;
            let rate = sent.iter().map(|(_, e)| e.data.len()).sum::<usize>() as f64 * 8.0 / 2.0 / 1_000.0;
            let wanted = f64::from(target);
            assert!((wanted * 0.7..wanted * 1.25).contains(&rate), "{codec}: {rate:.0} kbit/s for {target}");
            assert!(sent.iter().all(|(_, e)| !e.keyframe), "{codec}: no keyframe is needed for a bitrate");
        }
    }
}

#[test]
fn the_frame_rate_shares_out_the_bitrate() {
    for codec in codecs() {
        let clip = Clip::new(SEED, 320, 180);
        let mut encoder = encoder(codec, 400);
        encode(encoder.as_mut(), &clip, 0..60);
        encoder.set_framerate(10.0).unwrap();
        let mut time = FRAME * 60;
        let mut bytes = 0;
        for index in 60..120 {
            if let Some(encoded) = encoder.encode(&clip.frame(index), time, false).unwrap()
                && index >= 80
            {
                bytes += encoded.data.len();
            }
            time += Duration::from_millis(100);
        }
        let rate = bytes as f64 * 8.0 / 4.0 / 1_000.0;
        assert!((240.0..520.0).contains(&rate), "{codec}: {rate:.0} kbit/s for 400 at 10 pictures a second");
    }
}

#[test]
fn the_size_changes_live_in_both_directions() {
    for codec in codecs() {
        let (mut encoder, mut decoder) = (encoder(codec, 1_000), decoder(codec));
        let mut time = Duration::ZERO;
        for (width, height) in [(320, 180), (640, 360), (321, 181), (162, 90), (640, 360)] {
            let clip = Clip::new(SEED, width, height);
            let mut shown = 0;
            for index in 0..12 {
                time += FRAME;
                let Some(encoded) = encoder.encode(&clip.frame(index), time, false).unwrap() else { continue };
                assert_eq!(encoded.keyframe, index == 0, "{codec} {width}x{height}, picture {index}");
                let picture = decoder.decode(&frame(codec, &encoded, true)).unwrap().unwrap();
                let ratio = psnr_y(&clip.frame(index), &picture).unwrap();
                assert!(ratio > 27.0, "{codec} {width}x{height}: {ratio:.1} dB");
                shown += 1;
            }
            assert!(shown >= 8, "{codec} {width}x{height}: {shown} of 12");
        }
    }
}

#[test]
fn a_bitrate_set_before_a_resize_still_holds_after_it() {
    for codec in codecs() {
        let mut encoder = encoder(codec, 2_000);
        encode(encoder.as_mut(), &Clip::new(SEED, 640, 360), 0..10);
        encoder.set_bitrate(Bitrate::from_kbps(300)).unwrap();
        let small = Clip::new(SEED, 480, 270);
        encode(encoder.as_mut(), &small, 10..40);
        let sent = encode(encoder.as_mut(), &small, 40..100);
        let rate = sent.iter().map(|(_, e)| e.data.len()).sum::<usize>() as f64 * 8.0 / 2.0 / 1_000.0;
        assert!(rate < 400.0, "{codec}: {rate:.0} kbit/s for 300");
    }
}

#[test]
fn after_a_loss_nothing_wrong_is_shown_before_the_next_keyframe() {
    for codec in codecs() {
        let clip = Clip::new(SEED, 320, 180);
        let (mut encoder, mut decoder) = (encoder(codec, 800), decoder(codec));
        let mut lost = false;
        let mut errors = 0;
        for index in 0..40u32 {
            let original = clip.frame(index.into());
            let Some(encoded) = encoder.encode(&original, FRAME * index, index == 25).unwrap() else { continue };
            if index == 12 {
                lost = true;
                continue;
            }
            let contiguous = !std::mem::take(&mut lost);
            match decoder.decode(&frame(codec, &encoded, contiguous)) {
                Ok(Some(shown)) => {
                    assert!(!(13..25).contains(&index), "{codec}: picture {index} was shown");
                    assert!(psnr_y(&original, &shown).unwrap() > 27.0, "{codec}: picture {index}");
                }
                Ok(None) => panic!("{codec}: picture {index} was swallowed in silence"),
                Err(_) => {
                    assert!((13..26).contains(&index), "{codec}: picture {index} was refused");
                    errors += 1;
                }
            }
        }
        assert!(errors >= 10, "{codec}: {errors}");
    }
}

#[test]
fn a_decoder_that_joins_late_asks_for_a_keyframe() {
    for codec in codecs() {
        let sent = encode(encoder(codec, 800).as_mut(), &Clip::new(SEED, 320, 180), 0..5);
        let mut decoder = decoder(codec);
        for (_, encoded) in &sent[1..] {
            assert!(decoder.decode(&frame(codec, encoded, true)).is_err(), "{codec}");
        }
        assert!(decoder.decode(&frame(codec, &sent[0].1, true)).unwrap().is_some(), "{codec}");
    }
}

#[test]
fn pictures_over_the_limit_are_refused_before_anything_is_allocated() {
    for codec in codecs() {
        let settings = VideoDecoderSettings { max_pixels: 320 * 192, ..Default::default() };
        let mut decoder = video_decoder(codec, &settings).unwrap();
        let mut encoder = encoder(codec, 800);
        let fits = encoder.encode(&Clip::new(SEED, 320, 180).frame(0), Duration::ZERO, false).unwrap().unwrap();
        assert!(decoder.decode(&frame(codec, &fits, true)).unwrap().is_some(), "{codec}");
        let large = encoder.encode(&Clip::new(SEED, 352, 288).frame(0), FRAME, false).unwrap().unwrap();
        let refused = decoder.decode(&frame(codec, &large, true));
        assert!(matches!(refused, Err(CodecError::PictureTooLarge { width: 352, height: 288, .. })), "{refused:?}");
    }
}

#[test]
fn a_frame_of_another_codec_is_refused() {
    for codec in codecs() {
        let encoded = encoder(codec, 800).encode(&Clip::new(SEED, 64, 64).frame(0), Duration::ZERO, false);
        let encoded = encoded.unwrap().unwrap();
        let other = if codec == Codec::Vp8 { Codec::Vp9 } else { Codec::Vp8 };
        let refused = decoder(codec).decode(&frame(other, &encoded, true));
        assert!(matches!(refused, Err(CodecError::CodecMismatch { .. })), "{refused:?}");
    }
}

#[test]
fn timestamps_that_stand_still_or_go_back_do_no_harm() {
    for codec in codecs() {
        let clip = Clip::new(SEED, 320, 180);
        let (mut encoder, mut decoder) = (encoder(codec, 800), decoder(codec));
        let far = Duration::from_secs(1 << 32);
        for (index, time) in [far, far, FRAME, Duration::ZERO, far, far + FRAME].into_iter().enumerate() {
            if let Some(encoded) = encoder.encode(&clip.frame(index as u64), time, false).unwrap() {
                assert!(decoder.decode(&frame(codec, &encoded, true)).unwrap().is_some(), "{codec}");
            }
        }
    }
}

#[test]
fn pictures_too_small_to_encode_are_refused() {
    for codec in codecs() {
        let refused = encoder(codec, 800).encode(&Clip::new(SEED, 15, 64).frame(0), Duration::ZERO, false);
        assert!(matches!(refused, Err(CodecError::PictureSize { width: 15, .. })), "{codec}: {refused:?}");
    }
}

#[test]
fn settings_out_of_range_are_named() {
    for codec in codecs() {
        let named = |settings: VideoEncoderSettings| match video_encoder(codec, &settings) {
            Err(CodecError::InvalidSetting { field, .. }) => field,
            Err(error) => panic!("{error}"),
            Ok(_) => "accepted",
        };
        let base = VideoEncoderSettings::default;
        assert_eq!(named(VideoEncoderSettings { bitrate: Bitrate::from_kbps(29), ..base() }), "bitrate");
        assert_eq!(named(VideoEncoderSettings { framerate: 0.5, ..base() }), "framerate");
        assert_eq!(named(VideoEncoderSettings { framerate: f64::NAN, ..base() }), "framerate");
        assert_eq!(named(VideoEncoderSettings { threads: 0, ..base() }), "threads");
        assert_eq!(named(VideoEncoderSettings { max_slice_len: Some(499), ..base() }), "max_slice_len");
        let mut encoder = encoder(codec, 800);
        assert!(encoder.set_bitrate(Bitrate::from_kbps(100_001)).is_err());
        assert!(encoder.set_framerate(61.0).is_err());
        for settings in [
            VideoDecoderSettings { max_pixels: 255, ..Default::default() },
            VideoDecoderSettings { threads: 17, ..Default::default() },
        ] {
            assert!(matches!(video_decoder(codec, &settings), Err(CodecError::InvalidSetting { .. })));
        }
    }
}

#[test]
fn effort_content_and_threads_change_what_is_sent() {
    for codec in codecs() {
        let clip = Clip::new(SEED, 640, 360);
        let sent = |settings: VideoEncoderSettings| -> Vec<Bytes> {
            let mut encoder = video_encoder(codec, &settings).unwrap();
            encode(encoder.as_mut(), &clip, 0..8).into_iter().map(|(_, e)| e.data).collect()
        };
        let base = sent(VideoEncoderSettings::default());
        assert_eq!(base, sent(VideoEncoderSettings::default()), "{codec}: the same input gives the same output");
        let high = sent(VideoEncoderSettings { effort: VideoEffort::High, ..Default::default() });
        assert_ne!(base, high, "{codec}: effort");
        let screen = sent(VideoEncoderSettings { content: VideoContent::Screen, ..Default::default() });
        assert_ne!(base, screen, "{codec}: content");
        let mut decoder = video_decoder(codec, &VideoDecoderSettings { threads: 2, ..Default::default() }).unwrap();
        let settings = VideoEncoderSettings { threads: 2, ..Default::default() };
        let mut encoder = video_encoder(codec, &settings).unwrap();
        for (_, encoded) in encode(encoder.as_mut(), &clip, 0..8) {
            assert!(decoder.decode(&frame(codec, &encoded, true)).unwrap().is_some(), "{codec}: two threads");
        }
    }
}

#[cfg(feature = "h264")]
#[test]
fn h264_slices_keep_to_the_length_that_was_asked_for() {
    let settings = VideoEncoderSettings { max_slice_len: Some(1_100), ..Default::default() };
    let mut encoder = video_encoder(Codec::H264, &settings).unwrap();
    let mut decoder = decoder(Codec::H264);
    let clip = Clip::new(SEED, 640, 360);
    for index in 0..10 {
        let Some(encoded) = encoder.encode(&clip.frame(index), FRAME * index as u32, false).unwrap() else { continue };
        let starts: Vec<usize> =
            encoded.data.windows(3).enumerate().filter(|(_, w)| *w == [0, 0, 1]).map(|(at, _)| at).collect();
        assert!(index > 0 || starts.len() > 5, "{} NAL units in the keyframe", starts.len());
        for pair in starts.windows(2) {
            assert!(pair[1] - pair[0] <= 1_100, "a NAL unit of {} bytes", pair[1] - pair[0]);
        }
        let shown = decoder.decode(&frame(Codec::H264, &encoded, true)).unwrap().unwrap();
        assert!(psnr_y(&clip.frame(index), &shown).unwrap() > 27.0);
    }
}

#[cfg(feature = "h264")]
#[test]
fn h264_is_constrained_baseline() {
    let encoded = encoder(Codec::H264, 800).encode(&Clip::new(SEED, 320, 180).frame(0), Duration::ZERO, false);
    let data = encoded.unwrap().unwrap().data;
    let sps = data.windows(5).find(|w| w[..3] == [0, 0, 1] && w[3] & 0x1f == 7).unwrap();
    assert_eq!(sps[4], 66, "profile_idc of baseline");
    let at = data.windows(5).position(|w| w == sps).unwrap();
    assert_eq!(data[at + 5] & 0x40, 0x40, "constraint_set1_flag");
}
