//! `VideoCrop`.

use crate::{
    common::refusal,
    support::{FORMATS, in_format, only, psnr, waves},
};

fn manifest(params: &str) -> String {
    format!("pipeline: {{ nodes: [{{ id: c, type: VideoCrop, params: {{ {params} }} }}] }}")
}

#[tokio::test]
async fn the_area_shows_what_the_picture_shows_there() {
    for format in FORMATS {
        let whole = in_format(waves(200, 100), format).await;
        for params in
            ["x: 50, y: 20, width: 100, height: 60", "x: 0.25, y: 0.2, width: 0.5, height: 0.6, unit: fraction"]
        {
            let cropped = only(&manifest(params), whole.clone()).await;
            assert_eq!((cropped.width(), cropped.height()), (100, 60), "{format:?} {params}");
            let expected: Vec<Vec<u8>> = whole
                .rows(0)
                .skip(20)
                .take(60)
                .map(|row| {
                    let bytes = row.len() / 200;
                    row[50 * bytes..150 * bytes].to_vec()
                })
                .collect();
            assert_eq!(cropped.rows(0).collect::<Vec<_>>(), expected, "{format:?} {params}");
        }
    }
}

#[tokio::test]
async fn a_cropped_picture_goes_through_every_other_node() {
    // Its rows have padding: that of the picture it was cut out of.
    for format in FORMATS {
        let whole = in_format(waves(200, 100), format).await;
        let crop = "{ id: c, type: VideoCrop, params: { x: 50, y: 20, width: 100, height: 60 } }";
        for next in ["VideoScale, params: { width: 50 }", "VideoFormat, params: { format: rgb24 }"] {
            let edges = "[{ from: input, to: c }, { from: c, to: next }, { from: next, to: output }]";
            let both = format!("pipeline: {{ nodes: [{crop}, {{ id: next, type: {next} }}], graph: {edges} }}");
            let alone = format!("pipeline: {{ nodes: [{{ id: next, type: {next} }}] }}");
            let copied = only(&manifest("x: 50, y: 20, width: 100, height: 60"), whole.clone()).await;
            let copied = remotemedia_media::VideoFrame::from_packed(format, 100, 60, copied.to_packed()).unwrap();
            assert!(psnr(&only(&both, whole.clone()).await, &only(&alone, copied).await) > 80.0, "{format:?} {next}");
        }
    }
}

#[test]
fn areas_that_cannot_be_meant_are_refused() {
    for (params, words) in [
        ("x: 0.5", "unit: fraction"),
        ("x: 20, unit: fraction", "unit: pixels"),
        ("width: 0", "at least 1 pixel"),
        ("x: 1, unit: fraction", "nothing is left"),
        ("width: -3", "from 0 to 16384"),
        ("x: 16384", "from 0 to 16383"),
        ("y: 16384", "from 0 to 16383"),
    ] {
        let refused = refusal(&manifest(params));
        assert!(refused.contains(words), "{params}: {refused}");
    }
}
