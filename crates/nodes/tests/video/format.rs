//! `VideoFormat`.

use remotemedia_media::PixelFormat;

use crate::{
    common::refusal,
    support::{FORMATS, in_format, name, only, painted, psnr, waves},
};

#[tokio::test]
async fn every_round_trip_gives_the_picture_back() {
    for (width, height) in [(640, 360), (321, 181)] {
        for from in FORMATS {
            let original = in_format(waves(width, height), from).await;
            for to in FORMATS {
                let there = in_format(original.clone(), to).await;
                assert_eq!((there.format(), there.width(), there.height()), (to, width, height));
                let quality = psnr(&in_format(there, from).await, &original);
                println!("{} by {}, {width}x{height}: {quality:.1} dB", name(from), name(to));
                assert!(quality >= 35.0, "{from:?} by {to:?}: {quality}");
            }
        }
    }
}

#[tokio::test]
async fn matrix_and_range_say_what_the_values_mean() {
    // A saturated green; Y, Cb and Cr out of the definitions of ITU-R BT.601, BT.709 and BT.2020.
    for (params, expected) in [
        ("", [145, 54, 34]),
        ("matrix: bt709", [173, 42, 26]),
        ("matrix: bt2020", [164, 47, 25]),
        ("range: full", [150, 44, 21]),
    ] {
        let params = format!("format: i420, {params}");
        let manifest = format!("pipeline: {{ nodes: [{{ id: f, type: VideoFormat, params: {{ {params} }} }}] }}");
        let picture = only(&manifest, painted(16, 16, |_, _| [0.0, 255.0, 0.0])).await;
        for (plane, expected) in expected.into_iter().enumerate() {
            let value = picture.rows(plane).next().unwrap()[0];
            assert!(u8::abs_diff(value, expected) <= 2, "{params}, plane {plane}: {value} for {expected}");
        }
        // The same params take it back.
        let back = manifest.replace("format: i420", "format: rgb24");
        let rgb = only(&back, picture).await.rows(0).next().unwrap()[..3].to_vec();
        assert!(rgb[0] < 6 && rgb[1] > 249 && rgb[2] < 6, "{params}: {rgb:?}");
    }
}

#[tokio::test]
async fn a_picture_that_has_the_format_is_not_copied() {
    let frame = in_format(waves(32, 32), PixelFormat::Nv12).await;
    let same = in_format(frame.clone(), PixelFormat::Nv12).await;
    assert_eq!(same.planes()[0].data.as_ptr(), frame.planes()[0].data.as_ptr());
}

#[test]
fn the_format_must_be_given() {
    let refused = refusal("pipeline: { nodes: [{ id: f, type: VideoFormat }] }");
    assert!(refused.contains("i420, nv12, rgb24, rgba, bgra"), "{refused}");
}
